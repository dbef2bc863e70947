package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/containers"
)

// hasty is a patience that tests can wait for.
func hasty(silence time.Duration) containers.Limits {
	l := limits
	l.Liveness = containers.Liveness{
		Interval: 50 * time.Millisecond, Patience: 100 * time.Millisecond, Window: 500 * time.Millisecond, Silence: silence,
	}
	return l
}

func openHasty(t *testing.T, p containers.Process, silence time.Duration) *containers.Container {
	t.Helper()
	c, err := containers.Open(t.Context(), p, hasty(silence), zerolog.New(zerolog.NewTestWriter(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func waitEnded(t *testing.T, c *containers.Container) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the agent was not given up")
	}
}

func TestStoppedAgentIsGivenUp(t *testing.T) {
	d := newDriver(t, realAgent(t))
	for name, script := range map[string]string{
		"idle":         "",
		"under a call": `{"code":"function f(cb) { console.log('waits'); setTimeout(cb, 600000) }","call":"f","caller":"function (f, cb) { f(cb) }"}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, d)
			c := openHasty(t, p, time.Hour)
			waits := make(waiting, 1)
			job := make(chan error, 1)
			if script != "" {
				go func() {
					_, err := c.Execute(t.Context(), call.Call{
						Script: []byte(script), Timeout: 20 * time.Minute, CPU: time.Minute, Stream: true, Client: waits,
					})
					job <- err
				}()
				<-waits
			}
			if err := syscall.Kill(p.command.Process.Pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			waitEnded(t, c)
			var lost *call.LostError
			if script != "" {
				if err := <-job; !errors.As(err, &lost) || !lost.Started || !errors.Is(err, containers.ErrSilent) {
					t.Errorf("got %v", err)
				}
			}
			_, err := c.Execute(t.Context(), call.Call{Script: []byte(`{"code":"1"}`), Timeout: time.Minute})
			if !errors.As(err, &lost) || lost.Started || !errors.Is(err, containers.ErrSilent) {
				t.Errorf("a later call got %v", err)
			}
		})
	}
}

// An agent that computes for ever looks like one that is throttled, but is no use either.
func TestAgentThatLoopsIsGivenUpInTheEnd(t *testing.T) {
	d := newDriver(t, changed(t, "case KIND.ping: ", "case KIND.ping: for (;;);\n"))
	c := openHasty(t, start(t, d), 3*time.Second)
	begun := time.Now()
	waitEnded(t, c)
	if ended := time.Since(begun); ended < 3*time.Second {
		t.Errorf("given up after %v", ended)
	}
	if _, err := c.Execute(t.Context(), call.Call{}); !errors.Is(err, containers.ErrSilent) {
		t.Errorf("got %v", err)
	}
}

func TestBusyAgentIsNotGivenUp(t *testing.T) {
	c := openHasty(t, start(t, newDriver(t, realAgent(t))), 20*time.Second)
	calls := make(chan error)
	for range limits.Concurrency {
		go func() {
			_, err := c.Execute(t.Context(), call.Call{Script: []byte(`{"code":"for (;;);"}`), Timeout: 3 * time.Second, CPU: time.Minute})
			calls <- err
		}()
	}
	for range limits.Concurrency {
		var failure *call.Failure
		if err := <-calls; !errors.As(err, &failure) || failure.Code != call.Timeout {
			t.Errorf("got %v", err)
		}
	}
	if _, err := c.Execute(t.Context(), call.Call{Script: []byte(`{"code":"1"}`), Timeout: time.Minute, CPU: time.Minute}); err != nil {
		t.Error(err)
	}
}

func TestCPUOfAGroup(t *testing.T) {
	p := start(t, newDriver(t, realAgent(t)))
	c := openContainer(t, p)
	used := func() time.Duration {
		t.Helper()
		cpu, err := p.CPU(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return cpu
	}
	before := used()
	// The worker that overran is gone afterwards, but what it used is not.
	_, err := c.Execute(t.Context(), call.Call{Script: []byte(`{"code":"for (;;);"}`), Timeout: 5 * time.Second, CPU: 300 * time.Millisecond})
	var failure *call.Failure
	if !errors.As(err, &failure) || failure.Limit != "cpu" {
		t.Fatalf("got %v", err)
	}
	if after := used(); before <= 0 || after < before+300*time.Millisecond || after > before+3*time.Minute {
		t.Errorf("used %v, then %v", before, after)
	}
	if cpu, err := groupCPU(1 << 30); !errors.Is(err, errNoTimes) {
		t.Errorf("of no group: %v, %v", cpu, err)
	}
}

func TestAgentOfAnotherLinkVersionSaysSo(t *testing.T) {
	version := func(n int) string { return fmt.Sprintf("const VERSION = %d;", n) }
	p := start(t, newDriver(t, changed(t, version(containers.Version), version(3))))
	_, err := containers.Open(t.Context(), p, limits, zerolog.Nop())
	want := fmt.Sprintf("the daemon speaks version %d of the link, this agent 3: build its image again", containers.Version)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// changed is the real agent with other words in agent.js.
func changed(t *testing.T, old, new string) fs.FS {
	t.Helper()
	agent := fstest.MapFS{}
	err := fs.WalkDir(realAgent(t), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(realAgent(t), name)
		agent[name] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	file := agent[entry]
	if !bytes.Contains(file.Data, []byte(old)) {
		t.Fatalf("agent.js has no %q", old)
	}
	file.Data = bytes.Replace(file.Data, []byte(old), []byte(new), 1)
	return agent
}

// waiting is told when a script has printed something.
type waiting chan string

func (w waiting) Print(_, text string) { w <- text }

func (w waiting) Callback(context.Context, string, json.RawMessage) (json.RawMessage, error) {
	return nil, errors.New("none")
}
