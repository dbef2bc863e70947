package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func tenantsFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	write(t, file, content)
	return file
}

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
	policies, err := c.openPolicies()
	if err != nil {
		t.Fatal(err)
	}
	p := policies.Of("anybody")
	if p.Containers != 3 || p.MaxAge != 2*time.Hour || p.MaxCalls != 9 || p.Rate != 2.5 || p.Burst != 3 || p.Reuse != "call" ||
		strings.Join(p.Languages, " ") != "typescript" || p.CPUBudget != time.Second || p.Queue != 7 || p.Weight != 1 {
		t.Errorf("got %+v", p)
	}
}

// Each limit of a tenant that is judged in front of the scheduler holds with the containers there are,
// and another tenant has none of it.
func TestLimitsOfATenantHold(t *testing.T) {
	d := start(t, "docker", "--max-containers", "16", "--spare", "2", "--tenants", tenantsFile(t, `
defaults:
  timeout: 20s
tenants:
  brief: {timeout: 300ms, maxTimeout: 1s}
  frugal: {cpuBudget: 200ms}
  small: {memory: 100}
  typed: {languages: [typescript]}
  once: {reuse: call}
  talks: {sessions: 1}
  naps: {sessions: 1, sessionIdle: 100ms}
  puts: {bundles: 1}
  forgets: {keepTime: 100ms}
  narrow: {inFlight: 1, frame: 2000, connections: 1}
`))
	client := func() *client { return dial(t, d.listener.Addr().String(), "json-rpc", nil) }
	c := client()
	call := func(tenant, code string, more ...any) reply {
		s := script{"code": code, "tenant": tenant}
		for i := 0; i < len(more); i += 2 {
			s[more[i].(string)] = more[i+1]
		}
		return c.execute(s)
	}
	expect := func(what string, got reply, want, key, value string) {
		t.Helper()
		if got.String() != want || key != "" && got.data(key) != value {
			t.Errorf("%s: got %v %s, want %s %s", what, got, got.data(key), want, value)
		}
	}
	const busy, forbidden, limited = "1006 Busy", "1007 Forbidden", "1004 Limit exceeded"
	waits := "new Promise(done => setTimeout(done, 600, 1))"
	expect("timeout", call("brief", waits), "1002 Timeout", "limit", "wall")
	expect("timeout of others", call("other", waits), "1", "", "")
	expect("maxTimeout", call("brief", "1", "timeout", 1001), forbidden, "what", "timeout")
	expect("cpuBudget", call("frugal", "for (;;);"), "1002 Timeout", "limit", "cpu")
	expect("waiting", call("frugal", waits), "1", "", "")
	expect("memory", call("small", "1", "memory", 101), forbidden, "what", "memory")
	expect("languages", call("typed", "1"), forbidden, "what", "language")
	expect("languages", call("typed", "let x: number = 1; x", "language", "typescript"), "1", "", "")

	first, second := c.stats(script{"code": "1", "tenant": "once"}), c.stats(script{"code": "1", "tenant": "once"})
	if first.Container == second.Container || !*second.Cold {
		t.Error("reuse: a container was used again")
	}
	expect("session of once", c.call("runtime.open", script{"code": "1", "tenant": "once"}), forbidden, "what", "reuse")

	session := script{"code": "1", "tenant": "talks"}
	c.open("1", "tenant", "talks")
	expect("sessions", c.call("runtime.open", session), limited, "limit", "sessions")
	c.open("1", "tenant", "naps")
	c.openAtLast(t, script{"code": "1", "tenant": "naps"}) // sessionIdle

	folder := script{"index.js": "// " + strings.Repeat("x", 1<<20)}
	expect("bundles", c.call("runtime.put", script{"files": folder, "tenant": "puts"}), limited, "limit", "bundle")
	if got := c.call("runtime.put", script{"files": folder}); got.Error != nil {
		t.Errorf("bundles of others: %v", got)
	}

	call("forgets", "1", "execution", "x")
	call("other", "1", "execution", "x")
	until(t, "keepTime", func() bool {
		return c.call("runtime.attach", script{"execution": "x", "tenant": "forgets"}).String() == "1009 Not found"
	})
	expect("keepTime of others", c.call("runtime.attach", script{"execution": "x", "tenant": "other"}), "1", "", "")

	_, answer := c.start("runtime.execute", script{"code": waits, "tenant": "narrow"})
	expect("inFlight", call("narrow", "1"), busy, "", "")
	expect("frame", call("narrow", "// "+strings.Repeat("x", 2000)), limited, "limit", "frame")
	expect("inFlight", c.wait(answer), "1", "", "")
	another := client()
	expect("connections", another.execute(script{"code": "1", "tenant": "narrow"}), limited, "limit", "connections")
	expect("connections of others", another.execute(script{"code": "1", "tenant": "other"}), "1", "", "")
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
