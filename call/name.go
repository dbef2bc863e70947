package call

import "strings"

// NameForm says in words what IsName asks for.
const NameForm = "1 to 64 characters of A-Z a-z 0-9 . _ -"

// NamePattern is IsName as a regular expression.
const NamePattern = "^[A-Za-z0-9._-]{1,64}$"

// IsName tells whether name may be that of a tenant, an execution or an upload.
func IsName(name string) bool {
	return len(name) >= 1 && len(name) <= 64 && !strings.ContainsFunc(name, notInName)
}

func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
}
