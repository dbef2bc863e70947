package daemon_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jsd-project/jsd/jsdtest"
)

const (
	away     = 3 * time.Second // for how long an engine is, at least
	kept     = 6               // idle connections to the engine that its client has for half a minute
	attempts = 12              // to start a container meanwhile, at most: without a pause in between there would be hundreds
)

// A sent call and what came of it.
type sentCall struct {
	tenant      string
	at, replied time.Time
	want, got   string
	length      time.Duration
}

// A stream is a client whose next call follows each reply, for as long as the test breaks things.
type stream struct {
	tenant string
	client *client
	calls  []sentCall // its own until run returns
}

func (s *stream) run(stop <-chan struct{}) {
	for n := 1; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		length := []time.Duration{time.Millisecond, 20 * time.Millisecond, 150 * time.Millisecond}[rand.N(3)]
		call := sentCall{tenant: s.tenant, at: time.Now(), want: strconv.Itoa(n), length: length}
		call.got = s.client.Execute(lasts(s.tenant, length, n)).String()
		call.replied = time.Now()
		s.calls = append(s.calls, call)
	}
}

// lasts is a script that comes to n after a while.
func lasts(tenant string, length time.Duration, n int) script {
	return script{
		"tenant": tenant, "timeout": 2000,
		"code": fmt.Sprintf("new Promise(done => setTimeout(() => done(%d), %d))", n, length.Milliseconds()),
	}
}

// A crowd is clients of several tenants, in both dialects, at the same time.
type crowd struct {
	streams []*stream
	running sync.WaitGroup
	stop    chan struct{}
}

func gather(t *testing.T, j *jsdtest.Process, tenants ...string) *crowd {
	c := &crowd{stop: make(chan struct{})}
	for _, tenant := range tenants {
		for _, dialect := range []string{"json-rpc", "duplex"} {
			s := &stream{tenant: tenant, client: j.Dial(t, dialect)}
			c.streams = append(c.streams, s)
			c.running.Go(func() { s.run(c.stop) })
		}
	}
	return c
}

// end returns all calls, each of which has its one answer: a second would have failed the test.
func (c *crowd) end() (calls []sentCall) {
	close(c.stop)
	c.running.Wait()
	for _, s := range c.streams {
		_ = s.client.Conn.CloseNow()
		calls = append(calls, s.calls...)
	}
	return calls
}

