package rpc

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

func protocol(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// section is what protocol.md says under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(protocol(t), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("no %q in protocol.md", heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

func allMethods() []method { return New(Config{Runner: newRunner()}).service.methods() }

// rows are the fields in a section's table.
func rows(section string) (fields []string) {
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:string|object|array|integer|boolean)")
	for _, match := range row.FindAllStringSubmatch(section, -1) {
		fields = append(fields, match[1])
	}
	return slices.Sorted(slices.Values(fields))
}

func fieldsOf(s *message.Shape) (fields []string) {
	for _, f := range s.Fields {
		fields = append(fields, f.Name)
	}
	return slices.Sorted(slices.Values(fields))
}

func TestProtocolNamesFields(t *testing.T) {
	for _, m := range allMethods() {
		written, taken := rows(section(t, "### "+m.name)), fieldsOf(m.params)
		if m.name == openMethod { // those of runtime.execute without some
			_, sentence, _ := strings.Cut(section(t, "### "+m.name), "It takes the fields of `runtime.execute` without ")
			sentence, _, _ = strings.Cut(sentence, ";")
			written = slices.DeleteFunc(fieldsOf(message.ShapeOf(reflect.TypeFor[executeParams]())), func(name string) bool {
				return strings.Contains(sentence, "`"+name+"`")
			})
		}
		if !slices.Equal(written, taken) {
			t.Errorf("%s: protocol.md has %v, the code %v", m.name, written, taken)
		}
	}
	for name, params := range map[string]reflect.Type{
		message.ConsoleMethod: reflect.TypeFor[message.ConsoleParams](), message.CallbackMethod: reflect.TypeFor[message.CallbackParams](),
	} {
		var sent []string
		for _, d := range descriptorsOf(params) {
			sent = append(sent, d.Name)
		}
		slices.Sort(sent)
		if written := rows(section(t, "### "+name)); !slices.Equal(written, sent) {
			t.Errorf("%s: protocol.md has %v, the code %v", name, written, sent)
		}
	}
}

func TestProtocolNamesErrors(t *testing.T) {
	for _, m := range allMethods() {
		var codes []call.Code
		if _, line, ok := strings.Cut(section(t, "### "+m.name), "\nErrors: "); ok {
			line, _, _ = strings.Cut(line, ".\n")
			for code := range strings.SplitSeq(line, ", ") {
				n, err := strconv.Atoi(code)
				if err != nil {
					t.Errorf("%s: %v", m.name, err)
				}
				codes = append(codes, call.Code(n))
			}
		}
		if !slices.Equal(codes, m.errors) {
			t.Errorf("%s: protocol.md has %v, the code %v", m.name, codes, m.errors)
		}
	}
}
