package rpc

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// section is what protocol.md says under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("no %q in protocol.md", heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

func TestProtocolNamesFields(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:string|object|array|integer|boolean)")
	for heading, params := range map[string]any{"### runtime.execute": script{}, "### runtime.put": putParams{}} {
		var written, taken []string
		for _, match := range row.FindAllStringSubmatch(section(t, heading), -1) {
			written = append(written, match[1])
		}
		for field := range reflect.TypeOf(params).Fields() {
			taken = append(taken, field.Tag.Get("json"))
		}
		slices.Sort(written)
		slices.Sort(taken)
		if !slices.Equal(written, taken) {
			t.Errorf("%s: protocol.md has %v, the code %v", heading, written, taken)
		}
	}
}

func TestProtocolNamesMethods(t *testing.T) {
	for name := range New(Config{Runner: newRunner()}).methods {
		section(t, "### "+name)
	}
}

// The requests of an example, sent in order, get the replies that stand below them, but for values:
// no script runs here.
func TestProtocolShowsPut(t *testing.T) {
	r := start(t)
	p := r.dial()
	lines := regexp.MustCompile(`(?m)^    ([→←]) (\{.*)$`).FindAllStringSubmatch(section(t, "### runtime.put"), -1)
	if len(lines) != 6 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines[:4] {
		if line[1] == "→" {
			p.send(line[2])
		} else {
			p.expect(line[2])
		}
	}
	p.send(lines[4][2])
	if got := p.receive(); !strings.Contains(got, `"result"`) {
		t.Errorf("got %s", got)
	}
}
