package message

import (
	"encoding/json"
	"iter"
	"strings"
	"unicode/utf16"
)

const (
	// MinSecret is the length of the shortest string that is redacted, in UTF-16 code units as in JavaScript. Shorter
	// strings would match much of what scripts print.
	MinSecret = 6

	maxSecretLines = 1_000    // all output is searched for each
	maxSecretBytes = 64 << 10 // of all strings together
)

// Secrets is the type of a param whose strings are redacted from everything that the client gets.
type Secrets struct {
	JSON json.RawMessage // as the client wrote it

	strings []string
	many    bool // a bound was exceeded
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

// Strings returns the strings of MinSecret or more code units, at any depth. It returns nil if s is nil.
func (s *Secrets) Strings() []string {
	if s == nil {
		return nil
	}
	return s.strings
}

// UTF16Length returns the length of a string in UTF-16 code units, as in JavaScript.
func UTF16Length(text string) (n int) {
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// stringValues yields the strings of a well-formed document that are not names of members.
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
