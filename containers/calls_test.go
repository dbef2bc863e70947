package containers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
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
	c.succeeds(t, *minute())
}

// deaf reads all that it is sent and answers none of it.
func deaf(p *peer) {
	for _, ok := p.next(); ok; _, ok = p.next() {
	}
}

// A recorder is a Done that keeps what it is given, in order.
type recorder chan outcome

func newRecorder() recorder { return make(recorder, 8) }

func (r recorder) done(result call.Result, err error) { r <- outcome{result, err} }

// one gives the only outcome; more than one is a failure of the test, and so is none.
func (r recorder) one(t *testing.T) outcome {
	t.Helper()
	synctest.Wait()
	if len(r) != 1 {
		t.Fatalf("%d outcomes", len(r))
	}
	return <-r
}

func minute() *call.Call { return &call.Call{Timeout: time.Minute} }

// Whatever a call waits for, a cancel completes it once. The agent may be slow to stop it, which nobody waits for but
// the calls that have no slot until then.
func TestCancelOfAStartedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 5 * time.Second
		limits := testLimits
		limits.Concurrency = 1
		c, _ := open(t, limits, func(p *peer) {
			p.expect(kindCall, `{"id":1,"timeout":60000,"cpu":0}`)
			p.expect(kindCancel, `{"id":1}`)
			time.Sleep(slow)
			p.failure(1, `"code":1003`)
			p.expect(kindCall, `{"id":2,"timeout":60000,"cpu":0}`) // the call given up while it waited is not sent
			p.result(2, "2")
			p.next()
		})
		first, second, third := newRecorder(), newRecorder(), newRecorder()
		began := time.Now()
		running := c.Start(minute(), first.done)
		waiting := c.Start(minute(), second.done)
		c.Start(minute(), third.done)
		for range 2 {
			waiting.Cancel()
			running.Cancel()
		}
		want := &call.Failure{Code: call.Cancelled}
		if o := <-second; !reflect.DeepEqual(o.err, want) || time.Since(began) != 0 {
			t.Errorf("the call that waited got %v after %v", o.err, time.Since(began))
		}
		if o := <-first; !reflect.DeepEqual(o.err, want) || time.Since(began) != cancelAnswer {
			t.Errorf("the call that ran got %v after %v", o.err, time.Since(began))
		}
		if o := <-third; string(o.result.Value) != "2" || o.err != nil || time.Since(began) != slow {
			t.Errorf("the call behind them got %v after %v", o, time.Since(began))
		}
		running.Cancel()
		waiting.Cancel()
		time.Sleep(2 * cancelGrace) // all have been answered for, so nothing is ended
		if len(first)+len(second)+len(third) != 0 {
			t.Error("a call is done twice")
		}
		c.lives(t)
	})
}

// An agent that does not stop a call, and is not silent either, is ended, with the calls beside it.
func TestAgentThatDoesNotStopACall(t *testing.T) {
	for name, test := range map[string]struct {
		timeout, cancel time.Duration
		want            *call.Failure
		done            time.Duration
		cause           error
	}{
		"that was cancelled":        {time.Minute, time.Second, &call.Failure{Code: call.Cancelled}, time.Second + cancelAnswer, errUncancelled},
		"that is past its deadline": {time.Second, time.Minute, &call.Failure{Code: call.Timeout, Limit: "wall"}, time.Second + deadlineGrace, errOverdue},
	} {
		virtually(t, name, func(t *testing.T) {
			c, process := open(t, testLimits, deaf)
			neighbour := newRecorder()
			c.Start(&call.Call{Timeout: time.Hour}, neighbour.done)
			began := time.Now()
			_, err := c.Execute(cancelled(t, test.cancel), call.Call{Timeout: test.timeout})
			if !reflect.DeepEqual(err, test.want) || time.Since(began) != test.done {
				t.Errorf("got %#v after %v", err, time.Since(began))
			}
			<-process.killed
			stopped := min(test.cancel, test.timeout+deadlineGrace)
			if took := time.Since(began); took != stopped+cancelGrace {
				t.Errorf("ended after %v", took)
			}
			if o := <-neighbour; !isLost(o.err, true) || !errors.Is(o.err, test.cause) {
				t.Errorf("the neighbour got %#v", o.err)
			}
		})
	}
}

// No call of any kind keeps anything of a dead link.
func TestDeadLink(t *testing.T) {
	c, process := open(t, testLimits, func(p *peer) { p.next() })
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	<-process.killed
	<-c.Done()
	got := newRecorder()
	for range 2 * testLimits.Concurrency {
		c.Start(minute(), got.done).Cancel()
		c.Start(&call.Call{Bundle: bundleOf("a", 2), Timeout: time.Minute}, got.done)
		c.OpenSession(minute(), func(_ call.Session, result call.Result, err error) { got.done(result, err) })
		for range 3 {
			if o := <-got; !isLost(o.err, false) || !errors.Is(o.err, call.ErrClosed) {
				t.Errorf("got %v", o.err)
			}
		}
	}
}

// One timer does for all calls, whatever their deadlines are and whichever of them comes first.
func TestDeadlinesOfManyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits
		limits.Concurrency = 8
		c, _ := open(t, limits, func(p *peer) {
			for id, _, ok := p.nextCall(); ok && id < 6; id, _, ok = p.nextCall() {
			}
			for f, ok := p.next(); ok; f, ok = p.next() {
				var h cancelHeader
				if err := json.Unmarshal(f.header, &h); err != nil || f.kind != kindCancel {
					t.Errorf("got kind %d, header %s", f.kind, f.header)
				}
				p.failure(h.ID, `"code":1003`)
			}
		})
		start := time.Now()
		type end struct {
			call  int
			after time.Duration
		}
		ends := make(chan end, 8)
		for i, seconds := range []time.Duration{7, 3, 5, 3, 9, 1} {
			c.Start(&call.Call{Timeout: seconds * time.Second}, func(_ call.Result, err error) {
				if !reflect.DeepEqual(err, &call.Failure{Code: call.Timeout, Limit: "wall"}) {
					t.Errorf("call %d got %v", i, err)
				}
				ends <- end{i, time.Since(start) - deadlineGrace}
			})
		}
		got := make([]end, 6)
		for i := range got {
			got[i] = <-ends
		}
		slices.SortFunc(got, func(a, b end) int { return cmp.Or(cmp.Compare(a.after, b.after), cmp.Compare(a.call, b.call)) })
		want := []end{{5, time.Second}, {1, 3 * time.Second}, {3, 3 * time.Second}, {2, 5 * time.Second}, {0, 7 * time.Second}, {4, 9 * time.Second}}
		if !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		c.lives(t)
	})
}
