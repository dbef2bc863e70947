package tenants

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/jsd-project/jsd/egress"
)

const (
	maxCount    = 1_000_000_000
	maxMiB      = 1 << 24
	maxDuration = 365 * 24 * time.Hour
)

// A limit is one key of a policy in the file. take sets it. The error of take says which values are valid.
type limit struct {
	key  string
	take func(p *Policy, value ast.Node) error
}

// limits returns all keys.
func limits(languages []string) []limit {
	return []limit{
		{"image", texts(func(p *Policy) *string { return &p.Image }, "the name of an image, such as acme-runtime:2", 1)},
		{"runtime", texts(func(p *Policy) *string { return &p.Runtime }, `the name of an OCI runtime, such as runsc, or "" for the engine's own`, 0)},
		{"memory", mebibytes(func(p *Policy) *int { return &p.Memory })},
		{"heap", mebibytes(func(p *Policy) *int { return &p.Heap })},
		{"cpus", decimals(func(p *Policy) *float64 { return &p.CPUs }, "a number above 0, such as 1.5", false)},
		{"pids", counts(func(p *Policy) *int { return &p.PIDs }, 1)},
		{"tmp", mebibytes(func(p *Policy) *int { return &p.Tmp })},
		{"modules", lists(func(p *Policy) *[]string { return &p.Modules }, nil)},
		{"hosts", parsed(func(p *Policy) *[]egress.Host { return &p.Hosts }, egress.ParseHost)},
		{"networks", parsed(func(p *Policy) *[]netip.Prefix { return &p.Networks }, egress.ParseNetwork)},
		{"concurrency", counts(func(p *Policy) *int { return &p.Concurrency }, 1)},
		{"containers", counts(func(p *Policy) *int { return &p.Containers }, 1)},
		{"weight", counts(func(p *Policy) *int { return &p.Weight }, 1)},
		{"languages", lists(func(p *Policy) *[]string { return &p.Languages }, func(names []string) error { return CheckLanguages(names, languages) })},
		{"reuse", reuses},
		{"timeout", durations(func(p *Policy) *time.Duration { return &p.Timeout }, time.Millisecond)},
		{"maxTimeout", durations(func(p *Policy) *time.Duration { return &p.MaxTimeout }, time.Millisecond)},
		{"cpuBudget", durations(func(p *Policy) *time.Duration { return &p.CPUBudget }, 0)},
		{"queue", counts(func(p *Policy) *int { return &p.Queue }, 1)},
		{"queueTime", durations(func(p *Policy) *time.Duration { return &p.QueueTime }, time.Millisecond)},
		{"rate", decimals(func(p *Policy) *float64 { return &p.Rate }, "a number of calls a second, such as 50, or 0 for no bound", true)},
		{"burst", counts(func(p *Policy) *int { return &p.Burst }, 1)},
		{"result", counts(func(p *Policy) *int { return &p.Result }, 1)},
		{"consoleLines", counts(func(p *Policy) *int { return &p.ConsoleLines }, 1)},
		{"consoleBytes", counts(func(p *Policy) *int { return &p.ConsoleBytes }, 1)},
		{"sessions", counts(func(p *Policy) *int { return &p.Sessions }, 1)},
		{"sessionIdle", durations(func(p *Policy) *time.Duration { return &p.SessionIdle }, time.Millisecond)},
		{"bundles", mebibytes(func(p *Policy) *int { return &p.Bundles })},
		{"keep", mebibytes(func(p *Policy) *int { return &p.Keep })},
		{"keepTime", durations(func(p *Policy) *time.Duration { return &p.KeepTime }, time.Millisecond)},
		{"idleTimeout", durations(func(p *Policy) *time.Duration { return &p.IdleTimeout }, 0)},
		{"maxAge", durations(func(p *Policy) *time.Duration { return &p.MaxAge }, 0)},
		{"maxCalls", counts(func(p *Policy) *int { return &p.MaxCalls }, 0)},
		{"connections", counts(func(p *Policy) *int { return &p.Connections }, 1)},
		{"inFlight", counts(func(p *Policy) *int { return &p.InFlight }, 1)},
		{"frame", counts(func(p *Policy) *int64 { return &p.Frame }, 1)},
	}
}

func hasToBe(what string, args ...any) error {
	return fmt.Errorf("has to be "+what, args...)
}

func texts(of func(*Policy) *string, what string, least int) func(*Policy, ast.Node) error {
	return func(p *Policy, value ast.Node) error {
		text, ok := textOf(value)
		if !ok || len(text) < least || strings.TrimSpace(text) != text {
			return hasToBe("%s", what)
		}
		*of(p) = text
		return nil
	}
}

