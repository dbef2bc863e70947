package rpc

import (
	"encoding/json"
	"iter"
	"strings"
	"unicode/utf16"
)

const (
	minSecret  = 6        // characters, as JavaScript counts them: shorter ones would blank half of what is printed
	maxSecrets = 1_000    // lines to be blanked: each is looked for in all that is printed
	maxHidden  = 64 << 10 // bytes of all of them
)

// secrets is the type of a param whose strings must not be told.
type secrets struct {
	json   json.RawMessage // as the client wrote it
	hidden []string        // the strings in it, however deep, that are long enough to be blanked
	many   bool            // too many of them
}

func (s *secrets) take(v json.RawMessage) bool {
	s.json = v
	if kind(v) != '{' {
		return false
	}
	lines, bytes := 0, 0
	for quoted := range stringValues(v) {
		text := unquote(quoted)
		if len(text) < minSecret || utf16Length(text) < minSecret {
			continue
		}
		s.hidden = append(s.hidden, text)
		lines += 1 + strings.Count(text, "\n")
		bytes += len(text)
		if lines > maxSecrets || bytes > maxHidden {
			s.many = true
			return false
		}
	}
	return true
}

func (s *secrets) expects() string {
	if s != nil && s.many {
		return "an object with at most 1,000 lines and 64 KiB in its strings of 6 characters or more"
	}
	return "an object"
}

// strings may be called where there is none.
func (s *secrets) strings() []string {
	if s == nil {
		return nil
	}
	return s.hidden
}

func utf16Length(text string) (n int) {
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// stringValues goes through the strings of a well-formed document that are no keys.
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
