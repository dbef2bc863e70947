package rpc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

const redacted = "***"

// A redactor takes secrets out of text. That keeps them from being told by accident; a script that
// wants to tell them finds a form that is not looked for. The zero value looks for nothing.
type redactor struct {
	forms []string // what is looked for, none empty
}

// newRedactor looks for each secret as it is, and as JSON and Node's console escape it. Both write a
// text of several lines in pieces at times (a console entry, a string joined by +), so its lines
// count as secrets of their own.
func newRedactor(secrets []string) redactor {
	seen := map[string]bool{}
	var b redactor
	add := func(secret string) {
		for _, form := range []string{secret, escape(secret, jsonEscape), escape(secret, consoleEscape)} {
			if !seen[form] {
				seen[form] = true
				b.forms = append(b.forms, form)
			}
		}
	}
	for _, secret := range secrets {
		add(secret)
		if !strings.Contains(secret, "\n") {
			continue
		}
		for line := range strings.SplitSeq(secret, "\n") {
			if line = strings.TrimSpace(line); message.UTF16Length(line) >= message.MinSecret {
				add(line)
			}
		}
	}
	return b
}

func escape(text string, escapeOf func(r rune) string) string {
	var b strings.Builder
	for _, r := range text {
		if escaped := escapeOf(r); escaped != "" {
			b.WriteString(escaped)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

var sharedEscapes = map[rune]string{'\\': `\\`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`}

func jsonEscape(r rune) string {
	switch escaped, ok := sharedEscapes[r]; {
	case ok:
		return escaped
	case r == '"':
		return `\"`
	case r < ' ':
		return fmt.Sprintf(`\u%04x`, r)
	default:
		return ""
	}
}

// consoleEscape leaves quotes alone: the console picks some that do not occur.
func consoleEscape(r rune) string {
	switch escaped, ok := sharedEscapes[r]; {
	case ok:
		return escaped
	case r < ' ' || r >= 0x7f && r <= 0x9f:
		return fmt.Sprintf(`\x%02X`, r)
	default:
		return ""
	}
}

// redactNothing is for calls without secrets.
func redactNothing() redactor { return redactor{} }

// text gives text with every occurrence replaced, also those that overlap or lie in another.
func (b redactor) text(text string) string {
	var ends []int // at each index, how far what begins there reaches; nil while nothing was found
	for _, form := range b.forms {
		first := strings.Index(text, form)
		if first < 0 {
			continue
		}
		if ends == nil {
			ends = make([]int, len(text))
		}
		markAll(ends, text, form, first)
	}
	if ends == nil {
		return text
	}
	return cutOut(text, ends)
}

// markAll finds the occurrences from the first on (Knuth, Morris, Pratt): overlapping ones too, and
// in linear time whatever a client chose.
func markAll(ends []int, text, form string, first int) {
	border := borders(form)
	matched := 0
	for i := first; i < len(text); i++ {
		for matched > 0 && (matched == len(form) || text[i] != form[matched]) {
			matched = border[matched-1]
		}
		if text[i] == form[matched] {
			matched++
		}
		if matched == len(form) {
			begin := i + 1 - matched
			ends[begin] = max(ends[begin], i+1)
		}
	}
}

// borders says of each beginning of form how much of it is also its end, and not all of it.
func borders(form string) []int {
	border := make([]int, len(form))
	matched := 0
	for i := 1; i < len(form); i++ {
		for matched > 0 && form[i] != form[matched] {
			matched = border[matched-1]
		}
		if form[i] == form[matched] {
			matched++
		}
		border[i] = matched
	}
	return border
}

// cutOut replaces what the intervals cover; those that overlap become one.
func cutOut(text string, ends []int) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		end := ends[i]
		if end == 0 {
			b.WriteByte(text[i])
			i++
			continue
		}
		for ; i < end; i++ {
			end = max(end, ends[i])
		}
		b.WriteString(redacted)
	}
	return b.String()
}

func (b redactor) lines(lines []string) []string {
	if len(b.forms) == 0 {
		return lines
	}
	clean := make([]string, len(lines))
	for i, line := range lines {
		clean[i] = b.text(line)
	}
	return clean
}

// err gives err without secrets: a failure as another one, any other error as one that says the same.
func (b redactor) err(err error) error {
	if err == nil || len(b.forms) == 0 {
		return err
	}
	var failure *call.Failure
	if !errors.As(err, &failure) {
		return redactedError{b.text(err.Error()), err}
	}
	f := *failure
	f.Name, f.Message, f.Stack = b.text(f.Name), b.text(f.Message), b.text(f.Stack)
	f.Console = b.lines(f.Console)
	return &f
}

// A redactedError is an error whose text has been redacted.
type redactedError struct {
	text  string
	cause error
}

func (e redactedError) Error() string { return e.text }
func (e redactedError) Unwrap() error { return e.cause }
