package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// What an agent says that is a word of the link, with each of its fields. The calls of the test are: 1 has a
// host that streams and may be called back, and stream 1, on which four bytes have come, 2 is plain, 3 has opened
// session 1, 4 is in that session.
var saidKinds = []struct {
	name   string
	kind   kind
	fields []saidField
	body   string
}{
	{"result", kindResult, []saidField{
		{"id", "2", "call"}, {"time", "1", "number"}, {"cpu", "1.5", "amount"}, {"console", `["a"]`, "list"},
	}, "1"},
	{"failure", kindFailure, []saidField{
		{"id", "2", "call"}, {"code", "1000", "code"}, {"name", `"E"`, "text"}, {"message", `"m"`, "text"}, {"stack", `"s"`, "text"},
		{"limit", `"wall"`, "text"}, {"console", `["a"]`, "list"}, {"started", "true", "flag"},
	}, ""},
	{"print", kindPrint, []saidField{{"id", "1", "streamed"}, {"level", `"log"`, "level"}}, "x"},
	{"callback", kindCallback, []saidField{{"id", "1", "hosted"}, {"callback", "1", "next"}, {"name", `"f"`, "text"}}, "[]"},
	{"ended", kindEnded, []saidField{{"session", "1", "session"}}, ""},
	{"hello", kindHello, []saidField{{"version", "5", "never"}}, ""},
	{"call", kindCall, []saidField{{"id", "2", "never"}}, "{}"},
	{"cancel", kindCancel, []saidField{{"id", "2", "never"}}, ""},
	{"bundle", kindBundle, []saidField{{"bundle", `"a"`, "never"}}, "{}"},
	{"reply", kindReply, []saidField{{"id", "1", "never"}}, "1"},
	{"close", kindClose, []saidField{{"session", "1", "never"}}, ""},
	{"ping", kindPing, []saidField{{"x", "1", "never"}}, ""},
	{"pong", kindPong, []saidField{{"x", "1", "never"}}, ""}, // nobody asked
	{"open", kindOpen, []saidField{{"id", "1", "call"}, {"stream", "2", "second"}, {"host", `"x"`, "host"}, {"port", "1", "port"}}, ""},
	{"opened", kindOpened, []saidField{{"stream", "1", "never"}, {"address", `"x"`, "never"}}, ""},
	{"data", kindData, []saidField{{"stream", "1", "never"}}, ""}, // has no header: this is a stream of another number
	{"credit", kindCredit, []saidField{{"stream", "1", "first"}, {"bytes", "4", "granted"}}, ""},
	{"finish", kindFinish, []saidField{{"stream", "1", "first"}}, ""},
	{"abort", kindAbort, []saidField{{"stream", "1", "first"}}, ""},
	{"closed", kindClosed, []saidField{{"stream", "1", "never"}, {"code", `"x"`, "never"}}, ""},
	{"kind 0", 0, []saidField{{"id", "2", "never"}}, ""},
	{"kind 6", 6, []saidField{{"id", "2", "never"}}, ""},
	{"kind 24", 24, []saidField{{"stream", "1", "never"}}, ""},
	{"kind 255", 255, []saidField{{"id", "2", "never"}}, ""},
}

type saidField struct{ name, right, sort string }

const huge = "18446744073709551616" // 2^64

// saidValues are values that a field may be given, and the sorts of field for which they are no lie. "" is
// for a field that is left out.
var saidValues = map[string]string{
	"":                                     "number amount list text flag",
	"null":                                 "number amount list text flag",
	"0":                                    "number amount",
	"1":                                    "number amount hosted streamed next session own granted port first",
	"2":                                    "number amount call granted port second",
	"3":                                    "number amount old granted port",
	"4":                                    "number amount in granted port",
	"5":                                    "number amount port",
	"-1":                                   "number",
	"1.5":                                  "amount",
	"1e3":                                  "amount",
	"1e999":                                "",
	"4294967297":                           "number amount",
	huge:                                   "",
	`""`:                                   "text",
	`"x"`:                                  "text host",
	`"1"`:                                  "text host",
	`"log"`:                                "text level host",
	`"\ud800"`:                             "text host",
	"true":                                 "flag",
	"{}":                                   "",
	"[]":                                   "list",
	"[1]":                                  "",
	"[[]]":                                 "",
	`["a"]`:                                "list",
	`[null]`:                               "list",
	"1000":                                 "number amount code port",
	"1001":                                 "number amount code port",
	"1005":                                 "number amount lost port",
	"1006":                                 "number amount port",
	"1007":                                 "number amount port",
	"1009":                                 "number amount port",
	"-32600":                               "number",
	`{"a":`:                                "",
	"\x00":                                 "",
	`"` + strings.Repeat("x", 3<<20) + `"`: "", // longer than a header may be
}

