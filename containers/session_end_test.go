package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// Whatever ends a session with a call in it, that call gets the answer of the agent, and those that
// wait for their turn get theirs at once.
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
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c, _ := openSession(t, testLimits, func(p *peer) {
					p.expect(kindCall, fmt.Sprintf(inside, 2))
					if !test.cancel && !test.close {
						time.Sleep(time.Second) // so that two more wait
					}
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
					if _, err := s.(executor).Execute(ctx, call.Call{Timeout: time.Minute}); !reflect.DeepEqual(err, test.running) {
						t.Errorf("the call that ran got %#v", err)
					}
				})
				synctest.Wait()
				for range 2 {
					calls.Go(func() {
						if _, err := s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute}); err != call.ErrNoSession {
							t.Errorf("a call that waited got %#v", err)
						}
					})
				}
				if test.cancel {
					synctest.Wait()
					cancel()
				}
				if test.close {
					synctest.Wait()
					s.Close()
				}
				calls.Wait()
				<-s.Done()
				if _, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute}); err != nil {
					t.Errorf("the next call got %v", err)
				}
				c.lives(t)
			})
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
		idle, err := c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for i := range 3 {
			calls.Go(func() {
				if _, err := s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute}); !isLost(err, i == 0) || !errors.Is(err, errAgentEnded) {
					t.Errorf("call %d got %#v", i, err)
				}
			})
			synctest.Wait()
		}
		close(die)
		calls.Wait()
		<-process.killed
		for _, s := range []call.Session{s, idle} {
			<-s.Done()
			s.Close()
			if _, err := s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute}); err != call.ErrNoSession {
				t.Errorf("a call after the end got %v", err)
			}
		}
		if _, err := c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Minute}); !isLost(err, false) {
			t.Errorf("another session got %v", err)
		}
	})
}

func TestAgentThatDoesNotEndASessionIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, process := openSession(t, testLimits, deaf)
		var running sync.WaitGroup
		running.Go(func() {
			if _, err := s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute}); !isLost(err, true) || !errors.Is(err, errUnclosed) {
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
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
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
				if s, err := c.OpenSessionContext(ctx, test.call); s != nil || !reflect.DeepEqual(err, test.want) {
					t.Errorf("got %v, %#v", s, err)
				}
				if _, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute}); err != nil {
					t.Errorf("the next call got %v", err)
				}
				time.Sleep(2 * cancelGrace)
				c.lives(t)
				if len(c.sessions.live) != 0 {
					t.Errorf("%d sessions are kept", len(c.sessions.live))
				}
			})
		})
	}
}
