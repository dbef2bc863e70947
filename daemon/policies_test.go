package daemon_test

import (
	"strings"
	"testing"
	"time"
)

func TestFlagsOfTenants(t *testing.T) {
	for _, test := range []struct{ arguments, want string }{
		{"--timeout 5s --max-timeout 1s", "--timeout 5s is more than --max-timeout 1s"},
		{"--heap 300", "--heap 300 is more than --memory 256"},
		{"--burst 5", "--burst needs a --rate"},
		{"--burst=-1 --rate 5", "--burst may not be negative"},
		{"--rate=-1", "--rate has to be from 0 to 1000000000"},
		{"--rate=NaN", "--rate has to be from 0 to 1000000000"},
		{"--max-age=-1s", "--max-age may not be negative"},
		{"--max-calls=-1", "--max-calls may not be negative"},
		{"--containers 0", "--containers has to be above 0"},
		{"--languages javascript,perl", `--languages has to be of javascript, typescript, and "perl" is none`},
		{"--reuse never", `--reuse must be one of "tenant","call" but got "never"`},
	} {
		if _, err := settings(t, strings.Fields(test.arguments)...); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.arguments, err, test.want)
		}
	}
	c, err := settings(t, strings.Fields("--containers 3 --max-age 2h --max-calls 9 --rate 2.5 --reuse call --languages typescript --cpu-budget 1s --queue-tenant 7")...)
	if err != nil {
		t.Fatal(err)
	}
	policies, err := c.OpenPolicies()
	if err != nil {
		t.Fatal(err)
	}
	p := policies.Of("anybody")
	if p.Containers != 3 || p.MaxAge != 2*time.Hour || p.MaxCalls != 9 || p.Rate != 2.5 || p.Burst != 3 || p.Reuse != "call" ||
		strings.Join(p.Languages, " ") != "typescript" || p.CPUBudget != time.Second || p.Queue != 7 || p.Weight != 1 {
		t.Errorf("got %+v", p)
	}
}