// allowed tells whether a field may have a value, so that the container lives on.
func (f saidField) allowed(value string) bool {
	sorts := strings.Fields(saidValues[value])
	has := func(sort string) bool {
		for _, s := range sorts {
			if s == sort {
				return true
			}
		}
		return false
	}
	switch f.sort {
	case "call": // those that run, each of which may be answered
		return value == "1" || value == "2" || value == "4"
	case "streamed", "hosted": // or of one that has been answered, which is ignored
		return value == "1" || value == "3"
	case "code":
		return has("code") || has("lost")
	default:
		return has(f.sort)
	}
}

// Each field of each frame is given each value. A lie ends the container, with all its calls lost, and nothing
// else does; whatever is said, a call gets an answer that is meant for it, or LostError.
func TestEveryFieldOfEveryFrame(t *testing.T) {
	for _, said := range saidKinds {
		t.Run(said.name, func(t *testing.T) {
			for at, field := range said.fields {
				for value := range saidValues {
					var header []string
					for i, other := range said.fields {
						v := other.right
						if i == at {
							v = value
						}
						if v != "" {
							header = append(header, fmt.Sprintf("%q:%s", other.name, v))
						}
					}
					name := fmt.Sprintf("%s %.30s", field.name, value)
					says := "{" + strings.Join(header, ",") + "}"
					synctest.Test(t, func(t *testing.T) { sayUnderWay(t, name, said.kind, says, said.body, field.allowed(value)) })
				}
			}
		})
	}
}

