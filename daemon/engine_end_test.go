package daemon_test

import (
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jsd-project/jsd/daemon"
	"github.com/jsd-project/jsd/jsdtest"
)

// What only an engine that may be broken shows, of daemons that are processes.

type engineTest struct {
	name string
	run  func(*testing.T, *jsdtest.Engine)
}

func TestOnAnEngineThatEnds(t *testing.T) {
	onAnEngine(t, []engineTest{
		{"only calls in what died are lost", onlyCallsInWhatDiedAreLost},
		{"SIGKILL leaves nothing after the next start", sigkillLeavesNothing},
	})
}

func TestOnAnEngineThatStops(t *testing.T) {
	onAnEngine(t, []engineTest{
		{"daemons on one engine", daemonsOnOneEngine},
		{"SIGTERM drains", sigtermDrains},
		{"gVisor", onGVisor},
		{"SIGTERM with an engine that is stopped", sigtermWithoutEngine},
	})
}

func onAnEngine(t *testing.T, tests []engineTest) {
	t.Parallel()
	engine := jsdtest.NeedEngine(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			engine.T = t
			test.run(t, engine)
			if left := engine.Containers(); len(left) > 0 {
				t.Errorf("left: %v", left)
				engine.Docker(append([]string{"rm", "--force"}, left...)...)
			}
		})
	}
	engine.T = t
}

var oneSpare = []string{"--listen", "127.0.0.1:0", "--spare", "1", "--min-containers", "0", "--max-containers", "5", "--drain-timeout", "2s"}

// hasOneSpare waits until one container is ready, and no other there, on its way, or about to go.
func hasOneSpare(j *jsdtest.Process, engine *jsdtest.Engine) {
	j.T.Helper()
	eventually(j.T, "one spare container", func() bool {
		closed := len(j.Lines("container closed"))
		return len(j.Lines("container ready")) == closed+1 && len(j.Lines("container ended")) == closed && len(engine.Containers()) == 1
	})
}

// occupy sends a call that has begun when it returns, and takes as long as it is told.
func occupy(t *testing.T, c *client, tenant string, length time.Duration) <-chan reply {
	t.Helper()
	begun := make(chan callback, 1)
	c.Answers(func(asked callback) {
		asked.Resolve(nil)
		begun <- asked
	})
	call := lasts(tenant, length, 1)
	call["code"] = "host.begun().then(() => " + call["code"].(string) + ")"
	_, answer := c.Start("runtime.execute", with(call, "callbacks", []string{"begun"}, "timeout", 60000))
	c.Begins(answer, begun)
	return answer
}

// Calls of a daemon that is killed end with their connections, and its containers with the next start,
// also one that cannot notice that its daemon is gone.
func sigkillLeavesNothing(t *testing.T, engine *jsdtest.Engine) {
	settings := append([]string{"--instance", "killed"}, oneSpare...)
	j := jsdtest.Serve(t, engine, settings...)
	clients, answers := []*client{}, []<-chan reply{}
	for _, tenant := range []string{"a", "b", "c"} {
		c := j.Dial(t, "json-rpc")
		clients, answers = append(clients, c), append(answers, occupy(t, c, tenant, time.Minute))
	}
	old := engine.Containers()
	engine.Pause(old[len(old)-1])
	j.End(syscall.SIGKILL)
	for i, c := range clients {
		<-c.Done
		select {
		case got := <-answers[i]:
			t.Errorf("an answer of a daemon that was killed: %s", got)
		default:
		}
	}
	j = jsdtest.Serve(t, engine, settings...)
	for _, name := range engine.Containers() {
		if slices.Contains(old, name) {
			t.Errorf("left: %s", name)
		}
	}
	if got := j.Dial(t, "json-rpc").Execute(lasts("a", 0, 1)).String(); got != "1" {
		t.Errorf("after it: %s", got)
	}
	j.End(syscall.SIGTERM)
}

