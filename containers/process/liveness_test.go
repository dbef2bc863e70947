package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/drivertest"
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
		t.Fatal("the agent was not ended")
	}
}

// An agent that computes for ever looks like one that is throttled, but is no use either.
func TestAgentThatLoopsIsEnded(t *testing.T) {
	d := newDriver(t, changed(t, "case KIND.ping: ", "case KIND.ping: for (;;);\n"))
	c := openHasty(t, start(t, d), 3*time.Second)
	begun := time.Now()
	waitEnded(t, c)
	if ended := time.Since(begun); ended < 3*time.Second {
		t.Errorf("ended after %v", ended)
	}
	if _, err := drivertest.Execute(t.Context(), c, call.Call{}); !errors.Is(err, containers.ErrSilent) {
		t.Errorf("got %v", err)
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

func TestProcessorTimeOfNoGroup(t *testing.T) {
	if cpu, err := groupCPU(1 << 30); !errors.Is(err, errNoTimes) {
		t.Errorf("got %v, %v", cpu, err)
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