// sayUnderWay has an agent say one frame while calls run, and then end them as it should.
func sayUnderWay(t *testing.T, name string, k kind, header, body string, lives bool) {
	values := map[uint64]string{1: `"one"`, 2: `"two"`, 3: `"three"`, 4: `"four"`}
	var answered struct{ ID uint64 } // the call that the frame is an answer to
	if k == kindResult || k == kindFailure {
		_ = json.Unmarshal([]byte(header), &answered)
	}
	proceed := make(chan struct{})
	network := newPipes()
	c, process := open(t, streamLimits, func(p *peer) {
		for id := range uint64(4) {
			p.nextCall()
			if id == 2 {
				p.result(3, values[3])
			}
		}
		p.open(1, 1)
		p.expect(kindOpened, `{"stream":1}`)
		p.receive(1, 4)
		<-proceed
		p.send(k, header, body)
		synctest.Wait()
		for _, id := range []uint64{1, 2, 4} {
			if id != answered.ID {
				p.result(id, values[id])
			}
		}
		for _, ok := p.next(); ok; _, ok = p.next() {
		}
	})
	results, errs := make([]call.Result, 5), make([]error, 5)
	var s call.Session
	var calls sync.WaitGroup
	host := &client{answer: never}
	var servers sync.WaitGroup
	servers.Go(func() { network.serve("four") })
	run := func(id int, execute func() (call.Result, error)) {
		calls.Go(func() { results[id], errs[id] = execute() })
		synctest.Wait()
	}
	run(1, func() (call.Result, error) {
		job := callWith(host)
		job.Network = network
		return c.Execute(t.Context(), job)
	})
	run(2, func() (call.Result, error) { return c.Execute(t.Context(), call.Call{Timeout: time.Minute}) })
	run(3, func() (_ call.Result, err error) {
		s, err = c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Minute})
		return call.Result{}, err
	})
	run(4, func() (call.Result, error) { return s.Execute(t.Context(), call.Call{Timeout: time.Minute}) })
	close(proceed)
	calls.Wait()
	for id := 1; id <= 4; id++ {
		value, err := string(results[id].Value), errs[id]
		var failure *call.Failure
		var lost *call.LostError
		switch {
		case id == 3:
			if err != nil {
				t.Errorf("%s: the session got %v", name, err)
			}
		case errors.As(err, &lost) && errors.Is(err, errProtocol) && !lives:
		case uint64(id) != answered.ID && err == nil && value == values[uint64(id)] && lives:
		case uint64(id) == answered.ID && k == kindResult && err == nil && value == body:
		case uint64(id) == answered.ID && k == kindFailure && (errors.As(err, &failure) || lost != nil && lost.Cause == errWorkerDied):
		default:
			t.Errorf("%s: call %d got %s, %v", name, id, value, err)
		}
	}
	select {
	case <-c.Done():
		if lives {
			t.Errorf("%s ended the container: %v", name, c.link.lost())
		}
		<-process.killed
	default:
		if !lives {
			t.Errorf("%s: the container lives on", name)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	close(network.dialed)
	servers.Wait()
}

// serve says so much on each connection, and takes all that comes, until no more are dialed.
func (n *pipes) serve(words string) {
	var each sync.WaitGroup
	defer each.Wait()
	for d := range n.dialed {
		each.Go(func() {
			_, _ = io.WriteString(d, words)
			_, _ = io.Copy(io.Discard, d)
		})
	}
}

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

// What an agent may not say of streams, while call 1 has stream 1 and call 2 stream 2. It costs the agent
// its life.
func TestLiesAboutStreams(t *testing.T) {
	open1 := func(header string) func(*peer) { return func(p *peer) { p.send(kindOpen, header, "") } }
	for name, lie := range map[string]func(*peer){
		"one of a call not made":    open1(`{"id":3,"stream":3,"host":"x","port":1}`),
		"one of a call answered":    func(p *peer) { p.result(1, "1"); p.open(1, 3) },
		"one of no call":            open1(`{"stream":3,"host":"x","port":1}`),
		"one again":                 func(p *peer) { p.open(1, 1) },
		"one left out":              func(p *peer) { p.open(1, 4) },
		"number 0":                  func(p *peer) { p.open(1, 0) },
		"a number too large":        open1(`{"id":1,"stream":4294967296,"host":"x","port":1}`),
		"a number below 0":          open1(`{"id":1,"stream":-1,"host":"x","port":1}`),
		"to no host":                open1(`{"id":1,"stream":3,"port":1}`),
		"to an endless host":        open1(`{"id":1,"stream":3,"host":"` + strings.Repeat("x", 4*maxHost+1) + `","port":1}`),
		"to a host that is no text": open1(`{"id":1,"stream":3,"host":["x"],"port":1}`),
		"to port 0":                 open1(`{"id":1,"stream":3,"host":"x","port":0}`),
		"to port 65536":             open1(`{"id":1,"stream":3,"host":"x","port":65536}`),
		"to port 1.5":               open1(`{"id":1,"stream":3,"host":"x","port":1.5}`),
		"more than a call may have": func(p *peer) { p.open(1, 3); p.open(1, 4) },
		"data of one not opened":    func(p *peer) { p.data(3, "x") },
		"data of stream 0":          func(p *peer) { p.data(0, "x") },
		"no data":                   func(p *peer) { p.data(1, "") },
		"data without a stream":     func(p *peer) { p.send(kindData, "abc", "") },
		"a frame of data, too long": func(p *peer) { p.data(1, strings.Repeat("x", streamChunk+1)) },
		"data that was not granted": func(p *peer) {
			for range windowToDaemon/streamChunk + 1 {
				p.data(1, strings.Repeat("x", streamChunk))
			}
		},
		"data of one that is not open":    func(p *peer) { p.open(1, 3); p.data(3, "x") },
		"data behind the last":            func(p *peer) { p.stream(kindFinish, 1); p.data(1, "x") },
		"data behind an abort":            func(p *peer) { p.data(1, "x"); p.stream(kindAbort, 1); p.data(1, "y") },
		"the end of one twice":            func(p *peer) { p.stream(kindFinish, 1); p.stream(kindFinish, 1) },
		"the end of one not opened":       func(p *peer) { p.stream(kindFinish, 3) },
		"the end of one that is not open": func(p *peer) { p.open(1, 3); p.stream(kindFinish, 3) },
		"an abort of one not opened":      func(p *peer) { p.stream(kindAbort, 3) },
		"credit for one not opened":       func(p *peer) { p.credit(3, 1) },
		"credit for what was not sent":    func(p *peer) { p.credit(1, 1) },
		"credit without end":              func(p *peer) { p.credit(1, 1<<62) },
		"credit of 0":                     func(p *peer) { p.credit(1, 0) },
		"credit below 0":                  func(p *peer) { p.credit(1, -1) },
		"an opened":                       func(p *peer) { p.stream(kindOpened, 1) },
		"a closed":                        func(p *peer) { p.stream(kindClosed, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newPipes()
				c, process := open(t, streamLimits, func(p *peer) {
					p.nextCall()
					p.nextCall()
					for n := range uint64(2) {
						p.open(n+1, uint32(n+1))
						if f, ok := p.next(); !ok || f.kind != kindOpened {
							t.Errorf("got kind %d", f.kind)
						}
					}
					network.block = true // the next one
					var reading sync.WaitGroup
					reading.Go(func() {
						for _, ok := p.next(); ok; _, ok = p.next() {
						}
					})
					lie(p)
					reading.Wait()
				})
				var calls sync.WaitGroup
				for range 2 {
					calls.Go(func() {
						var lost *call.LostError
						_, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute, Network: network})
						if !errors.As(err, &lost) && (err != nil || name != "one of a call answered") || lost != nil && !errors.Is(err, errProtocol) {
							t.Errorf("got %v", err)
						}
					})
				}
				<-c.done
				for range 2 {
					if _, err := (<-network.dialed).Read(make([]byte, 1)); err != io.EOF {
						t.Errorf("a connection outlives the agent: %v", err)
					}
				}
				calls.Wait()
				<-process.killed
			})
		})
	}
}