// Daemons on the same port of different addresses leave each other's containers alone, and two with
// the same name are not had at once.
func daemonsOnOneEngine(t *testing.T, engine *jsdtest.Engine) {
	first := jsdtest.Serve(t, engine, oneSpare...)
	_, port, err := net.SplitHostPort(first.Address)
	if err != nil {
		t.Fatal(err)
	}
	at := func(host string) []string { return append(slices.Clone(oneSpare), "--listen", host+":"+port) }
	second := jsdtest.Serve(t, engine, at("127.0.0.2")...)
	answer := occupy(t, second.Dial(t, "json-rpc"), "a", 3*time.Second)
	labelled := func(host string) []string {
		return engine.Docker("ps", "--all", "--filter", "label=jsd.instance=at-"+host+"-"+port, "--format", "{{.Names}}")
	}
	eventually(t, "a container of each", func() bool { return len(labelled("127.0.0.1")) > 0 && len(labelled("127.0.0.2")) == 2 })
	others := labelled("127.0.0.2")
	first.End(syscall.SIGKILL)
	first = jsdtest.Serve(t, engine, at("127.0.0.1")...)
	first.Becomes(200)
	if now := labelled("127.0.0.2"); !slices.Equal(now, others) {
		t.Errorf("the other daemon has %v, had %v", now, others)
	}
	if got := (<-answer).String(); got != "1" {
		t.Errorf("its call gets %s", got)
	}
	third := jsdtest.Command(t, append([]string{"serve", "--driver", "docker", "--instance", "at-127.0.0.1-" + port}, oneSpare...)...)
	third.Env = append(third.Env, "DOCKER_HOST="+engine.Host)
	refused := jsdtest.Launch(t, third)
	<-refused.Ended
	if status := refused.Status(); refused.Printed() != "" || status != 1 || !strings.Contains(refused.Log(), "another jsd") {
		t.Errorf("one of the same name: status %d, %s", status, refused.Log())
	}
	first.End(syscall.SIGTERM)
	second.End(syscall.SIGTERM)
}

func sigtermDrains(t *testing.T, engine *jsdtest.Engine) {
	j := jsdtest.Serve(t, engine, oneSpare...)
	short, long := j.Dial(t, "json-rpc"), j.Dial(t, "duplex")
	overlong := occupy(t, long, "b", time.Minute)
	inTime := occupy(t, short, "a", time.Second)
	took := j.End(syscall.SIGTERM)
	<-short.Done // a second answer would have failed the test by then
	<-long.Done
	if got := (<-inTime).String(); got != "1" {
		t.Errorf("a call shorter than the drain timeout gets %s", got)
	}
	if got := (<-overlong).String(); got != "1003 Cancelled" {
		t.Errorf("a call longer than it gets %s", got)
	}
	if status := j.Status(); status != 0 || took < time.Second || took > 2*time.Second+daemon.CloseTime {
		t.Errorf("status %d after %v", status, took)
	}
}

// An engine that answers nothing cannot keep jsd from ending. What it may have left it says, and the
// next start removes it.
func sigtermWithoutEngine(t *testing.T, engine *jsdtest.Engine) {
	settings := append([]string{"--instance", "stopped"}, oneSpare...)
	j := jsdtest.Serve(t, engine, settings...)
	hasOneSpare(j, engine)
	client := j.Dial(t, "json-rpc")
	answer := occupy(t, client, "a", time.Minute)
	eventually(t, "another spare", func() bool { return len(j.Lines("container ready")) == 2 }) // the engine goes on with what it was asked for before
	engine.Signal(syscall.SIGSTOP)
	took := j.End(syscall.SIGTERM)
	<-client.Done
	engine.Signal(syscall.SIGCONT)
	if got := (<-answer).String(); got != "1003 Cancelled" {
		t.Errorf("the call gets %s", got)
	}
	log := j.Log()
	if status := j.Status(); status != 1 || took > 2*time.Second+daemon.CloseTime+10*time.Second {
		t.Errorf("status %d after %v", status, took)
	}
	if !strings.Contains(log, "not removed from the engine") || !strings.Contains(log, "--instance stopped removes") {
		t.Errorf("it does not say what is left: %s", log)
	}
	jsdtest.Serve(t, engine, settings...).End(syscall.SIGTERM)
}
