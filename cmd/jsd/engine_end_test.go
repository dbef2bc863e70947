package main

import (
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What only an engine that may be broken shows, of daemons that are processes.
func TestOnAnEngineOfItsOwn(t *testing.T) {
	engine := needOwnEngine(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *ownEngine)
	}{
		{"only calls in what died are lost", onlyCallsInWhatDiedAreLost},
		{"SIGKILL leaves nothing after the next start", sigkillLeavesNothing},
		{"daemons on one engine", daemonsOnOneEngine},
		{"SIGTERM drains", sigtermDrains},
		{"gVisor", onGVisor},
		{"SIGTERM with an engine that is stopped", sigtermWithoutEngine},
	} {
		t.Run(test.name, func(t *testing.T) {
			engine.t = t
			test.run(t, engine)
			if left := engine.containers(); len(left) > 0 {
				t.Errorf("left: %v", left)
				engine.docker(append([]string{"rm", "--force"}, left...)...)
			}
		})
	}
	engine.t = t
}

var oneSpare = []string{"--listen", "127.0.0.1:0", "--spare", "1", "--min-containers", "0", "--max-containers", "5", "--drain-timeout", "2s"}

// occupy sends a call that has begun when it returns, and takes as long as it is told.
func occupy(t *testing.T, c *client, tenant string, length time.Duration) <-chan reply {
	t.Helper()
	begun := make(chan callback, 1)
	c.answers(func(asked callback) {
		asked.resolve(nil)
		begun <- asked
	})
	call := lasts(tenant, length, 1)
	call["code"] = "host.begun().then(() => " + call["code"].(string) + ")"
	_, answer := c.start("runtime.execute", with(call, "callbacks", []string{"begun"}, "timeout", 60000))
	c.begins(answer, begun)
	return answer
}

// Calls of a daemon that is killed end with their connections, and its containers with the next start,
// also one that cannot notice that its daemon is gone.
func sigkillLeavesNothing(t *testing.T, engine *ownEngine) {
	settings := append([]string{"--instance", "killed"}, oneSpare...)
	j := serveOn(t, engine, settings...)
	clients, answers := []*client{}, []<-chan reply{}
	for _, tenant := range []string{"a", "b", "c"} {
		c := dial(t, j.address, "json-rpc", nil)
		clients, answers = append(clients, c), append(answers, occupy(t, c, tenant, time.Minute))
	}
	old := engine.containers()
	engine.pause(old[len(old)-1])
	j.end(syscall.SIGKILL)
	for i, c := range clients {
		<-c.done
		select {
		case got := <-answers[i]:
			t.Errorf("an answer of a daemon that was killed: %s", got)
		default:
		}
	}
	j = serveOn(t, engine, settings...)
	for _, name := range engine.containers() {
		if slices.Contains(old, name) {
			t.Errorf("left: %s", name)
		}
	}
	if got := dial(t, j.address, "json-rpc", nil).execute(lasts("a", 0, 1)).String(); got != "1" {
		t.Errorf("after it: %s", got)
	}
	j.end(syscall.SIGTERM)
}

// Daemons on the same port of different addresses leave each other's containers alone, and two with
// the same name are not had at once.
func daemonsOnOneEngine(t *testing.T, engine *ownEngine) {
	first := serveOn(t, engine, oneSpare...)
	_, port, err := net.SplitHostPort(first.address)
	if err != nil {
		t.Fatal(err)
	}
	at := func(host string) []string { return append(slices.Clone(oneSpare), "--listen", host+":"+port) }
	second := serveOn(t, engine, at("127.0.0.2")...)
	answer := occupy(t, dial(t, second.address, "json-rpc", nil), "a", 3*time.Second)
	labelled := func(host string) []string {
		return engine.docker("ps", "--all", "--filter", "label=jsd.instance=at-"+host+"-"+port, "--format", "{{.Names}}")
	}
	eventually(t, "a container of each", func() bool { return len(labelled("127.0.0.1")) > 0 && len(labelled("127.0.0.2")) == 2 })
	others := labelled("127.0.0.2")
	first.end(syscall.SIGKILL)
	first = serveOn(t, engine, at("127.0.0.1")...)
	first.becomes(200)
	if now := labelled("127.0.0.2"); !slices.Equal(now, others) {
		t.Errorf("the other daemon has %v, had %v", now, others)
	}
	if got := (<-answer).String(); got != "1" {
		t.Errorf("its call gets %s", got)
	}
	third, line := launchOn(t, engine, append(slices.Clone(oneSpare), "--instance", "at-127.0.0.1-"+port)...)
	<-third.ended
	if status := third.cmd.ProcessState.ExitCode(); line != "" || status != 1 || !strings.Contains(third.log(), "another jsd") {
		t.Errorf("one of the same name: status %d, %s", status, third.log())
	}
	first.end(syscall.SIGTERM)
	second.end(syscall.SIGTERM)
}

func sigtermDrains(t *testing.T, engine *ownEngine) {
	j := serveOn(t, engine, oneSpare...)
	short, long := dial(t, j.address, "json-rpc", nil), dial(t, j.address, "duplex", nil)
	overlong := occupy(t, long, "b", time.Minute)
	inTime := occupy(t, short, "a", time.Second)
	took := j.end(syscall.SIGTERM)
	<-short.done // a second answer would have failed the test by then
	<-long.done
	if got := (<-inTime).String(); got != "1" {
		t.Errorf("a call shorter than the drain timeout gets %s", got)
	}
	if got := (<-overlong).String(); got != "1003 Cancelled" {
		t.Errorf("a call longer than it gets %s", got)
	}
	if status := j.cmd.ProcessState.ExitCode(); status != 0 || took < time.Second || took > 2*time.Second+closeTime {
		t.Errorf("status %d after %v", status, took)
	}
}

// An engine that answers nothing cannot keep jsd from ending. What it may have left it says, and the
// next start removes it.
func sigtermWithoutEngine(t *testing.T, engine *ownEngine) {
	settings := append([]string{"--instance", "stopped"}, oneSpare...)
	j := serveOn(t, engine, settings...)
	j.hasOneSpare()
	client := dial(t, j.address, "json-rpc", nil)
	answer := occupy(t, client, "a", time.Minute)
	eventually(t, "another spare", func() bool { return len(j.lines("container ready")) == 2 }) // the engine goes on with what it was asked for before
	engine.signal(syscall.SIGSTOP)
	took := j.end(syscall.SIGTERM)
	<-client.done
	engine.signal(syscall.SIGCONT)
	if got := (<-answer).String(); got != "1003 Cancelled" {
		t.Errorf("the call gets %s", got)
	}
	log := j.log()
	if status := j.cmd.ProcessState.ExitCode(); status != 1 || took > 2*time.Second+closeTime+10*time.Second {
		t.Errorf("status %d after %v", status, took)
	}
	if !strings.Contains(log, "not removed from the engine") || !strings.Contains(log, "--instance stopped removes") {
		t.Errorf("it does not say what is left: %s", log)
	}
	serveOn(t, engine, settings...).end(syscall.SIGTERM)
}