// resets is a Network whose connections are reset as soon as they are made, to a slow host when they are over.
type resets struct{}

func (resets) Dial(ctx context.Context, host string, _ int) (net.Conn, error) {
	if host == "slow.test" {
		<-ctx.Done()
	}
	conn, _ := net.Pipe()
	return reset{conn}, nil
}

type reset struct{ net.Conn }

func (reset) Read([]byte) (int, error) { return 0, syscall.ECONNRESET }

// What an agent may have sent before it knew that a stream is over is ignored; what goes on without end is not.
func TestFramesOfStreamsThatAreOver(t *testing.T) {
	over := func(p *peer) {
		p.open(1, 1)
		p.expect(kindOpened, `{"stream":1}`)
		p.expect(kindClosed, `{"stream":1,"code":"ECONNRESET","message":"read ECONNRESET"}`)
	}
	aborted := func(p *peer) {
		p.send(kindOpen, `{"id":1,"stream":1,"host":"slow.test","port":443}`, "")
		p.stream(kindAbort, 1)
		p.expect(kindClosed, `{"stream":1}`)
	}
	const granted = windowToDaemon / streamChunk
	for name, test := range map[string]struct {
		before func(*peer)
		frame  func(*peer)
		times  int
		lives  bool
	}{
		"all that was granted":      {over, func(p *peer) { p.data(1, strings.Repeat("x", streamChunk)) }, granted, true},
		"its end, and an abort":     {over, func(p *peer) { p.stream(kindFinish, 1); p.stream(kindAbort, 1) }, 1, true},
		"credit for what it got":    {over, func(p *peer) { p.credit(1, 1) }, 1000, true},
		"data without end":          {over, func(p *peer) { p.data(1, strings.Repeat("x", streamChunk)) }, 1000, false},
		"ends without end":          {over, func(p *peer) { p.stream(kindFinish, 1) }, windowToDaemon + windowToAgent + 3, false},
		"an end behind an abort":    {aborted, func(p *peer) { p.stream(kindFinish, 1) }, 1, true},
		"aborts without end":        {aborted, func(p *peer) { p.stream(kindAbort, 1) }, 2, false},
		"credit behind the aborted": {aborted, func(p *peer) { p.credit(1, 1) }, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, process := open(t, streamLimits, func(p *peer) {
				p.nextCall()
				test.before(p)
				for range test.times {
					test.frame(p)
				}
				p.result(1, "1")
				p.next()
			})
			_, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute, Network: resets{}})
			if test.lives && err != nil || !test.lives && !errors.Is(err, errProtocol) {
				t.Fatalf("got %v", err)
			}
			if !test.lives {
				<-process.killed
			}
		})
	}
}

