package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

const (
	opening = `{"id":1,"timeout":60000,"cpu":0,"open":1}`
	inside  = `{"id":%d,"timeout":60000,"cpu":0,"session":1}`
)

// openSession gives a session whose agent goes on with script when it has opened it.
func openSession(t *testing.T, l Limits, script func(*peer)) (*openedSession, *Container, *pipeProcess) {
	t.Helper()
	c, process := open(t, l, func(p *peer) {
		p.expect(kindCall, opening)
		p.result(1, "0")
		script(p)
	})
	s, err := c.openSession(t.Context(), call.Call{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return s, c, process
}

// ended tells the daemon so.
func (p *peer) ended(session int) { p.send(kindEnded, fmt.Sprintf(`{"session":%d}`, session), "") }

// lives fails the test where the container has been ended.
func (c *Container) lives(t *testing.T) {
	t.Helper()
	if cause := c.link.lost().Cause; cause != nil {
		t.Errorf("the container was ended: %v", cause)
	}
}

func isLost(err error, started bool) bool {
	var lost *call.LostError
	return errors.As(err, &lost) && lost.Started == started
}

func TestSession(t *testing.T) {
	s, c, _ := openSession(t, testLimits, func(p *peer) {
		for id := 2; id < 5; id++ {
			if body := p.expect(kindCall, fmt.Sprintf(inside, id)); body != `{"code":"x"}` {
				t.Errorf("got %s", body)
			}
			p.send(kindResult, fmt.Sprintf(`{"id":%d,"time":3,"console":["a"]}`, id), fmt.Sprint(id))
		}
		p.expect(kindClose, `{"session":1}`)
		p.ended(1)
		p.expect(kindCall, `{"id":5,"timeout":60000,"cpu":0,"open":2}`)
		p.result(5, "0")
		p.next()
	})
	for id := 2; id < 5; id++ {
		want := call.Result{Value: []byte(fmt.Sprint(id)), Console: []string{"a"}, Time: 3, Container: "scripted"}
		// Bundle and memory are those the session was opened with.
		job := call.Call{Script: []byte(`{"code":"x"}`), Timeout: time.Minute, Bundle: bundleOf("a", 2), Memory: 64}
		if result, err := s.Execute(t.Context(), job); err != nil || !reflect.DeepEqual(result, want) {
			t.Errorf("got %+v, %v", result, err)
		}
	}
	select {
	case <-s.Done():
		t.Error("ended by itself")
	default:
	}
	s.Close()
	s.Close()
	if _, err := s.Execute(t.Context(), call.Call{Timeout: time.Minute}); err != call.ErrNoSession {
		t.Errorf("a call in a closed session got %v", err)
	}
	<-s.Done()
	s.Close()
	if _, err := c.openSession(t.Context(), call.Call{Timeout: time.Minute}); err != nil {
		t.Errorf("another session got %v", err)
	}
	c.lives(t)
}

func TestSessionKeepsItsBundle(t *testing.T) {
	c, _ := open(t, testLimits, func(p *peer) {
		held := newBundleHolder(t)
		next := func(value string) callHeader {
			h, _ := p.nextCallWithBundles(held)
			p.result(h.ID, value)
			return h
		}
		if h := next("0"); h.Bundle != "aa" || h.Open != 1 {
			t.Errorf("got %+v", h)
		}
		next("1")
		if h := next("2"); held.parts["aa"] == nil || held.parts["bb"] != nil {
			t.Errorf("at call %d there are %q", h.ID, held.parts)
		}
		if f, _ := p.nextWithBundles(held); f.kind != kindClose {
			t.Errorf("got kind %d", f.kind)
		}
		p.ended(1)
		if next("3"); held.parts["aa"] != nil {
			t.Errorf("the bundle of a session that has ended is still there: %q", held.parts)
		}
		p.next()
	})
	c.calls.bundles = newBundles(4, 9)
	s, err := c.openSession(t.Context(), call.Call{Bundle: bundleOf("aa", 2), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"bb", "cc"} {
		c.succeeds(t, call.Call{Bundle: bundleOf(id, 2), Timeout: time.Minute})
	}
	s.Close()
	<-s.Done()
	c.succeeds(t, call.Call{Bundle: bundleOf("dddd", 4), Timeout: time.Minute})
}

func TestClientsOfASessionsCalls(t *testing.T) {
	c, _ := open(t, testLimits, func(p *peer) {
		for id := range 2 {
			number := id + 1
			header := fmt.Sprintf(inside, number)
			if number == 1 {
				header = opening
			}
			p.expect(kindCall, header[:len(header)-1]+`,"stream":true,"callbacks":["f","g"]}`)
			p.send(kindPrint, fmt.Sprintf(`{"id":%d,"level":"log"}`, number), fmt.Sprint(number))
			p.send(kindCallback, fmt.Sprintf(`{"id":%d,"callback":1,"name":"f"}`, number), "[]")
			p.expect(kindReply, fmt.Sprintf(`{"id":%d,"callback":1}`, number))
			p.result(uint64(number), "0")
		}
		p.next()
	})
	hosts := [2]client{}
	for i := range hosts {
		hosts[i].answer = func(context.Context, string, json.RawMessage) (json.RawMessage, error) { return []byte("1"), nil }
	}
	s, err := c.openSession(t.Context(), callWith(&hosts[0]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Execute(t.Context(), callWith(&hosts[1])); err != nil {
		t.Error(err)
	}
	if !slices.Equal(hosts[0].lines, []string{"log 1"}) || !slices.Equal(hosts[1].lines, []string{"log 2"}) {
		t.Errorf("printed %q and %q", hosts[0].lines, hosts[1].lines)
	}
}

// Many sessions with many calls, some given up, closed in the middle: nothing is lost, and nothing hangs.
func TestSessionsTogether(t *testing.T) {
	limits := testLimits
	limits.Concurrency = 6
	c, _ := open(t, limits, func(p *peer) {
		live := make(map[uint64]bool)
		for f, ok := p.next(); ok; f, ok = p.next() {
			var h callHeader
			if err := json.Unmarshal(f.header, &h); err != nil {
				t.Error(err)
			}
			switch {
			case f.kind == kindCancel: // its answer is on the way
			case f.kind == kindClose && live[h.Session]:
				delete(live, h.Session)
				p.ended(int(h.Session))
			case f.kind == kindClose:
				t.Errorf("session %d was closed twice, or never opened", h.Session)
			case h.Open != 0:
				live[h.Open] = true
				p.result(h.ID, "0")
			case live[h.Session]:
				p.result(h.ID, fmt.Sprint(h.Session))
			default:
				p.failure(h.ID, `"code":1009`)
			}
		}
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			s, err := c.openSession(t.Context(), call.Call{Timeout: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			var others sync.WaitGroup
			for i := range 30 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%5 == 0 {
					others.Go(cancel)
				}
				result, err := s.Execute(ctx, call.Call{Timeout: time.Minute})
				cancel()
				var failure *call.Failure
				switch {
				case err == nil && string(result.Value) == fmt.Sprint(s.id):
				case errors.Is(err, call.ErrNoSession):
				case i%5 == 0 && errors.As(err, &failure) && failure.Code == call.Cancelled:
				default:
					t.Errorf("got %s, %v", result.Value, err)
				}
				if i == 20 {
					others.Go(s.Close)
				}
			}
			others.Wait()
			<-s.Done()
		})
	}
	all.Wait()
	c.lives(t)
}

// Whatever ends a session with a call in it, that call gets the answer of the agent.
func TestSessionEndsUnderACall(t *testing.T) {
	tests := []struct {
		name    string
		agent   func(*peer)
		cancel  bool
		close   bool
		running error
	}{
		{name: "by an overrun", agent: func(p *peer) { p.failure(2, `"code":1002,"limit":"cpu"`) },
			running: &call.Failure{Code: call.Timeout, Limit: "cpu", Console: []string{}}},
		{name: "out of memory", agent: func(p *peer) { p.failure(2, `"code":1004,"limit":"memory"`) },
			running: &call.Failure{Code: call.LimitExceeded, Limit: "memory", Console: []string{}}},
		{name: "by a crash", agent: func(p *peer) { p.failure(2, `"code":1005,"started":true`) },
			running: &call.LostError{Started: true, Cause: errWorkerDied}},
		{name: "by a cancel", cancel: true, agent: func(p *peer) {
			p.expect(kindCancel, `{"id":2}`)
			p.failure(2, `"code":1003,"console":["a"]`)
		}, running: &call.Failure{Code: call.Cancelled, Console: []string{"a"}}},
		{name: "by close", close: true, agent: func(p *peer) {
			p.expect(kindClose, `{"session":1}`)
			p.failure(2, `"code":1003,"console":["a"]`)
		}, running: &call.Failure{Code: call.Cancelled, Console: []string{"a"}}},
		{name: "before the call came", agent: func(p *peer) {
			p.ended(1)
			p.failure(2, `"code":1009`)
		}, running: call.ErrNoSession},
	}
	for _, test := range tests {
		virtually(t, test.name, func(t *testing.T) {
			s, c, _ := openSession(t, testLimits, func(p *peer) {
				p.expect(kindCall, fmt.Sprintf(inside, 2))
				test.agent(p)
				if test.running != call.ErrNoSession {
					p.ended(1)
				}
				p.serveWithoutSessions()
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var calls sync.WaitGroup
			calls.Go(func() {
				if _, err := s.Execute(ctx, call.Call{Timeout: time.Minute}); !reflect.DeepEqual(err, test.running) {
					t.Errorf("the call that ran got %#v", err)
				}
			})
			synctest.Wait()
			if test.cancel {
				cancel()
			}
			if test.close {
				s.Close()
			}
			calls.Wait()
			<-s.Done()
			if _, err := s.Execute(t.Context(), call.Call{Timeout: time.Minute}); err != call.ErrNoSession {
				t.Errorf("a call after the end got %#v", err)
			}
			c.succeeds(t, *minute())
			c.lives(t)
		})
	}
}

// serveWithoutSessions answers calls as an agent does that has no session any more.
func (p *peer) serveWithoutSessions() {
	for f, ok := p.next(); ok; f, ok = p.next() {
		var h callHeader
		if err := json.Unmarshal(f.header, &h); err != nil || f.kind != kindCall {
			p.t.Errorf("got kind %d, header %s", f.kind, f.header)
		}
		if h.Session != 0 {
			p.failure(h.ID, `"code":1009`)
		} else {
			p.result(h.ID, "0")
		}
	}
}

func TestContainerDiesWithSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		die := make(chan struct{})
		s, c, process := openSession(t, testLimits, func(p *peer) {
			p.expect(kindCall, `{"id":2,"timeout":60000,"cpu":0,"open":2}`)
			p.result(2, "0")
			p.expect(kindCall, fmt.Sprintf(inside, 3))
			<-die
		})
		idle, err := c.openSession(t.Context(), call.Call{Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		running := newRecorder()
		s.Start(minute(), running.done)
		synctest.Wait()
		close(die)
		if o := <-running; !isLost(o.err, true) || !errors.Is(o.err, errAgentEnded) {
			t.Errorf("the call that ran got %#v", o.err)
		}
		<-process.killed
		for _, s := range []*openedSession{s, idle} {
			<-s.Done()
			s.Close()
			if _, err := s.Execute(t.Context(), call.Call{Timeout: time.Minute}); err != call.ErrNoSession {
				t.Errorf("a call after the end got %v", err)
			}
		}
		if _, err := c.openSession(t.Context(), call.Call{Timeout: time.Minute}); !isLost(err, false) {
			t.Errorf("another session got %v", err)
		}
	})
}

func TestAgentThatDoesNotEndASessionIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, process := openSession(t, testLimits, deaf)
		var running sync.WaitGroup
		running.Go(func() {
			if _, err := s.Execute(t.Context(), call.Call{Timeout: time.Minute}); !isLost(err, true) || !errors.Is(err, errUnclosed) {
				t.Errorf("the call in it got %v", err)
			}
		})
		synctest.Wait()
		start := time.Now()
		s.Close()
		<-s.Done()
		<-process.killed
		if took := time.Since(start); took != cancelGrace {
			t.Errorf("took %v", took)
		}
		running.Wait()
	})
}

func TestSessionThatDoesNotOpen(t *testing.T) {
	limits := testLimits
	limits.Concurrency = 1
	tests := []struct {
		name  string
		ctx   func(*testing.T) context.Context
		call  call.Call
		agent func(*peer) // nil: it hears nothing of it
		want  error
	}{
		{name: "its script throws", call: call.Call{Timeout: time.Minute}, agent: func(p *peer) {
			p.expect(kindCall, opening)
			p.failure(1, `"code":1000,"name":"Error"`)
			p.ended(1)
		}, want: &call.Failure{Code: call.Exception, Name: "Error", Console: []string{}}},
		{name: "it is cancelled", ctx: func(t *testing.T) context.Context { return cancelled(t, time.Second) }, call: call.Call{Timeout: time.Minute}, agent: func(p *peer) {
			p.expect(kindCall, opening)
			p.expect(kindCancel, `{"id":1}`)
			p.failure(1, `"code":1003`)
			p.expect(kindClose, `{"session":1}`)
			p.ended(1)
		}, want: &call.Failure{Code: call.Cancelled, Console: []string{}}},
		{name: "it is cancelled when it has just opened", ctx: func(t *testing.T) context.Context { return cancelled(t, time.Second) }, call: call.Call{Timeout: time.Minute}, agent: func(p *peer) {
			p.expect(kindCall, opening)
			p.expect(kindCancel, `{"id":1}`)
			time.Sleep(cancelGrace / 2)
			p.result(1, "0")
			p.expect(kindClose, `{"session":1}`)
			p.ended(1)
		}, want: &call.Failure{Code: call.Cancelled}},
		{name: "it was cancelled before", ctx: func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}, call: call.Call{Timeout: time.Minute}, want: &call.Failure{Code: call.Cancelled}},
		{name: "it is too long for a frame", call: call.Call{Script: make([]byte, MaxFrame), Timeout: time.Minute},
			want: &call.Failure{Code: call.LimitExceeded, Limit: "frame"}},
	}
	for _, test := range tests {
		virtually(t, test.name, func(t *testing.T) {
			c, _ := open(t, limits, func(p *peer) {
				if test.agent != nil {
					test.agent(p)
				}
				if id, _, ok := p.nextCall(); ok {
					p.result(id, "0")
				}
				p.next()
			})
			ctx := t.Context()
			if test.ctx != nil {
				ctx = test.ctx(t)
			}
			if s, err := c.openSession(ctx, test.call); s != nil || !reflect.DeepEqual(err, test.want) {
				t.Errorf("got %v, %#v", s, err)
			}
			c.succeeds(t, *minute())
			time.Sleep(2 * cancelGrace)
			c.lives(t)
			if len(c.sessions.live) != 0 {
				t.Errorf("%d sessions are kept", len(c.sessions.live))
			}
		})
	}
}

// The daemon sends a session's calls one at a time. Two at once are a fault of its own, which the second one is told of.
func TestTwoCallsAtOnceInASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := openSession(t, testLimits, func(p *peer) {
			p.expect(kindCall, fmt.Sprintf(inside, 2))
			time.Sleep(time.Second)
			p.result(2, "2")
			p.expect(kindCall, fmt.Sprintf(inside, 3))
			p.result(3, "3")
			p.next()
		})
		first, second, third := newRecorder(), newRecorder(), newRecorder()
		start := s.Start
		start(minute(), func(result call.Result, err error) {
			first.done(result, err)
			start(minute(), third.done)
		})
		start(minute(), second.done)
		if got := second.one(t); got.err != errTwoCalls {
			t.Errorf("the second got %v", got.err)
		}
		time.Sleep(time.Second)
		if got := first.one(t); string(got.result.Value) != "2" {
			t.Errorf("the first got %v", got)
		}
		if got := third.one(t); string(got.result.Value) != "3" {
			t.Errorf("the third got %v", got)
		}
		c.lives(t)
	})
}

