package containers

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

// openPiped gives a container whose agent is behind pipes of the kernel, says hello, and then follows the script. The
// test ends when the script has.
func openPiped(t *testing.T, script func(*peer, io.Closer)) (*Container, *pipedProcess) {
	t.Helper()
	process, theirs := newPipedProcess(t)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		defer theirs.Close()
		p := &peer{t: t, conn: theirs, frames: newFrameBuffer(MaxFrame)}
		p.next()
		p.send(kindHello, goodHello, "")
		script(p, theirs)
	}()
	c, err := Open(t.Context(), process, testLimits, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		<-finished
	})
	return c, process
}

// The agent writes its last answer and is gone before the daemon looks. One event stands for both, so the end may be missed,
// until the process says so.
func TestEndThatComesWithTheLastAnswer(t *testing.T) {
	for range 50 {
		c, process := openPiped(t, func(p *peer, pipes io.Closer) {
			id, _, _ := p.nextCall()
			p.result(id, "1")
			_ = pipes.Close()
		})
		c.gives(t, *minute(), "1")
		close(process.ended)
		<-c.Done()
		if cause := c.link.lost().Cause; !errors.Is(cause, errAgentEnded) || !strings.HasSuffix(cause.Error(), io.EOF.Error()) && cause != errAgentEnded {
			t.Errorf("ended by %v", cause)
		}
	}
}

// A process may seem to have ended, by closing its standard error, say, and go on.
func TestEndThatIsNone(t *testing.T) {
	asked := make(chan struct{})
	c, process := openPiped(t, func(p *peer, _ io.Closer) {
		for id, _, ok := p.nextCall(); ok; id, _, ok = p.nextCall() {
			if id == 1 {
				close(asked)
			}
			p.result(id, fmt.Sprint(id))
		}
	})
	for id := 1; id < 50; id++ {
		c.gives(t, *minute(), fmt.Sprint(id))
		if id == 1 {
			<-asked
			close(process.ended)
		}
	}
}

// Whatever a pipe does not hold waits, in order, and the agent gets it when it reads.
func TestAgentThatReadsLate(t *testing.T) {
	read := make(chan struct{})
	c, _ := openPiped(t, func(p *peer, _ io.Closer) {
		<-read
		for id, body, ok := p.nextCall(); ok; id, body, ok = p.nextCall() {
			p.result(id, body)
		}
	})
	var calls sync.WaitGroup
	for i := range testLimits.Concurrency {
		want := `"` + strings.Repeat("x", 50_000*i+10) + `"`
		calls.Add(1)
		c.Start(&call.Call{Script: []byte(want), Timeout: time.Minute}, func(result call.Result, err error) {
			defer calls.Done()
			if string(result.Value) != want || err != nil {
				t.Errorf("call %d got %d bytes, %v", i, len(result.Value), err)
			}
		})
	}
	close(read)
	calls.Wait()
}
