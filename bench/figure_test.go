package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		name string
		f    figure
		want string
	}{
		{"none", figure{value: 1, unit: count}, ""},
		{"one, met to the point", figure{value: 5e-3, unit: milliseconds, least: atMost(5e-3)}, "yes"},
		{"one, missed", figure{value: 5.1e-3, unit: milliseconds, least: atMost(5e-3)}, "NO"},
		{"two, the first met", figure{value: 4e-3, unit: milliseconds, least: atMost(5e-3), try: atMost(3e-3)}, "at least"},
		{"two, both met", figure{value: 2e-3, unit: milliseconds, least: atMost(5e-3), try: atMost(3e-3)}, "both"},
		{"a rate that is too low", figure{value: 1999, unit: perSecond, least: atLeast(2000), try: atLeast(4000)}, "NO"},
		{"a rate", figure{value: 2000, unit: perSecond, least: atLeast(2000), try: atLeast(4000)}, "at least"},
		{"a ratio that is low enough, of a large value", figure{value: 50, against: "(a)", baseline: 100, least: atMost(0.55), try: atMost(0.4)}, "at least"},
		{"a ratio that is too low, of a large value", figure{value: 169, against: "(a)", baseline: 100, least: atLeast(1.7)}, "NO"},
	} {
		if got := c.f.met(); got != c.want {
			t.Errorf("%s: met = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestShow(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{milliseconds.show(0.00079), "0.79 ms"},
		{milliseconds.show(0.0117), "11.7 ms"},
		{perSecond.show(99.96), "100/s"},
		{perSecond.show(2154.4), "2154/s"},
		{megabytes.show(40.56e6), "40.6 MB"},
		{kibibytes.show(24 << 10), "24.0 KiB"},
		{throughput.show(101e6), "101 MB/s"},
		{microseconds.show(80e-6), "80.0 µs"},
		{atMost(24 << 10).show(kibibytes), "≤ 24 KiB"},
		{atMost(80e-6).show(microseconds), "≤ 80 µs"},
		{atMost(0.55).show(times), "≤ 0.55 ×"},
		{atLeast(15000).show(perSecond), "≥ 15000/s"},
		{target{}.show(times), ""},
	} {
		if c.got != c.want {
			t.Errorf("shown as %q, want %q", c.got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	var table strings.Builder
	printTable(&table, []figure{
		{name: "a median", unit: milliseconds, value: 0.5e-3, against: "(a)", baseline: 1e-3, least: atMost(0.55), try: atMost(0.4)},
		{name: "a rate", unit: perSecond, value: 9000, least: atLeast(8000), try: atLeast(9000)},
		{name: "a size", unit: megabytes, value: 1e6},
	})
	for _, want := range []string{
		`(?m)^ +jsd +baseline +ratio +at least +try for +met$`,
		`(?m)^a median +0\.50 ms +\(a\) 1\.00 ms +0\.50 × +≤ 0\.55 × +≤ 0\.4 × +at least$`,
		`(?m)^a rate +9000/s +≥ 8000/s +≥ 9000/s +both$`,
		`(?m)^a size +1\.00 MB *$`,
	} {
		if !regexp.MustCompile(want).MatchString(table.String()) {
			t.Errorf("no line %s in\n%s", want, table.String())
		}
	}
}

func TestCostIsOverAllRounds(t *testing.T) {
	figures := costFigures([]round{
		{flood: floods{cost: cost{calls: 1000, allocations: 50_000, cpu: 100e6}}},
		{flood: floods{cost: cost{calls: 1000, allocations: 30_000, cpu: 60e6}}},
	})
	if cpu, allocations := figures[0].value, figures[1].value; cpu != 80e-6 || allocations != 40 {
		t.Errorf("%v s and %v allocations a call, want 80 µs and 40", cpu, allocations)
	}
}

func TestFootprintLeavesOutTheFirstTenth(t *testing.T) {
	w := footprint{name: "jsd"}
	for n := range 100 {
		w.samples = append(w.samples, map[bool]float64{true: 1, false: 20}[n < 10])
	}
	for n := 90; n < 100; n++ {
		w.samples[n] = 30
	}
	f := w.figure(100_000)
	if f.value != 30 || f.baseline != 20 || f.met() != "NO" {
		t.Errorf("%v against %v, met: %s", f.value, f.baseline, f.met())
	}
	if f := w.figure(1000); f.met() != "" {
		t.Errorf("a run that ends within warming up is judged: %s", f.met())
	}
}
