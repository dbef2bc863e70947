package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// An agent keeps to the bound by itself; ten thousand callbacks at once are then only a matter of time.
func TestTenThousandCallbacks(t *testing.T) {
	const all = 10_000
	c, _ := open(t, testLimits, func(p *peer) {
		p.expect(kindCall, hostedCall)
		room := make(chan struct{}, maxCallbacks)
		var reading sync.WaitGroup
		defer reading.Wait()
		answers := make(map[string]bool)
		reading.Go(func() {
			for range all {
				f, _ := p.next()
				if f.kind != kindReply || string(f.header) != fmt.Sprintf(`{"id":1,"callback":%s}`, strings.Trim(string(f.body), "[]")) {
					t.Errorf("got %s with %s", f.header, f.body)
				}
				answers[string(f.header)] = true
				<-room
			}
			if len(answers) != all {
				t.Errorf("%d callbacks were answered", len(answers))
			}
			p.result(1, "1")
			p.next()
		})
		for i := range all {
			room <- struct{}{}
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), fmt.Sprintf("[%d]", i+1))
		}
	})
	if _, err := c.Execute(t.Context(), callWith(&client{answer: func(_ context.Context, _ string, args json.RawMessage) (json.RawMessage, error) {
		return args, nil
	}})); err != nil {
		t.Error(err)
	}
}

func TestCallbacksBeyondTheBoundAreRefused(t *testing.T) {
	limits := testLimits
	limits.Result = 1 << 20
	tests := []struct {
		name    string
		args    string
		allowed int
	}{
		{"too many", "[]", maxCallbacks},
		{"too many bytes", `["` + strings.Repeat("x", limits.Result/4) + `"]`, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			release := make(chan struct{})
			c, _ := open(t, limits, func(p *peer) {
				p.expect(kindCall, hostedCall)
				const more = 5
				for i := range test.allowed + more {
					p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), test.args)
					if i >= test.allowed {
						p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d,"error":{"message":"host.f is not allowed: too many callbacks wait for an answer"}}`, i+1))
					}
				}
				close(release)
				for range test.allowed {
					if f, _ := p.next(); f.kind != kindReply || string(f.body) != "1" {
						t.Errorf("got kind %d, header %s", f.kind, f.header)
					}
				}
				p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, test.allowed+more+1), test.args)
				p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d}`, test.allowed+more+1)) // there is room again
				p.result(1, "1")
				p.next()
			})
			if _, err := c.Execute(t.Context(), callWith(&client{answer: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
				<-release
				return []byte("1"), nil
			}})); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAgentFarBeyondTheBoundsIsEnded(t *testing.T) {
	callbacks := func(args string, often int) func(*peer) {
		return func(p *peer) {
			for i := range often {
				p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), args)
			}
		}
	}
	for name, flood := range map[string]func(*peer){
		"callbacks": callbacks("[]", 4*maxCallbacks),
		"arguments": callbacks(`["`+strings.Repeat("x", testLimits.Result/2)+`"]`, 10),
		"lines": func(p *peer) {
			for range 2*testLimits.ConsoleLines + 2 {
				p.send(kindPrint, `{"id":1,"level":"log"}`, "")
			}
		},
		"bytes of lines": func(p *peer) {
			for range 2 {
				p.send(kindPrint, `{"id":1,"level":"log"}`, strings.Repeat("x", testLimits.Result))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, process := open(t, testLimits, func(p *peer) {
				p.expect(kindCall, hostedCall)
				flood(p) // and reads nothing
				p.next()
			})
			_, err := c.Execute(t.Context(), callWith(&client{answer: never}))
			var lost *call.LostError
			if !errors.As(err, &lost) || !errors.Is(err, errProtocol) {
				t.Errorf("got %v", err)
			}
			<-process.killed
		})
	}
}

// The replies to an agent that does not read do not fill the memory.
func TestRepliesThatWaitAreBounded(t *testing.T) {
	large := []byte(`"` + strings.Repeat("x", maxReply-2) + `"`)
	const fit = 1 + maxReplies/maxReply // one is being written, the others wait
	synctest.Test(t, func(t *testing.T) {
		c, _ := open(t, testLimits, func(p *peer) {
			p.expect(kindCall, hostedCall)
			for i := range fit + 1 {
				p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), "[]")
				synctest.Wait()
			}
			for i := range fit {
				if body := p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d}`, i+1)); len(body) != maxReply {
					t.Errorf("got %d bytes", len(body))
				}
			}
			p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d,"error":{"message":"the answer to host.f has no room: too many wait to be sent"}}`, fit+1))
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, fit+2), "[]")
			p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d}`, fit+2)) // there is room again
			p.result(1, "1")
			p.next()
		})
		if _, err := c.Execute(t.Context(), callWith(&client{answer: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
			return large, nil
		}})); err != nil {
			t.Error(err)
		}
	})
}

// What an agent says of a call that has been answered changes nothing.
func TestFramesOfAnsweredCallsAreIgnored(t *testing.T) {
	c, _ := open(t, testLimits, func(p *peer) {
		p.expect(kindCall, hostedCall)
		p.result(1, "1")
		p.send(kindPrint, `{"id":1,"level":"log"}`, "late")
		p.send(kindCallback, `{"id":1,"callback":1,"name":"f"}`, "[]")
		p.expect(kindCall, `{"id":2,"timeout":60000,"cpu":0}`)
		p.result(2, "2")
		p.next()
	})
	host := &client{answer: never}
	for _, job := range []call.Call{callWith(host), {Timeout: time.Minute}} {
		if _, err := c.Execute(t.Context(), job); err != nil {
			t.Error(err)
		}
	}
	if host.lines != nil {
		t.Errorf("printed %q", host.lines)
	}
}
