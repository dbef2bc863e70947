package containers

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

// meteredProcess tells as processor time what cpu gives.
type meteredProcess struct {
	*pipeProcess
	cpu func(context.Context) (time.Duration, error)
}

func (p meteredProcess) CPU(ctx context.Context) (time.Duration, error) { return p.cpu(ctx) }

func stopped(context.Context) (time.Duration, error)   { return time.Minute, nil }
func unknowing(context.Context) (time.Duration, error) { return 0, io.ErrUnexpectedEOF }

func hanging(ctx context.Context) (time.Duration, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// busy gives a meter of a container that computes for so long.
func busy(d time.Duration) func(context.Context) (time.Duration, error) {
	begun := time.Now()
	return func(context.Context) (time.Duration, error) { return min(d, time.Since(begun)), nil }
}

// openMetered is open with a meter; nil: without one.
func openMetered(t *testing.T, cpu func(context.Context) (time.Duration, error), script func(*peer)) *Container {
	t.Helper()
	var process Process = newPeer(t, func(p *peer) {
		p.next()
		p.send(kindHello, goodHello, "")
		script(p)
	})
	if cpu != nil {
		process = meteredProcess{process.(*pipeProcess), cpu}
	}
	c, err := Open(t.Context(), process, testLimits, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ignore reads what the daemon sends, and gives how many pings that were.
func ignore(p *peer) (pings int) {
	for {
		f, ok := p.nextOrPing()
		if !ok {
			return pings
		}
		if f.kind == kindPing {
			pings++
		}
	}
}

func TestSilentAgent(t *testing.T) {
	const long = 602 * time.Second
	tests := []struct {
		name  string
		meter func(context.Context) (time.Duration, error) // nil: there is none
		until time.Duration                                // that a meter shows the container to compute, in place of meter
		deaf  bool                                         // it does not even read
		call  bool
		ends  time.Duration // after the agent's last word
	}{
		{name: "stopped", meter: stopped, ends: 25 * time.Second},
		{name: "stopped under a call", meter: stopped, call: true, ends: 25 * time.Second},
		{name: "stopped, so that the call is stuck", meter: stopped, deaf: true, call: true, ends: 25 * time.Second},
		{name: "busy", until: long, ends: time.Minute},
		{name: "busy with a call", until: long, call: true, ends: 610 * time.Second},
		{name: "busy, then stopped", until: 42 * time.Second, ends: 50 * time.Second},
		{name: "busy with a call, then stopped", until: 302 * time.Second, call: true, ends: 310 * time.Second},
		{name: "nobody knows", meter: unknowing, ends: time.Minute},
		{name: "nobody knows, under a call", meter: unknowing, call: true, ends: 610 * time.Second},
		{name: "no meter", ends: time.Minute},
		{name: "a meter that never answers", meter: hanging, ends: 70 * time.Second}, // two looks of 25 s, from 20 s on
	}
	for _, test := range tests {
		virtually(t, test.name, func(t *testing.T) {
			if test.until > 0 {
				test.meter = busy(test.until)
			}
			pings := make(chan int, 1)
			begun := time.Now()
			c := openMetered(t, test.meter, func(p *peer) {
				if test.deaf {
					<-p.killed
					pings <- 1 // which it did not read
					return
				}
				pings <- ignore(p)
			})
			if test.call {
				_, err := c.Execute(t.Context(), call.Call{Timeout: long})
				checkSilenced(t, err, test.ends > long)
			}
			<-c.Done()
			if ended := time.Since(begun); ended != test.ends {
				t.Errorf("ended after %v, want %v", ended, test.ends)
			}
			_, err := c.Execute(t.Context(), call.Call{Timeout: long})
			var lost *call.LostError
			if !errors.As(err, &lost) || lost.Started || !errors.Is(err, ErrSilent) {
				t.Errorf("a later call got %v", err)
			}
			if n := <-pings; n != 1 {
				t.Errorf("%d pings, although none was answered", n)
			}
		})
	}
}

// checkSilenced looks at the answer to the call that a silent agent had.
func checkSilenced(t *testing.T, err error, overdue bool) {
	t.Helper()
	var lost *call.LostError
	var failure *call.Failure
	if overdue {
		if !errors.As(err, &failure) || failure.Code != call.Timeout {
			t.Errorf("got %v, want a timeout", err)
		}
	} else if !errors.As(err, &lost) || !lost.Started || !errors.Is(err, ErrSilent) {
		t.Errorf("got %v, want a LostError of a started call", err)
	}
}

func TestIdleAgentIsPingedOnceInAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pings := 0
		c := openMetered(t, func(context.Context) (time.Duration, error) {
			t.Error("an agent that answers was examined")
			return 0, nil
		}, func(p *peer) {
			for f, ok := p.nextOrPing(); ok && f.kind == kindPing; f, ok = p.nextOrPing() {
				pings++
				time.Sleep(time.Second) // it is slow
				p.send(kindPong, "{}", "")
			}
		})
		time.Sleep(10 * time.Minute)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if pings != 54 { // each 11 s, since the silence begins with the pong
			t.Errorf("%d pings in ten minutes", pings)
		}
	})
}

func TestAgentThatSpeaksIsNotPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openMetered(t, stopped, func(p *peer) {
			id, _, _ := p.nextCall()
			frame := `{"id":1,"time":1,"console":["` + strings.Repeat("x", 90) + `"]}` + "\n1"
			p.raw(string([]byte{0, 0, 0, byte(len(frame)), byte(kindResult)}))
			for i := range frame { // one frame, ever so slowly
				time.Sleep(9 * time.Second)
				p.raw(frame[i : i+1])
			}
			if id != 1 {
				t.Errorf("call %d", id)
			}
			if f, ok := p.nextOrPing(); ok {
				t.Errorf("got kind %d", f.kind)
			}
		})
		c.succeeds(t, call.Call{Timeout: time.Hour})
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Whenever the word comes, the agent lives on, and all begins anew.
func TestAgentThatAnswersLate(t *testing.T) {
	for name, after := range map[string]time.Duration{
		"while it has patience": 9 * time.Second,
		"while it is examined":  14 * time.Second,
		"after a long time":     49 * time.Second,
	} {
		virtually(t, name, func(t *testing.T) {
			meter := stopped
			if after > 15*time.Second {
				meter = busy(time.Hour)
			}
			const rounds = 3
			c := openMetered(t, meter, func(p *peer) {
				for range rounds {
					if f, ok := p.nextOrPing(); !ok || f.kind != kindPing {
						t.Errorf("got kind %d, %v", f.kind, ok)
					}
					time.Sleep(after)
					p.send(kindPong, "{}", "")
				}
				p.next()
			})
			time.Sleep(rounds*(after+20*time.Second) + time.Minute)
			select {
			case <-c.Done():
				t.Errorf("ended: %v", c.link.cause)
			default:
			}
		})
	}
}

func TestCloseDuringALookAtTheMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openMetered(t, hanging, func(p *peer) { ignore(p) })
		time.Sleep(21 * time.Second) // it is being looked at
		begun := time.Now()
		if err := c.Close(); err != nil || time.Since(begun) != 0 {
			t.Errorf("closed after %v: %v", time.Since(begun), err)
		}
	})
}

// A call that its agent does not end in time says at once that something is wrong with it: those that come
// later should not have to find out.
func TestAgentOfAnOverdueCallIsLookedAtAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		c := openMetered(t, stopped, func(p *peer) { ignore(p) })
		_, err := c.Execute(t.Context(), call.Call{Timeout: time.Second})
		checkSilenced(t, err, true)
		_, err = c.Execute(t.Context(), call.Call{Timeout: time.Minute})
		checkSilenced(t, err, false)
		if ended, want := time.Since(begun), time.Second+deadlineGrace+5*time.Second; ended != want {
			t.Errorf("ended after %v, want %v", ended, want)
		}
	})
}

// Where it is slow and nothing else, neither a call that was to stop nor a session costs it its life.
func TestSlowAgentHasTimeToStop(t *testing.T) {
	const slow = 45 * time.Second // and not when the grace of a call ends, which is every 10 s
	answer := func(p *peer, answers ...string) {
		time.Sleep(slow)
		for _, answer := range answers {
			p.raw(answer)
		}
		id, _, _ := p.nextCall()
		p.result(id, "2")
		p.next()
	}
	frames := goldenFrames(t)
	const timedOut, opened = "\x00\x00\x00\x14\x05" + `{"id":1,"code":1002}`, "\x00\x00\x00\x0a\x04{\"id\":1}\n1"
	pong, ended := string(frames["pong"].bytes(t)), string(frames["ended"].bytes(t))
	for name, test := range map[string]struct {
		agent func(*peer)
		run   func(*testing.T, *Container) error
		err   *call.Failure
		takes time.Duration
	}{
		"a cancelled call": {
			func(p *peer) {
				p.nextCall()
				p.expectKinds(kindCancel, kindPing)
				answer(p, timedOut, pong)
			},
			func(t *testing.T, c *Container) error {
				_, err := c.Execute(cancelled(t, time.Second), call.Call{Timeout: time.Hour})
				return err
			},
			&call.Failure{Code: call.Cancelled}, time.Second + cancelAnswer,
		},
		"a call past its deadline": {
			func(p *peer) {
				p.nextCall()
				p.expectKinds(kindCancel, kindPing)
				answer(p, timedOut, pong)
			},
			func(t *testing.T, c *Container) error {
				_, err := c.Execute(t.Context(), call.Call{Timeout: time.Second})
				return err
			},
			&call.Failure{Code: call.Timeout, Limit: "wall"}, time.Second + deadlineGrace,
		},
		"a session that opened too late": {
			func(p *peer) {
				p.nextCall()
				p.expectKinds(kindCancel, kindPing, kindClose)
				answer(p, opened, ended, pong)
			},
			func(t *testing.T, c *Container) error {
				_, err := c.openSession(t.Context(), call.Call{Timeout: time.Second})
				return err
			},
			&call.Failure{Code: call.Timeout, Limit: "wall"}, time.Second + deadlineGrace,
		},
	} {
		virtually(t, name, func(t *testing.T) {
			c := openMetered(t, busy(time.Hour), test.agent)
			begun := time.Now()
			if err := test.run(t, c); !reflect.DeepEqual(err, test.err) || time.Since(begun) != test.takes {
				t.Errorf("got %v after %v", err, time.Since(begun))
			}
			time.Sleep(slow + time.Second)
			if result, err := c.Execute(t.Context(), call.Call{Timeout: time.Second}); string(result.Value) != "2" {
				t.Errorf("the next call got %s, %v", result.Value, err)
			}
		})
	}
}

// expectKinds takes as many frames of the daemon as there are kinds.
func (p *peer) expectKinds(kinds ...kind) {
	for _, k := range kinds {
		if f, ok := p.nextOrPing(); !ok || f.kind != k {
			p.t.Errorf("got kind %d, header %s, want kind %d", f.kind, f.header, k)
		}
	}
}
