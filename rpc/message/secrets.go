package message

import (
	"encoding/json"
	"iter"
	"strings"
	"unicode/utf16"
)

const (
	// MinSecret is the length of the shortest string that is redacted, in characters as JavaScript counts them: shorter ones
	// would take half of what is printed.
	MinSecret = 6

	maxSecretLines = 1_000    // each is looked for in all that is printed
	maxSecretBytes = 64 << 10 // of all of them
)

// Secrets is the type of a param whose strings are redacted from what the client gets.
type Secrets struct {
	JSON json.RawMessage // as the client wrote it

	strings []string
	many    bool // too many of them
}

func (s *Secrets) Take(v json.RawMessage) bool {
	s.JSON = v
	if Kind(v) != '{' {
		return false
	}
	lines, bytes := 0, 0
	for quoted := range stringValues(v) {
		text := Unquote(quoted)
		if len(text) < MinSecret || UTF16Length(text) < MinSecret {
			continue
		}
		s.strings = append(s.strings, text)
		lines += 1 + strings.Count(text, "\n")
		bytes += len(text)
		if lines > maxSecretLines || bytes > maxSecretBytes {
			s.many = true
			return false
		}
	}
	return true
}

func (s *Secrets) Expects() string {
	if s != nil && s.many {
		return "an object with at most 1,000 lines and 64 KiB in its strings of 6 characters or more"
	}
	return "an object"
}

// Strings are those in it, however deep, of MinSecret characters or more. It may be called where there are no Secrets.
func (s *Secrets) Strings() []string {
	if s == nil {
		return nil
	}
	return s.strings
}

// UTF16Length is the length of a string as JavaScript counts it.
func UTF16Length(text string) (n int) {
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// stringValues goes through the strings of a well-formed document that are not names of members.
func stringValues(document []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		for i := 0; i < len(document); i++ {
			if document[i] != '"' {
				continue
			}
			end := stringEnd(document, i)
			if at(document, skipSpace(document, end)) != ':' && !yield(document[i:end]) {
				return
			}
			i = end - 1
		}
	}
}
