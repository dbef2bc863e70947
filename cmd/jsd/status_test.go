package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/daemon"
	"github.com/jsd-project/jsd/jsdtest"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	d := start(t, "process", "--admin-listen", "127.0.0.1:0", "--concurrency", "1", "--max-containers", "2", "--spare", "0", "--min-containers", "0")
	c := d.Dial(t, "json-rpc")
	c.Open("1", "tenant", "shop")
	begun := make(chan callback, 1)
	c.Answers(func(b callback) { begun <- b })
	_, runs := c.Start("runtime.execute", script{"code": "host.f()", "callbacks": list("f"), "timeout": 60000, "tenant": "acme"})
	asked := c.Begins(runs, begun)
	var waiting []<-chan reply
	for range 2 {
		_, answer := c.Start("runtime.execute", script{"code": "1", "tenant": "acme"})
		waiting = append(waiting, answer)
	}
	eventually(t, "two calls wait", func() bool { return d.Status().Calls.Waiting == 2 })
	profile, address := d.Status().Tenants[0].Profile, d.AdminAddr().String()
	got := command(t, "", "status", "--admin", address)
	var lines []string
	for line := range strings.Lines(got.out) {
		if words := strings.Fields(line); len(words) > 0 {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	for _, want := range []string{
		"jsd test on " + d.Address() + ", process driver, up ",
		"calls: 1 running, 2 waiting, 1 ended, 0 refused; connections: 1; sessions: 1",
		"containers: 0 starting, 0 spare, 0 idle, 2 busy, 0 closing; at most 2",
		"TENANT PROFILE CONTAINERS RUNNING WAITING OLDEST", "acme " + profile + " 1 1 2 ", "shop " + profile + " 1 0 0 -",
		"CONTAINER STATE TENANT PROFILE RUNNING SESSIONS CALLS AGE", " busy acme " + profile + " 1 0 1 ", " pinned shop " + profile + " 0 1 1 ",
	} {
		if !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("no %q in\n%s", want, got.out)
		}
	}
	if got.status != 0 || got.err != "" {
		t.Errorf("status %d, %s", got.status, got.err)
	}
	var r daemon.Status
	got = command(t, "", "status", "--json", "--admin", address)
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.status != 0 {
		t.Fatalf("%v in %+v", err, got)
	}
	if len(r.Tenants) != 2 || r.Tenants[0].Name != "acme" || r.Tenants[0].Waiting != 2 || len(r.Containers) != 2 || r.Instance != d.Instance() {
		t.Errorf("got %+v", r)
	}
	asked.Resolve(1)
	for _, answer := range append(waiting, runs) {
		c.Wait(answer)
	}
}

func TestStatusWithoutAnAdminListener(t *testing.T) {
	t.Parallel()
	d := start(t, "process")
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"a":1}`)) }))
	defer strange.Close()
	free := jsdtest.FreeAddress(t)
	for _, test := range []struct{ address, want string }{
		{free, "no daemon answers on " + free + ": start one with --admin-listen " + free},
		{d.Address(), "is not what jsd serves with --admin-listen (404 Not Found)"},
		{strange.Listener.Addr().String(), "is not what jsd serves with --admin-listen"},
		{"nowhere", "has to be ADDRESS:PORT"},
		{"%:1", "has to be ADDRESS:PORT"},
	} {
		got := command(t, "", "status", "--admin", test.address)
		if got.status != statusJSD || got.out != "" || !strings.Contains(got.err, test.want) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: got %+v", test.address, got)
		}
	}
}

func TestStatusSaysWhatItLeavesOut(t *testing.T) {
	var out strings.Builder
	r := daemon.Status{NotReady: "no container is ready yet", LeftOut: daemon.StatusLeftOut{Containers: 2, Tenants: 70}, Containers: []daemon.StatusContainer{
		{ID: "jsd-a", State: "idle", Tenant: "a", Profile: "image:2", Age: 3_723_400},
	}}
	if err := printStatus(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"not ready: no container is ready yet", "and 70 more tenants with fewer calls", "and 2 more containers with fewer calls",
		"jsd-a      idle   a       image:2  0        0         0      1h2m3s",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	for ms, want := range map[int64]string{0: "-", 1: "1ms", 149: "149ms", 1_234: "1.2s", 12_345: "12s"} {
		if got := span(ms); got != want {
			t.Errorf("%d ms: %s, want %s", ms, got, want)
		}
	}
}
