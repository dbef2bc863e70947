package call

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestProtocolHasTheTableOfCodes(t *testing.T) {
	documented := documentedCodes(t)
	for _, row := range Codes {
		got, ok := documented[row.Code]
		delete(documented, row.Code)
		if !ok {
			t.Errorf("protocol.md has no row for %d", row.Code)
			continue
		}
		if row.Code != Exception && got.message != row.Message {
			t.Errorf("%d: protocol.md has the message %q, the table %q", row.Code, got.message, row.Message)
		}
		if want := slices.Sorted(slices.Values(row.Data)); !slices.Equal(got.data, want) {
			t.Errorf("%d: protocol.md has the data %q, the table %q", row.Code, got.data, want)
		}
		if row.When == "" {
			t.Errorf("%d: the table does not say when", row.Code)
		}
	}
	for code := range documented {
		t.Errorf("protocol.md has a row for %d, the table has none", code)
	}
}

type documented struct {
	message string
	data    []string // fields, sorted
}

var (
	quoted = regexp.MustCompile("`([^`]+)`")
	row    = regexp.MustCompile(`^\| (-?\d+) \| ([^|]*) \|`)
)

// documentedCodes reads the two tables of section "Errors" in protocol.md.
func documentedCodes(t *testing.T) map[Code]documented {
	text, err := os.ReadFile("../protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Errors\n")
	if !found {
		t.Fatal("protocol.md has no section Errors")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	all := map[Code]documented{}
	for line := range strings.Lines(section) {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		code, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		d := documented{message: strings.Trim(strings.TrimSuffix(strings.TrimSuffix(m[2], ": …"), " "), "`")}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) == 4 {
			d.data = fieldsOf(cells[3])
		}
		all[Code(code)] = d
	}
	return all
}

// fieldsOf reads a cell such as "`limit`: `wall` or `cpu`; `console`": what stands behind a colon is about the field.
func fieldsOf(cell string) []string {
	var fields []string
	for part := range strings.SplitSeq(cell, ";") {
		part, _, _ = strings.Cut(part, ":")
		for _, m := range quoted.FindAllStringSubmatch(part, -1) {
			fields = append(fields, m[1])
		}
	}
	slices.Sort(fields)
	return fields
}

func TestAnUnknownCodeHasNoMeaning(t *testing.T) {
	if c := Code(1234); c.Message() != "" || c.FromAgent() {
		t.Errorf("%d means %q", c, c.Message())
	}
}