// A call that was cancelled is done before the agent has stopped it. The next one in the session waits for that,
// whatever comes of it, and takes no slot meanwhile. Its own time begins when it is sent.
func TestCallBehindACancelledOneInASession(t *testing.T) {
	const slow = 5 * time.Second // of the agent, to stop
	type end struct {
		value string
		err   error
		after time.Duration // it was started
	}
	for name, test := range map[string]struct {
		agent  func(*peer)
		cancel bool
		want   end
	}{
		"the session lives on": {func(p *peer) {
			p.result(2, "2") // too late, and so the agent did not stop it
			p.expect(kindCall, fmt.Sprintf(inside, 4))
			time.Sleep(time.Minute)
			p.result(4, "4")
		}, false, end{"4", nil, slow + time.Minute}},
		"it is overdue": {func(p *peer) {
			p.result(2, "2")
			p.expect(kindCall, fmt.Sprintf(inside, 4))
			p.expect(kindCancel, `{"id":4}`)
			p.failure(4, `"code":1003`)
		}, false, end{"", &call.Failure{Code: call.Timeout, Limit: "wall"}, slow + time.Minute + deadlineGrace}},
		"it is given up": {func(p *peer) {
			p.result(2, "2")
			p.expect(kindCall, `{"id":4,"timeout":60000,"cpu":0}`) // the next one
			p.result(4, "4")
		}, true, end{"", &call.Failure{Code: call.Cancelled}, 0}},
		"the session ends": {func(p *peer) {
			p.failure(2, `"code":1003`)
			p.ended(1)
		}, false, end{"", call.ErrNoSession, slow}},
		"the container dies": {func(p *peer) { p.conn.Close() }, false, end{"", &call.LostError{Cause: errAgentEnded}, slow}},
	} {
		virtually(t, name, func(t *testing.T) {
			limits := testLimits
			limits.Concurrency = 2
			s, c, _ := openSession(t, limits, func(p *peer) {
				p.expect(kindCall, fmt.Sprintf(inside, 2))
				p.expect(kindCancel, `{"id":2}`)
				p.expect(kindCall, `{"id":3,"timeout":60000,"cpu":0}`) // the other slot is free
				p.result(3, "3")
				time.Sleep(slow)
				test.agent(p)
				p.serveWithoutSessions()
			})
			cancelled, behind, beside := newRecorder(), newRecorder(), newRecorder()
			start := s.Start
			start(minute(), cancelled.done).Cancel()
			if o := <-cancelled; !reflect.DeepEqual(o.err, &call.Failure{Code: call.Cancelled}) {
				t.Errorf("the cancelled one got %v", o.err)
			}
			began := time.Now()
			var got end
			running := start(minute(), func(result call.Result, err error) {
				got = end{string(result.Value), err, time.Since(began)}
				behind.done(result, err)
			})
			c.Start(minute(), beside.done)
			if o := <-beside; o.err != nil {
				t.Errorf("the call beside got %v", o.err)
			}
			if test.cancel {
				running.Cancel()
			}
			<-behind
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if _, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute}); (err != nil) != (name == "the container dies") {
				t.Errorf("the next call got %v", err)
			}
		})
	}
}
