package containers

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

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
				_, err := c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Second})
				return err
			},
			&call.Failure{Code: call.Timeout, Limit: "wall"}, time.Second + deadlineGrace,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
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