// Containers die in every way there is, and the engine under them, while calls run all the time. Only
// calls in what died are lost, the others at most wait; and nothing is left of any of it.
func onlyCallsInWhatDiedAreLost(t *testing.T, engine *jsdtest.Engine) {
	settings := []string{
		"--listen", "127.0.0.1:0", "--instance", "proof", "--queue-time", "2m", "--idle-timeout", "0", "--cpus", "2",
		"--spare", "1", "--min-containers", "0", "--max-containers", "5", // one for each tenant
	}
	j := jsdtest.Serve(t, engine, settings...)
	hasOneSpare(j, engine)
	files := j.Files()
	tenants := []string{"a", "b", "c", "d"}
	c := gather(t, j, tenants...)
	paused, pausedAt := breakContainers(t, engine, j, len(tenants))
	restart(t, engine, j, "SIGTERM", func() { engine.Stop(syscall.SIGTERM) })
	restart(t, engine, j, "SIGKILL", func() { engine.Stop(syscall.SIGKILL) })
	restart(t, engine, j, "loss of power", engine.KillAll)
	judge(t, j, c.end(), paused, pausedAt)

	stopAll(t, j, append(tenants, "hog"))
	hasOneSpare(j, engine)
	eventually(t, fmt.Sprintf("%d open files", files), func() bool { return j.Files() <= files+kept })
	after := j.Goroutines()

	j = jsdtest.Serve(t, engine, settings...) // also removes what that end has left
	hasOneSpare(j, engine)
	if fresh := j.Goroutines(); !maps.Equal(after, fresh) {
		t.Errorf("goroutines at the end: %v, at the beginning: %v", after, fresh)
	}
	jsdtest.Serve(t, engine, settings...).End(syscall.SIGTERM)
	if left := engine.Containers(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// breakContainers ends single ones, and gives the one that was paused, and when. No other may end for it.
func breakContainers(t *testing.T, engine *jsdtest.Engine, j *jsdtest.Process, tenants int) (paused string, at time.Time) {
	var broken []string
	for _, breakIt := range []func(id string){func(id string) { engine.Docker("kill", id) }, engine.Pause} {
		var all []string
		eventually(t, "a container for each, and a spare", func() bool {
			all = engine.Containers() // the one that was killed may still be there
			return len(all) == tenants+1 && !slices.ContainsFunc(all, func(id string) bool { return slices.Contains(broken, id) })
		})
		oldest := all[len(all)-1] // the spare is the newest
		at = time.Now()
		breakIt(oldest)
		broken = append(broken, oldest)
		eventually(t, "jsd notices", func() bool { return slices.Contains(deaths(j), oldest) })
	}
	hog := j.Dial(t, "json-rpc")
	defer hog.Conn.CloseNow()
	greedy := script{"tenant": "hog", "timeout": 30000, "code": "for (const all = [];;) all.push(Buffer.alloc(1 << 20, 1))"}
	if got := hog.Execute(greedy).String(); got != "1004 Limit exceeded" && got != "1005 Sandbox lost" {
		t.Errorf("out of memory: %s", got)
	}
	if got := hog.Execute(lasts("hog", 0, 1)).String(); got != "1" {
		t.Errorf("after running out of memory: %s", got)
	}
	for _, id := range deaths(j) {
		if !slices.Contains(broken, id) && tenantsOf(j)[id] != "hog" {
			t.Errorf("container %s ended, too", id)
		}
	}
	return broken[1], at
}

// restart ends the engine, and with it all containers, and starts it again after a while.
func restart(t *testing.T, engine *jsdtest.Engine, j *jsdtest.Process, name string, end func()) {
	t.Helper()
	j.Becomes(200)
	failed := len(j.Lines("container did not start"))
	ended := time.Now()
	end()
	j.Becomes(503)
	time.Sleep(time.Until(ended.Add(away)))
	if status := j.Readiness(); status != 503 {
		t.Errorf("%s: /readyz gives %d without an engine", name, status)
	}
	if n := len(j.Lines("container did not start")) - failed; n > attempts {
		t.Errorf("%s: %d attempts to start a container in %v", name, n, time.Since(ended))
	}
	engine.Start()
	back := time.Now()
	j.Becomes(200)
	t.Logf("%s: away for %v, %d attempts to start meanwhile, ready again after %v", name,
		back.Sub(ended).Round(time.Millisecond), len(j.Lines("container did not start"))-failed, time.Since(back).Round(time.Millisecond))
	client := j.Dial(t, "json-rpc")
	defer client.Conn.CloseNow()
	for _, tenant := range []string{"a", "b", "c", "d", "hog"} {
		if got := client.Execute(lasts(tenant, 0, 1)).String(); got != "1" {
			t.Errorf("%s: after it %s gets %s", name, tenant, got)
		}
	}
}

func stopAll(t *testing.T, j *jsdtest.Process, tenants []string) {
	client := j.Dial(t, "json-rpc")
	defer client.Conn.CloseNow()
	for _, tenant := range tenants {
		if got := client.Call("runtime.stop", script{"tenant": tenant}); got.Error != nil {
			t.Errorf("stop %s: %v", tenant, got)
		}
	}
}

// deaths are the containers that ended, in jsd's eyes.
func deaths(j *jsdtest.Process) (ids []string) {
	for _, line := range j.Lines("container ended") {
		ids = append(ids, line.Container)
	}
	return ids
}

// tenantsOf are those that the containers belonged to that are closed.
func tenantsOf(j *jsdtest.Process) map[string]string {
	of := map[string]string{}
	for _, line := range j.Lines("container closed") {
		of[line.Container] = line.Tenant
	}
	return of
}

// judge checks each call's outcome against what jsd's log says of its tenant's containers.
func judge(t *testing.T, j *jsdtest.Process, calls []sentCall, paused string, pausedAt time.Time) {
	t.Helper()
	tenants, ends := tenantsOf(j), j.Lines("container ended")
	lost := func(call sentCall) bool {
		return slices.ContainsFunc(ends, func(end jsdtest.LogLine) bool { // the log tells whole seconds
			return tenants[end.Container] == call.tenant && call.at.Before(end.Time.Add(time.Second)) && call.replied.After(end.Time)
		})
	}
	stopped := func(call sentCall) bool { // it was in the paused container, before that was given up
		return slices.ContainsFunc(ends, func(end jsdtest.LogLine) bool {
			return end.Container == paused && tenants[paused] == call.tenant &&
				call.replied.After(pausedAt) && call.at.Before(end.Time.Add(time.Second))
		})
	}
	counts := map[string]int{}
	for _, call := range calls {
		took := call.replied.Sub(call.at)
		switch {
		case call.got == call.want && took >= call.length-time.Millisecond: // by the container's clock, in whole ms
			counts["value"]++
			if took > away {
				counts["value after a wait"]++
			}
		case call.got == "1005 Sandbox lost" && lost(call):
			counts["lost"]++
		case call.got == "1002 Timeout" && stopped(call):
			counts["timeout"]++
		default:
			t.Errorf("tenant %s: got %s after %v, want %s after %v", call.tenant, call.got, took, call.want, call.length)
		}
	}
	t.Log(len(calls), "calls:", counts)
	if counts["value"] == 0 || counts["value after a wait"] == 0 || counts["lost"] == 0 {
		t.Error("not all of it has happened")
	}
	if strings.Contains(j.Log(), "DATA RACE") {
		t.Error("a data race")
	}
}
