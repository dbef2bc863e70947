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
func openSession(t *testing.T, l Limits, script func(*peer)) (call.Session, *Container, *pipeProcess) {
	t.Helper()
	c, process := open(t, l, func(p *peer) {
		p.expect(kindCall, opening)
		p.result(1, "0")
		script(p)
	})
	s, err := c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Minute})
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
		if result, err := s.(executor).Execute(t.Context(), job); err != nil || !reflect.DeepEqual(result, want) {
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
	if _, err := s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute}); err != call.ErrNoSession {
		t.Errorf("a call in a closed session got %v", err)
	}
	<-s.Done()
	s.Close()
	if _, err := c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Minute}); err != nil {
		t.Errorf("another session got %v", err)
	}
	c.lives(t)
}

func TestCallsInASessionTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 50 * time.Second
		limits := testLimits
		limits.Concurrency = 2
		sent := make([]time.Duration, 0, 5)
		s, c, process := openSession(t, limits, func(p *peer) {
			start := time.Now()
			p.expect(kindCall, fmt.Sprintf(inside, 2))
			p.expect(kindCall, `{"id":3,"timeout":60000,"cpu":0}`) // those that wait take no slot
			p.result(3, "3")
			for id := 2; id < 6; id++ {
				sent = append(sent, time.Since(start))
				time.Sleep(each) // all together are far more than the timeout of one
				p.result(uint64(id+min(1, id-2)), fmt.Sprint(id))
				p.expect(kindCall, fmt.Sprintf(inside, id+2))
			}
			p.next()
		})
		var calls sync.WaitGroup
		var mu sync.Mutex // guards order
		var order []string
		for range 4 {
			calls.Go(func() {
				result, err := s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, string(result.Value))
			})
			synctest.Wait()
		}
		if _, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute}); err != nil {
			t.Error(err)
		}
		// The last one has no answer: its deadline counts from its turn, too.
		_, err := s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute})
		calls.Wait()
		if !reflect.DeepEqual(err, &call.Failure{Code: call.Timeout, Limit: "wall"}) {
			t.Errorf("a call without an answer got %v", err)
		}
		if want := []string{"2", "3", "4", "5"}; !slices.Equal(order, want) {
			t.Errorf("came back in the order %q", order)
		}
		if want := []time.Duration{0, each, 2 * each, 3 * each}; !slices.Equal(sent, want) {
			t.Errorf("were sent after %v", sent)
		}
		<-process.killed
	})
}

func TestCallGivenUpBeforeItsTurnIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := openSession(t, testLimits, func(p *peer) {
			p.expect(kindCall, fmt.Sprintf(inside, 2))
			time.Sleep(10 * time.Second)
			p.result(2, "2")
			p.expect(kindCall, fmt.Sprintf(inside, 3))
			p.result(3, "3")
			p.next()
		})
		var first sync.WaitGroup
		first.Go(func() {
			if _, err := s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		start := time.Now()
		if _, err := s.(executor).Execute(cancelled(t, time.Second), call.Call{Timeout: time.Minute}); !reflect.DeepEqual(err, &call.Failure{Code: call.Cancelled}) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
		if result, err := s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute}); string(result.Value) != "3" || err != nil {
			t.Errorf("the next one got %s, %v", result.Value, err)
		}
		first.Wait()
		c.lives(t)
	})
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
	s, err := c.OpenSessionContext(t.Context(), call.Call{Bundle: bundleOf("aa", 2), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"bb", "cc"} {
		if _, err := c.Execute(t.Context(), call.Call{Bundle: bundleOf(id, 2), Timeout: time.Minute}); err != nil {
			t.Error(err)
		}
	}
	s.Close()
	<-s.Done()
	if _, err := c.Execute(t.Context(), call.Call{Bundle: bundleOf("dddd", 4), Timeout: time.Minute}); err != nil {
		t.Error(err)
	}
}

func TestHostOfASessionsCalls(t *testing.T) {
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
	s, err := c.OpenSessionContext(t.Context(), callWith(&hosts[0]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.(executor).Execute(t.Context(), callWith(&hosts[1])); err != nil {
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
			s, err := c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			var calls sync.WaitGroup
			for i := range 30 {
				calls.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if i%5 == 0 {
						calls.Go(cancel)
					}
					result, err := s.(executor).Execute(ctx, call.Call{Timeout: time.Minute})
					var failure *call.Failure
					switch {
					case err == nil && string(result.Value) == fmt.Sprint(s.(*openedSession).id):
					case errors.Is(err, call.ErrNoSession):
					case i%5 == 0 && errors.As(err, &failure) && failure.Code == call.Cancelled:
					default:
						t.Errorf("got %s, %v", result.Value, err)
					}
				})
				if i == 20 {
					calls.Go(s.Close)
				}
			}
			calls.Wait()
			<-s.Done()
		})
	}
	all.Wait()
	c.lives(t)
}

// An executor is a session whose calls can be waited for.
type executor interface {
	Execute(ctx context.Context, job call.Call) (call.Result, error)
}