func mebibytes(of func(*Policy) *int) func(*Policy, ast.Node) error {
	return wholes(of, 1, maxMiB, "a whole number of MiB")
}

func counts[N int | int64](of func(*Policy) *N, least int64) func(*Policy, ast.Node) error {
	return wholes(of, least, maxCount, "a whole number")
}

func wholes[N int | int64](of func(*Policy) *N, least, most int64, what string) func(*Policy, ast.Node) error {
	return func(p *Policy, value ast.Node) error {
		n, err := strconv.ParseInt(digitsOf(value), 10, 64)
		if err != nil || n < least || n > most {
			return hasToBe("%s from %d to %d, in plain digits", what, least, most)
		}
		*of(p) = N(n)
		return nil
	}
}

func decimals(of func(*Policy) *float64, what string, zero bool) func(*Policy, ast.Node) error {
	return func(p *Policy, value ast.Node) error {
		whole, fraction, _ := strings.Cut(wordOf(value), ".")
		f, err := strconv.ParseFloat(whole+"."+fraction, 64)
		if err != nil || strings.Trim(whole+fraction, "0123456789") != "" || f > maxCount || f == 0 && !zero {
			return hasToBe("%s", what)
		}
		*of(p) = f
		return nil
	}
}

func durations(of func(*Policy) *time.Duration, least time.Duration) func(*Policy, ast.Node) error {
	what := fmt.Sprintf("a time from %v to %v with its unit, such as 500ms, 3s or 1h30m", least, maxDuration)
	if least == 0 {
		what = fmt.Sprintf("a time up to %v with its unit, such as 500ms, 3s or 1h30m, or 0 for none", maxDuration)
	}
	return func(p *Policy, value ast.Node) error {
		text, ok := textOf(value) // with quotes or without
		if !ok {
			text = wordOf(value)
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < least || d > maxDuration || d > 0 && d < time.Millisecond {
			return hasToBe("%s", what)
		}
		*of(p) = d
		return nil
	}
}

func reuses(p *Policy, value ast.Node) error {
	text, _ := textOf(value)
	if text != ReuseTenant && text != ReuseCall {
		return hasToBe("%s or %s", ReuseTenant, ReuseCall)
	}
	p.Reuse = text
	return nil
}

// lists sets a list of names. check may be nil; else its error refuses the list.
func lists(of func(*Policy) *[]string, check func([]string) error) func(*Policy, ast.Node) error {
	const what = "names"
	return func(p *Policy, value ast.Node) error {
		names, err := listOf(value, what, func(name string) (string, error) {
			if name == "" {
				return "", notListOf(what)
			}
			return name, nil
		})
		if err == nil && check != nil {
			err = check(names)
		}
		if err == nil {
			*of(p) = names
		}
		return err
	}
}

// parsed sets a list whose elements parse understands. The errors of parse say what an element looks like.
func parsed[T any](of func(*Policy) *[]T, parse func(string) (T, error)) func(*Policy, ast.Node) error {
	return func(p *Policy, value ast.Node) error {
		all, err := listOf(value, "texts", parse)
		if err == nil {
			*of(p) = all
		}
		return err
	}
}

// listOf returns the elements of a list of strings, each as take returns it. what is the word for them in errors.
func listOf[T any](value ast.Node, what string, take func(text string) (T, error)) ([]T, error) {
	list, ok := value.(*ast.SequenceNode)
	if !ok {
		return nil, hasToBe("a list, such as [one, two]")
	}
	all := []T{}
	for _, item := range list.Values {
		text, ok := textOf(item)
		if !ok {
			return nil, notListOf(what)
		}
		one, err := take(text)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func notListOf(what string) error { return hasToBe("a list of %s, such as [one, two]", what) }

// textOf returns a string on one line, with or without quotes in the file.
func textOf(value ast.Node) (string, bool) {
	text, ok := value.(*ast.StringNode)
	return value.GetToken().Value, ok && !strings.ContainsAny(text.Value, "\r\n\x00")
}

// wordOf returns a number or a string without quotes, as it is in the file. For anything else it returns an empty
// string.
func wordOf(value ast.Node) string {
	switch value.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode:
		if t := value.GetToken(); t.Type != token.SingleQuoteType && t.Type != token.DoubleQuoteType {
			return t.Value
		}
	}
	return ""
}

// digitsOf returns a number in plain digits. YAML has numbers, such as 010, whose value is not what it seems to be.
// For these it returns an empty string.
func digitsOf(value ast.Node) string {
	word := wordOf(value)
	if strings.Trim(word, "0123456789") != "" || len(word) > 1 && word[0] == '0' {
		return ""
	}
	return word
}
