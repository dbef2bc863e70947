package daemon_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/jsd-project/jsd/daemon"
)

func operations(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// settingRow is a row of the table of settings: flag, key, default.
var settingRow = regexp.MustCompile("(?m)^\\| `(--[a-z-]+)` \\| [^|]+ \\| ([^|]+) \\|")

func TestSettingsInOperations(t *testing.T) {
	told := map[string]string{}
	for _, row := range settingRow.FindAllStringSubmatch(operations(t), -1) {
		told[row[1]] = row[2]
	}
	parser, err := kong.New(&daemon.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range parser.Model.Flags {
		name := "--" + flag.Name
		if name == "--help" {
			continue
		}
		value, there := told[name]
		delete(told, name)
		if !there {
			t.Errorf("%s is missing", name)
		}
		if flag.HasDefault && flag.Default != "" && value != "`"+flag.Default+"`" {
			t.Errorf("%s: the default is %s, the page says %s", name, flag.Default, value)
		}
		if want := "JSD_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_")); !slices.Contains(flag.Envs, want) {
			t.Errorf("%s: the page promises %s, there is %v", name, want, flag.Envs)
		}
	}
	for name := range told {
		t.Errorf("there is no %s", name)
	}
}
