package call

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
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

// The agent has a table of its own, since it is no Go. Node reads it.
func TestTheAgentHasTheTableOfCodes(t *testing.T) {
	node := os.Getenv("JSD_NODE")
	if node == "" {
		if os.Getenv("JSD_TEST_REQUIRE") == "all" {
			t.Fatal("JSD_NODE names no Node")
		}
		t.Skip("JSD_NODE names no Node")
	}
	out, err := exec.Command(node, "-p", "JSON.stringify(require('../node-agent/shared/failures.js').codes)").Output()
	if err != nil {
		t.Fatal(err)
	}
	var agent map[string]Code
	if err := json.Unmarshal(out, &agent); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	got := slices.Sorted(maps.Values(agent))
	var want []Code
	for _, row := range Codes {
		if row.Agent {
			want = append(want, row.Code)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the agent has %v, of the table it may use %v", got, want)
	}
	for name, code := range agent {
		if message := code.Message(); message != "" && name != nameOf[code] {
			t.Errorf("the agent calls %d %s, want %s", code, name, nameOf[code])
		}
	}
}

// nameOf is how JavaScript calls the codes.
var nameOf = map[Code]string{
	NotImplemented: "notImplemented", Timeout: "timeout", Cancelled: "cancelled", LimitExceeded: "limitExceeded", Lost: "lost",
	NotSerializable: "notSerializable", NotFound: "notFound",
}

func TestAnUnknownCodeHasNoMeaning(t *testing.T) {
	if c := Code(1234); c.Message() != "" || c.FromAgent() {
		t.Errorf("%d means %q", c, c.Message())
	}
}
