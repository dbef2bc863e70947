package containers

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// cancelled gives a context that ends after d.
func cancelled(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestCancelCarriesTheConsole(t *testing.T) {
	c, _ := open(t, testLimits, func(p *peer) {
		id, _, _ := p.nextCall()
		f, _ := p.next()
		if want := `{"id":1}`; f.kind != kindCancel || string(f.header) != want {
			t.Errorf("got kind %d, %s, want a cancel", f.kind, f.header)
		}
		p.failure(id, `"code":1003,"console":["so far"]`)
		p.next()
	})
	_, err := c.Execute(cancelled(t, time.Millisecond), call.Call{Timeout: time.Minute})
	if want := (&call.Failure{Code: call.Cancelled, Console: []string{"so far"}}); !reflect.DeepEqual(err, want) {
		t.Errorf("got %#v", err)
	}
}

func TestCancelReturnsBeforeASlowAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits
		limits.Concurrency = 1
		const agentTime = time.Second
		c, _ := open(t, limits, func(p *peer) {
			id, _, _ := p.nextCall()
			p.next()
			time.Sleep(agentTime)
			p.failure(id, `"code":1003`)
			id, _, _ = p.nextCall()
			p.result(id, "2")
			p.next()
		})
		start := time.Now()
		_, err := c.Execute(cancelled(t, time.Second), call.Call{Timeout: time.Minute})
		if want := (&call.Failure{Code: call.Cancelled}); !reflect.DeepEqual(err, want) {
			t.Errorf("got %#v", err)
		}
		if took := time.Since(start); took != time.Second+cancelAnswer {
			t.Errorf("took %v", took)
		}
		// The agent is still at it, so the only slot is taken: a call may give up waiting for it …
		if _, err = c.Execute(cancelled(t, time.Millisecond), call.Call{Timeout: time.Minute}); !reflect.DeepEqual(err, &call.Failure{Code: call.Cancelled}) {
			t.Errorf("got %#v", err)
		}
		// … or have it when the agent is done.
		result, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute})
		if string(result.Value) != "2" || err != nil {
			t.Errorf("got %s, %v", result.Value, err)
		}
		if took := time.Since(start); took != time.Second+agentTime {
			t.Errorf("took %v", took)
		}
		time.Sleep(2 * cancelGrace) // the cancelled call was answered for, so nothing is ended
		if c.link.lost().Cause != nil {
			t.Error("the container was ended")
		}
	})
}

func TestAgentThatDoesNotCancelIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, process := open(t, testLimits, deaf)
		var neighbour sync.WaitGroup
		neighbour.Go(func() {
			_, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute})
			var lost *call.LostError
			if !errors.As(err, &lost) || !lost.Started || !errors.Is(err, errUncancelled) {
				t.Errorf("the neighbour got %#v", err)
			}
		})
		start := time.Now()
		_, err := c.Execute(cancelled(t, time.Second), call.Call{Timeout: time.Minute})
		if !reflect.DeepEqual(err, &call.Failure{Code: call.Cancelled}) {
			t.Errorf("got %#v", err)
		}
		<-process.killed
		if took := time.Since(start); took != time.Second+cancelGrace {
			t.Errorf("ended after %v", took)
		}
		neighbour.Wait()
	})
}

func TestDeadlineOfTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, process := open(t, testLimits, deaf)
		var neighbour sync.WaitGroup
		neighbour.Go(func() {
			_, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute})
			var lost *call.LostError
			if !errors.As(err, &lost) || !lost.Started {
				t.Errorf("the neighbour got %#v", err)
			}
		})
		start := time.Now()
		_, err := c.Execute(t.Context(), call.Call{Timeout: time.Second})
		if !reflect.DeepEqual(err, &call.Failure{Code: call.Timeout, Limit: "wall"}) {
			t.Errorf("got %#v", err)
		}
		if took := time.Since(start); took != time.Second+deadlineGrace {
			t.Errorf("took %v", took)
		}
		<-process.killed
		neighbour.Wait()
	})
}

// An agent that does not read its input holds the writer; calls behind it were never sent.
func TestCallsBehindAStuckWriterNeverStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		c, _ := open(t, testLimits, func(*peer) { <-ended })
		var calls sync.WaitGroup
		outcomes := make([]error, 3)
		for i := range outcomes {
			calls.Go(func() { _, outcomes[i] = c.Execute(t.Context(), call.Call{Timeout: time.Minute}) })
			synctest.Wait() // the first is being written, the others wait in the queue
		}
		if _, err := c.Execute(cancelled(t, time.Second), call.Call{Timeout: time.Minute}); !reflect.DeepEqual(err, &call.Failure{Code: call.Cancelled}) {
			t.Errorf("a call given up got %#v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		close(ended)
		calls.Wait()
		for i, err := range outcomes {
			var lost *call.LostError
			if !errors.As(err, &lost) || lost.Started != (i == 0) || !errors.Is(err, call.ErrClosed) {
				t.Errorf("call %d got %#v", i, err)
			}
		}
	})
}

func TestAnswerToACallStillInTheQueueIsALie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := make(chan struct{})
		c, process := open(t, testLimits, func(p *peer) {
			<-ready
			p.result(2, "1")
			<-t.Context().Done()
		})
		defer process.Kill()
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() {
				if result, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute}); err == nil {
					t.Errorf("got %s", result.Value)
				}
			})
			synctest.Wait()
		}
		close(ready)
		calls.Wait()
		<-process.killed
	})
}

func TestCloseTwice(t *testing.T) {
	c, process := open(t, testLimits, func(p *peer) { p.next() })
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	<-process.killed
	<-c.Done()
	_, err := c.Execute(t.Context(), call.Call{})
	var lost *call.LostError
	if !errors.As(err, &lost) || lost.Started || !errors.Is(err, call.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestCallTooLongForAFrame(t *testing.T) {
	limits := testLimits
	limits.Concurrency = 1
	c, _ := open(t, limits, func(p *peer) {
		if id, _, ok := p.nextCall(); ok {
			p.result(id, "1")
		}
		p.next()
	})
	for range 2 { // neither keeps the only slot
		_, err := c.Execute(t.Context(), call.Call{Script: make([]byte, MaxFrame), Timeout: time.Minute})
		if !reflect.DeepEqual(err, &call.Failure{Code: call.LimitExceeded, Limit: "frame"}) {
			t.Fatalf("got %v", err)
		}
	}
	if _, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute}); err != nil {
		t.Errorf("the next call got %v", err)
	}
}

// deaf reads all that it is sent and answers none of it.
func deaf(p *peer) {
	for _, ok := p.next(); ok; _, ok = p.next() {
	}
}