// TestFloods has agents that send without end. Each is cut off, or ignored, before the daemon's memory has
// grown by more than a few frames.
func TestFloods(t *testing.T) {
	for name, flood := range map[string]func(p *peer, i int){
		"prints":      func(p *peer, _ int) { p.send(kindPrint, `{"id":1,"level":"log"}`, "x") },
		"long prints": func(p *peer, _ int) { p.send(kindPrint, `{"id":1,"level":"log"}`, strings.Repeat("x", 1<<19)) },
		"callbacks": func(p *peer, i int) {
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), "[]")
		},
		"long callbacks": func(p *peer, i int) {
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), "["+strings.Repeat(" ", 1<<19)+"]")
		},
		"callbacks that are refused": func(p *peer, i int) {
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"g"}`, i+1), "[]")
		},
		"pongs":                 func(p *peer, _ int) { p.send(kindPong, "{}", "") },
		"results without calls": func(p *peer, i int) { p.result(uint64(i+3), "1") },
		"frames of nothing":     func(p *peer, _ int) { p.raw("\x00\x00\x00\x00\x04") },
		"answered calls": func(p *peer, i int) {
			if i == 0 {
				p.result(2, "1")
			}
			p.send(kindPrint, `{"id":2,"level":"log"}`, "x")
		},
		"one byte each":               func(p *peer, _ int) { p.raw("\x00\x00\x00\x01\x04{") },
		"64 MiB":                      func(p *peer, _ int) { p.raw("\x04\x00\x00\x00\x04" + strings.Repeat(" ", 1<<16)) },
		"4 GiB":                       func(p *peer, _ int) { p.raw("\xff\xff\xff\xff\x04") },
		"spaces in front of a header": func(p *peer, _ int) { p.send(kindPrint, strings.Repeat(" ", 1<<18)+`{"id":1,"level":"log"}`, "") },
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			made := make(chan struct{})
			c, process := open(t, testLimits, func(p *peer) {
				p.nextCall()
				close(made)
				p.nextCall()
				for i := range 100_000 {
					select {
					case <-p.killed:
						return
					default:
						flood(p, i)
					}
				}
				t.Error("it was never cut off")
			})
			var beside sync.WaitGroup
			beside.Go(func() {
				<-made
				if result, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute}); !isLost(err, true) && string(result.Value) != "1" {
					t.Errorf("the call beside got %s, %v", result.Value, err)
				}
			})
			host := &client{answer: never}
			_, err := c.Execute(t.Context(), callWith(host))
			beside.Wait()
			if !isLost(err, true) || !errors.Is(err, errProtocol) {
				t.Errorf("got %v", err)
			}
			<-process.killed
			if len(host.lines) > testLimits.ConsoleLines+1 {
				t.Errorf("the client got %d lines", len(host.lines))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
				t.Errorf("%d MiB are left", grown>>20)
			}
		})
	}
}

// Part of a frame that never goes on is no crime, nor does it count as the end of anything: calls get their
// answers by the daemon's own deadlines, and a container where nothing else happens is given up.
func TestFramesThatNeverEnd(t *testing.T) {
	for name, test := range map[string]struct {
		part  string
		drips bool // and then a byte every five seconds
	}{
		"part of a length":    {"\x00\x00", false},
		"a length":            {"\x00\x00\x00\x40\x04", false},
		"a length and more":   {"\x00\x0f\xff\xff\x04{\"id\":1}\n\"", false},
		"a byte now and then": {"\x00\x0f\xff\xff\x04{\"id\":1}\n\"", true},
		"nothing":             {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := openMetered(t, busy(time.Hour), func(p *peer) {
					p.nextCall()
					go func() { // it reads, so that nothing else is the reason
						_, _ = io.Copy(io.Discard, p.conn)
					}()
					p.raw(test.part)
					for test.drips && p.raw("x") {
						time.Sleep(5 * time.Second)
					}
					<-p.killed
				})
				began := time.Now()
				_, err := c.Execute(t.Context(), call.Call{Timeout: time.Second})
				var failure *call.Failure
				if !errors.As(err, &failure) || failure.Code != call.Timeout || time.Since(began) != time.Second+deadlineGrace {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
				<-c.Done()
				if took := time.Since(began); took > 3*time.Minute {
					t.Errorf("given up after %v", took)
				}
			})
		})
	}
}

// An agent that reads nothing holds no more of the daemon than its slots are for, and each call has its
// answer in time.
func TestAgentThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits
		limits.Concurrency = 8
		c, _ := open(t, limits, func(p *peer) { <-p.killed })
		script := []byte(`{"code":"` + strings.Repeat("x", 1<<20) + `"}`)
		var calls sync.WaitGroup
		for i := range 50 {
			calls.Go(func() {
				began := time.Now()
				ctx := cancelled(t, time.Minute) // while those beyond the eighth wait for a slot
				_, err := c.Execute(ctx, call.Call{Script: script, Timeout: time.Second})
				var failure *call.Failure
				var lost *call.LostError
				if !errors.As(err, &failure) && !errors.As(err, &lost) || time.Since(began) > time.Minute+time.Second {
					t.Errorf("call %d got %v after %v", i, err, time.Since(began))
				}
			})
		}
		synctest.Wait()
		c.link.mu.Lock()
		waiting := len(c.link.outbox.frames)
		c.link.mu.Unlock()
		if waiting > 2*limits.Concurrency+1 {
			t.Errorf("%d frames wait", waiting)
		}
		calls.Wait()
	})
}
