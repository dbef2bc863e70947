package tenants

import "strings"

// ExpectsName describes a valid name, for error messages.
const ExpectsName = "1 to 64 characters of A-Z a-z 0-9 . _ -"

// IsName reports whether a name of a tenant is valid.
func IsName(name string) bool {
	return len(name) >= 1 && len(name) <= 64 && !strings.ContainsFunc(name, NotInName)
}

// NotInName reports whether a name must not have this character.
func NotInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		r == '.' || r == '_' || r == '-')
}
