package daemon_test

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/jsd-project/jsd/daemon"
	"github.com/jsd-project/jsd/jsdtest"
	"github.com/jsd-project/jsd/tenants"
)

// What a tag says has to be read somewhere: one with a wrong name or word would be silent.
func TestTagsOfSettings(t *testing.T) {
	forms := map[string]string{
		"key": `[a-zA-Z]+`, "name": `[a-z-]+`, "env": `JSD_[A-Z_]+(,[A-Z_]+)?`, "default": `.*`, "help": `.+\.`, "zero": `yes|unset`,
		"unit": `MiB`, "expects": `.+`, "items": `names|texts`, "info": `[a-zA-Z]+`, "placeholder": `.+`, "enum": `.+`, "kong": `-`,
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[daemon.Settings]()) {
		if field.Anonymous || !field.IsExported() {
			continue
		}
		rest := string(field.Tag)
		for name, form := range forms {
			value, there := field.Tag.Lookup(name)
			if there && !regexp.MustCompile("^("+form+")$").MatchString(value) {
				t.Errorf("%s: %s is %q", field.Name, name, value)
			}
			rest = regexp.MustCompile(`(^| )`+name+`:"(\\.|[^"\\])*"`).ReplaceAllString(rest, "")
		}
		needed, number := "", field.Type.Kind() == reflect.Int || field.Type.Kind() == reflect.Int64 // as a time.Duration is
		switch {
		case field.Tag.Get("key") == "" || field.Tag.Get("enum") != "":
		case field.Type.Kind() == reflect.String || field.Type.Kind() == reflect.Float64:
			needed = "expects"
		case field.Type.Kind() == reflect.Slice:
			needed = "items"
		}
		if needed != "" && field.Tag.Get(needed) == "" {
			t.Errorf("%s has a key, so it needs %s: an error in the tenants file says that", field.Name, needed)
		}
		if field.Tag.Get("info") != "" && !number {
			t.Errorf("%s has info, but is a %v: runtime.info tells numbers only", field.Name, field.Type)
		}
		if rest = strings.TrimSpace(rest); rest != "" {
			t.Errorf("%s has %s, which nobody reads", field.Name, rest)
		}
	}
}

// The rows are what package kong makes of the same tags.
func TestSettingsAreFlags(t *testing.T) {
	flags := map[string]*kong.Flag{}
	parser, err := kong.New(&daemon.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range parser.Model.Flags {
		flags["--"+flag.Name] = flag
	}
	delete(flags, "--help")
	for _, row := range daemon.Table {
		if row.Flag == "" {
			continue
		}
		flag := flags[row.Flag]
		if flag == nil {
			t.Errorf("there is no flag %s", row.Flag)
			continue
		}
		if help := strings.ReplaceAll(row.Help, "${default}", row.Default); flag.Default != row.Default || flag.Help != help || !slices.Contains(flag.Envs, row.Variable) {
			t.Errorf("%s: %s, %s, %s; the flag has %s, %v, %s", row.Flag, row.Default, row.Variable, help, flag.Default, flag.Envs, flag.Help)
		}
		if want := "JSD_" + strings.ToUpper(strings.ReplaceAll(row.Flag[2:], "-", "_")); row.Variable != want {
			t.Errorf("%s: the variable is %s, has to be %s", row.Flag, row.Variable, want)
		}
		delete(flags, row.Flag)
	}
	for name := range flags {
		t.Errorf("%s is in no row", name)
	}
}

// settingRow is a row of the page's table of settings: flag, key, default.
var settingRow = regexp.MustCompile("(?m)^\\| (`--[a-z-]+`|-) \\| (`[a-zA-Z]+`|-) \\| ([^|]+) \\|")

func TestSettingsInOperations(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	code := func(text string) string {
		if text == "" {
			return "-"
		}
		return "`" + text + "`"
	}
	told := map[string]string{}
	for _, row := range settingRow.FindAllStringSubmatch(string(page), -1) {
		told[row[1]+" "+row[2]] = row[3]
	}
	for _, row := range daemon.Table {
		name := code(row.Flag) + " " + code(row.Key)
		value, there := told[name]
		delete(told, name)
		if !there {
			t.Errorf("the page has no row %s", name)
		}
		if row.Default != "" && value != code(row.Default) {
			t.Errorf("%s: the default is %s, the page says %s", name, row.Default, value)
		}
	}
	for name := range told {
		t.Errorf("the page has a row %s", name)
	}
}

func TestSettingsInInfo(t *testing.T) {
	t.Parallel()
	d, _ := jsdtest.StartQuiet(t, "--tenants", tenantsFile(t, "defaults: {memory: 100, timeout: 1500ms, frame: 70000, sessions: 5}"))
	var info struct{ Limits map[string]int64 }
	if err := json.Unmarshal(d.Dial(t, "json-rpc").Call("runtime.info", script{}).Result, &info); err != nil {
		t.Fatal(err)
	}
	want := *d.Settings
	want.Memory, want.Timeout, want.Frame, want.Sessions = 100, 1_500_000_000, 70_000, 5
	for _, row := range tenants.PolicyTable() {
		if row.Info == "" {
			continue
		}
		if got, there := info.Limits[row.Info]; !there || got != row.Number(&want.Policy) {
			t.Errorf("%s is %d, want %d", row.Info, got, row.Number(&want.Policy))
		}
		delete(info.Limits, row.Info)
	}
	if len(info.Limits) > 0 {
		t.Errorf("it tells %v, which are in no row", info.Limits)
	}
}
