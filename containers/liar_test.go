package containers

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// What an agent may not say while call 1 has a host, 2 has none, 3 only streams, call 4 has opened
// session 1 and call 5 is about to open session 2.
func TestLiesAboutCallsUnderWay(t *testing.T) {
	frame := func(k kind, header, body string) func(*peer) {
		return func(p *peer) { p.send(k, header, body) }
	}
	lies := map[string]func(*peer){
		"a line of no call":                frame(kindPrint, `{"level":"log"}`, "x"),
		"a line of a call not made":        frame(kindPrint, `{"id":6,"level":"log"}`, "x"),
		"a line of a call without host":    frame(kindPrint, `{"id":2,"level":"log"}`, "x"),
		"a line of no level":               frame(kindPrint, `{"id":1}`, "x"),
		"a line of an unknown level":       frame(kindPrint, `{"id":1,"level":"trace"}`, "x"),
		"a line that is too long":          frame(kindPrint, `{"id":1,"level":"log"}`, strings.Repeat("x", testLimits.Result+1)),
		"a line with a long header":        frame(kindPrint, `{"id":1,"level":"log","x":"`+strings.Repeat("x", HeaderRoom)+`"}`, "x"),
		"a line without a header":          frame(kindPrint, "", "x"),
		"callback of no call":              frame(kindCallback, `{"callback":1,"name":"f"}`, "[]"),
		"callback of a call not made":      frame(kindCallback, `{"id":6,"callback":1,"name":"f"}`, "[]"),
		"callback of a call without host":  frame(kindCallback, `{"id":2,"callback":1,"name":"f"}`, "[]"),
		"callback of a call without names": frame(kindCallback, `{"id":3,"callback":1,"name":"f"}`, "[]"),
		"callback without number":          frame(kindCallback, `{"id":1,"name":"f"}`, "[]"),
		"callback 0":                       frame(kindCallback, `{"id":1,"callback":0,"name":"f"}`, "[]"),
		"callback -1":                      frame(kindCallback, `{"id":1,"callback":-1,"name":"f"}`, "[]"),
		"callback 2 as the first":          frame(kindCallback, `{"id":1,"callback":2,"name":"f"}`, "[]"),
		"callback 1 again": func(p *peer) {
			p.send(kindCallback, `{"id":1,"callback":1,"name":"f"}`, "[]")
			p.send(kindCallback, `{"id":1,"callback":1,"name":"f"}`, "[]")
		},
		"callback with a name that is no text": frame(kindCallback, `{"id":1,"callback":1,"name":{}}`, "[]"),
		"callback with long arguments":         frame(kindCallback, `{"id":1,"callback":1,"name":"f"}`, "["+strings.Repeat(" ", testLimits.Result)+"]"),
		"a reply":                              frame(kindReply, `{"id":1,"callback":1}`, "1"),
		"a close":                              frame(kindClose, `{"session":1}`, ""),
		"the end of no session":                frame(kindEnded, `{}`, ""),
		"the end of a session not made":        frame(kindEnded, `{"session":3}`, ""),
		"the end of a session not open yet":    frame(kindEnded, `{"session":2}`, ""),
		"the end of a session, twice": func(p *peer) {
			p.ended(1)
			p.ended(1)
		},
		"no session for a call without":    func(p *peer) { p.failure(1, `"code":1009`) },
		"no session for one that opens it": func(p *peer) { p.failure(5, `"code":1009`) },
	}
	limits := testLimits
	limits.Concurrency = 5
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, process := open(t, limits, func(p *peer) {
					for range 4 {
						p.nextCall()
					}
					p.result(4, "0")
					p.nextCall()
					lie(p)
					p.next() // until it is cut off
					p.next()
				})
				var calls sync.WaitGroup
				var sessions [2]call.Session
				for i, make := range []func() error{
					func() error { _, err := c.Execute(t.Context(), callWith(&client{answer: never})); return err },
					func() error { _, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute}); return err },
					func() error {
						_, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute, Stream: true, Client: &client{}})
						return err
					},
					func() (err error) {
						sessions[0], err = c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Minute})
						return err
					},
					func() (err error) {
						sessions[1], err = c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Minute})
						return err
					},
				} {
					calls.Go(func() {
						if err := make(); i != 3 && (!isLost(err, true) || !errors.Is(err, errProtocol)) || i == 3 && err != nil {
							t.Errorf("call %d got %v", i+1, err)
						}
					})
					synctest.Wait()
				}
				calls.Wait()
				<-process.killed
				<-sessions[0].Done()
				if sessions[1] != nil {
					t.Error("the second session was opened")
				}
			})
		})
	}
}
