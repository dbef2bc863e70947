package tenants

import (
	"os"
	"strings"
	"testing"
	"time"
)

func readme(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## Tenants\n")
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

func TestExampleInTheREADME(t *testing.T) {
	var example strings.Builder
	for line := range strings.Lines(readme(t)) {
		if indented, ok := strings.CutPrefix(line, "    "); ok {
			example.WriteString(indented)
		}
	}
	ps := open(t, example.String())
	if ps.Len() != 2 || ps.Of("acme").Memory != 512 || ps.Of("visitors").Reuse != ReuseCall || ps.Of("other").MaxTimeout != 20*time.Second {
		t.Errorf("got %+v, %+v, %+v", ps.Of("acme"), ps.Of("visitors"), ps.Of("other"))
	}
}
