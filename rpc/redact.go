package rpc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

const redacted = "***"

// A redactor replaces secrets in text. That prevents accidents. A script that wants to reveal a secret finds a form for it that the
// redactor does not know. The zero value replaces nothing.
type redactor struct {
	forms []string // of the secrets, none of them empty
}

// newRedactor makes a redactor that finds each secret as it is, and as JSON and Node's console escape it. Both may write a text of
// several lines in pieces (console entries, strings joined by +), so each line of a secret counts as a secret, too.
func newRedactor(secrets []string) redactor {
	seen := map[string]bool{}
	var r redactor
	add := func(secret string) {
		for _, form := range []string{secret, escape(secret, jsonEscape), escape(secret, consoleEscape)} {
			if !seen[form] {
				seen[form] = true
				r.forms = append(r.forms, form)
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
	return r
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

// consoleEscape does not escape quotes, since the console quotes a string with quotes that are not in it.
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

// text returns text with every occurrence of a form replaced. Occurrences may overlap, or contain each other.
func (r redactor) text(text string) string {
	var ends []int // at each index, the end of the longest occurrence that begins there; nil while there is none
	for _, form := range r.forms {
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

// markAll marks all occurrences of a form, of which first is the first. It uses the algorithm of Knuth, Morris and Pratt: it finds
// overlapping occurrences, and takes linear time whatever the client chose.
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

// borders returns, for each prefix of form, the length of the longest shorter prefix that is also its end.
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

// cutOut replaces the intervals that ends describes. Overlapping intervals are replaced by one mark.
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

func (r redactor) lines(lines []string) []string {
	if len(r.forms) == 0 {
		return lines
	}
	clean := make([]string, len(lines))
	for i, line := range lines {
		clean[i] = r.text(line)
	}
	return clean
}

// err returns an error without secrets. A failure becomes another failure; any other error is wrapped, with a redacted text.
func (r redactor) err(err error) error {
	if err == nil || len(r.forms) == 0 {
		return err
	}
	var failure *call.Failure
	if !errors.As(err, &failure) {
		return redactedError{r.text(err.Error()), err}
	}
	f := *failure
	f.Name, f.Message, f.Stack = r.text(f.Name), r.text(f.Message), r.text(f.Stack)
	f.Console = r.lines(f.Console)
	return &f
}

// A redactedError is an error whose text has been redacted.
type redactedError struct {
	text  string
	cause error
}

func (e redactedError) Error() string { return e.text }
func (e redactedError) Unwrap() error { return e.cause }
