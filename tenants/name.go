package tenants

import "strings"

// ExpectsName is what a name has to be, in words.
const ExpectsName = "1 to 64 characters of A-Z a-z 0-9 . _ -"

// IsName says whether a tenant may be called that.
func IsName(name string) bool {
	return len(name) >= 1 && len(name) <= 64 && !strings.ContainsFunc(name, NotInName)
}

// NotInName says that no name has this character.
func NotInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		r == '.' || r == '_' || r == '-')
}
