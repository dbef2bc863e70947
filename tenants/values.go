package tenants

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

const (
	maxMiB      = 1 << 24
	maxDuration = 365 * 24 * time.Hour
)

// parse reads the value of the setting from the file into settings, a pointer to a struct of the table. Its error says what the value
// has to be.
func (s *Setting) parse(settings any, value ast.Node) error {
	switch to := s.in(settings).(type) {
	case *string:
		return s.parseText(to, value)
	case *int:
		return parseWhole(s, to, value)
	case *int64:
		return parseWhole(s, to, value)
	case *float64:
		return s.parseDecimal(to, value)
	case *time.Duration:
		return s.parseTime(to, value)
	case *[]string:
		return s.parseList(to, value)
	default:
		panic(fmt.Sprintf("tenants: %s is a %T", s.Key, to)) // which the table's test sees first
	}
}

func (s *Setting) parseText(to *string, value ast.Node) error {
	text, ok := textOf(value)
	switch {
	case s.enum != nil && (!ok || !slices.Contains(s.enum, text)):
		return hasToBe("%s", strings.Join(s.enum, " or "))
	case !ok || text == "" && s.zero == "" || strings.TrimSpace(text) != text:
		return hasToBe("%s", s.expects)
	}
	*to = text
	return nil
}

func parseWhole[N int | int64](s *Setting, to *N, value ast.Node) error {
	what, least, most := "a whole number", int64(1), int64(maxCount)
	if s.unit == "MiB" {
		what, most = "a whole number of MiB", maxMiB
	}
	if s.zero == "yes" {
		least = 0
	}
	n, err := strconv.ParseInt(digitsOf(value), 10, 64)
	if err != nil || n < least || n > most {
		return hasToBe("%s from %d to %d, in plain digits", what, least, most)
	}
	*to = N(n)
	return nil
}

func (s *Setting) parseDecimal(to *float64, value ast.Node) error {
	whole, fraction, _ := strings.Cut(wordOf(value), ".")
	f, err := strconv.ParseFloat(whole+"."+fraction, 64)
	if err != nil || strings.Trim(whole+fraction, "0123456789") != "" || f > maxCount || f == 0 && s.zero == "" {
		return hasToBe("%s", s.expects)
	}
	*to = f
	return nil
}

func (s *Setting) parseTime(to *time.Duration, value ast.Node) error {
	text, ok := textOf(value) // with quotes or without
	if !ok {
		text = wordOf(value)
	}
	d, err := time.ParseDuration(text)
	if err == nil && (d == 0 && s.zero != "" || d >= time.Millisecond && d <= maxDuration) {
		*to = d
		return nil
	}
	if s.zero != "" {
		return hasToBe("a time up to %v with its unit, such as 500ms, 3s or 1h30m, or 0 for none", maxDuration)
	}
	return hasToBe("a time from %v to %v with its unit, such as 500ms, 3s or 1h30m", time.Millisecond, maxDuration)
}

func (s *Setting) parseList(to *[]string, value ast.Node) error {
	list, ok := value.(*ast.SequenceNode)
	if !ok {
		return hasToBe("a list, such as [one, two]")
	}
	all := []string{}
	for _, item := range list.Values {
		text, ok := textOf(item)
		if !ok || text == "" && s.items == "names" {
			return hasToBe("a list of %s, such as [one, two]", s.items)
		}
		all = append(all, text)
	}
	*to = all
	return nil
}

// textOf is a string on one line, quoted or not.
func textOf(value ast.Node) (string, bool) {
	text, ok := value.(*ast.StringNode)
	return value.GetToken().Value, ok && !strings.ContainsAny(text.Value, "\r\n\x00")
}

// wordOf is a number or a string as it was written, without quotes around it; else empty.
func wordOf(value ast.Node) string {
	switch value.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode:
		if t := value.GetToken(); t.Type != token.SingleQuoteType && t.Type != token.DoubleQuoteType {
			return t.Value
		}
	}
	return ""
}

// digitsOf is a number in plain digits: YAML knows many others that mean something else to the eye, such as 010.
func digitsOf(value ast.Node) string {
	word := wordOf(value)
	if strings.Trim(word, "0123456789") != "" || len(word) > 1 && word[0] == '0' {
		return ""
	}
	return word
}
