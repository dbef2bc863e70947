package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
)

func operations(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
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
	parser, err := kong.New(&serveCommand{})
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

func TestMetricsInOperations(t *testing.T) {
	m := newMetrics(1)
	m.register(&daemon{driver: &driver{}})
	descs := make(chan *prometheus.Desc, 1000)
	m.registry.Describe(descs)
	close(descs)
	var there []string
	name := regexp.MustCompile(`fqName: "(jsd_\w+)"`)
	for desc := range descs {
		if found := name.FindStringSubmatch(desc.String()); found != nil {
			there = append(there, found[1])
		}
	}
	page := operations(t)
	_, table, _ := strings.Cut(page, "| metric | says |")
	table, _, _ = strings.Cut(table, "\n\n")
	var told []string
	for row := range strings.Lines(table) {
		metrics, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		told = append(told, regexp.MustCompile(`jsd_\w+`).FindAllString(metrics, -1)...)
	}
	slices.Sort(there)
	slices.Sort(told)
	if there = slices.Compact(there); len(there) == 0 || !slices.Equal(told, there) {
		t.Errorf("the table has\n%v, there are\n%v", told, there)
	}
	for _, used := range regexp.MustCompile(`\bjsd_\w+`).FindAllString(page, -1) {
		if !slices.Contains(there, strings.TrimSuffix(used, "_bucket")) {
			t.Errorf("there is no %s", used)
		}
	}
}
