package daemon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/containers/drivertest"
	"github.com/jsd-project/jsd/jsdtest"
)

// On gVisor scripts get what they get elsewhere. There the kernel of a container is a process of its own, which cannot be
// given other limits later. What endless loops and greedy scripts cost there is in the tables of package attack.
func onGVisor(t *testing.T, engine *jsdtest.Engine) {
	if _, err := exec.LookPath(jsdtest.GVisor); err != nil {
		jsdtest.Missing(t, err)
	}
	image, s := packagedImage(t, engine), newSite(t)
	j := jsdtest.Serve(t, engine, append(s.hosts(), "--listen", "127.0.0.1:0", "--instance", "gvisor", "--image", image, "--runtime", "runsc",
		"--spare", "1", "--min-containers", "0", "--max-containers", "4", "--timeout", "20s", "--drain-timeout", "2s")...)
	j.Becomes(200)
	for _, id := range engine.Containers() {
		if got := engine.Docker("inspect", "--format", "{{.HostConfig.Runtime}}", id); !slices.Equal(got, []string{jsdtest.GVisor}) {
			t.Errorf("%s runs on %v", id, got)
		}
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *jsdtest.Process)
	}{
		{"calls", gVisorCalls},
		{"sessions and callbacks", gVisorTalks},
		{"connections", func(t *testing.T, j *jsdtest.Process) { gVisorConnects(t, j, s) }},
		{"busy", gVisorBusy},
	} {
		t.Run(test.name, func(t *testing.T) {
			j.T = t
			test.run(t, j)
		})
	}
	j.T = t
	j.End(syscall.SIGTERM)
}

// packagedImage is the runtime image with a package.
func packagedImage(t *testing.T, engine *jsdtest.Engine) string {
	t.Helper()
	const name = "jsd-test-gvisor"
	build := engine.Command("build", "--quiet", "--tag", name, "-")
	build.Stdin = strings.NewReader("FROM " + docker.DefaultImage + `
USER 0:0
RUN mkdir -p /usr/local/lib/node_modules/triples && echo 'module.exports = (n) => 3 * n' >/usr/local/lib/node_modules/triples/index.js
USER 65534:65534
`)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

func gVisorCalls(t *testing.T, j *jsdtest.Process) {
	c := j.Dial(t, "json-rpc")
	bundle := c.Put(script{"index.js": "exports.f = (n) => require('triples')(n)"}, "tenant", "calls")
	for _, test := range []struct {
		script script
		want   string
	}{
		{script{"code": "6 * 7"}, "42"},
		{script{"code": "throw new TypeError('no')"}, "1000 TypeError"},
		{script{"bundle": bundle, "call": "f", "args": []int{5}}, "15"},
		{script{"code": "typeof WebAssembly.Memory + require('crypto').createHash('md5').update('').digest('hex').slice(0, 4)"}, `"functiond41d"`},
	} {
		if got := c.Execute(with(test.script, "tenant", "calls")); got.String() != test.want {
			t.Errorf("%v: got %v %s, want %s", test.script, got, got.Data("message"), test.want)
		}
	}
}

func gVisorTalks(t *testing.T, j *jsdtest.Process) {
	c := j.Dial(t, "duplex")
	c.Answers(func(asked callback) { asked.Resolve(asked.Args[0]) })
	session := c.Open("let n = 1", "tenant", "talks")
	for want := 2; want <= 4; want++ {
		got := c.In(session, "host.echo(++n)", "callbacks", []string{"echo"})
		if got.String() != fmt.Sprint(want) {
			t.Errorf("got %v, want %d", got, want)
		}
	}
}

func gVisorConnects(t *testing.T, j *jsdtest.Process, s *site) {
	c := j.Dial(t, "json-rpc")
	for code, want := range map[string]string{
		`(async () => (await fetch(http_ + '/count', { method: 'POST', body: 'x'.repeat(3000000) })).text())()`:                                                                                   `"3000000"`,
		`new Promise((ok, no) => require('https').get(https_ + '/bytes?3000000', { ca }, (r) => { let n = 0; r.on('data', (b) => { n += b.length; }).on('end', () => ok(n)); }).on('error', no))`: `3000000`,
		`fetch('http://api.example.com').catch((e) => e.cause.message)`:                                                                                                                           `"connect to api.example.com:80 is not allowed: it is not in hosts of tenant connects"`,
	} {
		if got := c.Execute(with(s.script(code), "tenant", "connects")).String(); got != want {
			t.Errorf("%s: got %s, want %s", code, got, want)
		}
	}
}

// A container that has more to do than its processor allows is not taken for one that is stuck.
func gVisorBusy(t *testing.T, j *jsdtest.Process) {
	c := j.Dial(t, "json-rpc")
	var answers []<-chan reply
	for range 8 { // as many as a container takes, each in processes and threads of its own
		_, answer := c.Start("runtime.execute", script{"code": "for (const t = Date.now(); Date.now() - t < 2000;); 1", "tenant": "busy", "timeout": 20000})
		answers = append(answers, answer)
	}
	for _, answer := range answers {
		if got := c.Wait(answer).String(); got != "1" {
			t.Errorf("got %s", got)
		}
	}
}

// A container whose agent is slow to answer lives as long as the engine counts processor time for it, or says
// that it does not know.
func TestLivenessOnGVisor(t *testing.T) {
	t.Parallel()
	jsdtest.NeedImage(t)
	driver, err := docker.New(t.Context(), docker.Config{Instance: "gvisor-liveness", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	spec := docker.Spec{Image: docker.DefaultImage, Runtime: jsdtest.GVisor, Memory: 256, CPUs: 0.5, PIDs: 128, Tmp: 16}
	if _, err := driver.Check(t.Context(), spec); errors.Is(err, docker.ErrNoRuntime) {
		jsdtest.Missing(t, err)
	}
	process, err := driver.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	c, err := containers.Open(t.Context(), process, containers.Limits{
		Concurrency: 4, Workers: 4, Heap: 64, Memory: 256, Result: 1 << 10, ConsoleLines: 1, ConsoleBytes: 1 << 10,
		Liveness: containers.Liveness{Interval: 10 * time.Millisecond, Patience: 10 * time.Millisecond, Window: 500 * time.Millisecond, Silence: time.Minute},
	}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			job := call.Call{Script: json.RawMessage(`{"code":"for (const t = Date.now(); Date.now() - t < 2000;);"}`), Timeout: time.Minute, CPU: time.Minute}
			_, err := drivertest.Execute(t.Context(), c, job)
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	used, err := process.(containers.Meter).CPU(t.Context())
	if unknown := errors.Is(err, docker.ErrNoCount); !unknown && (err != nil || used < 500*time.Millisecond || used > 3*time.Minute) {
		t.Errorf("the engine counts %v, %v", used, err)
	}
}
