package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// An agent may say anything. The scene of these tests is a container with six calls: 1 streams and may call back, and
// has stream 1, on which four bytes have come; 2 is plain; 3 has opened session 1; 4 is in that session; 5 only
// streams; 6 is about to open session 2.
const sceneCalls = 6

var sceneLimits = func() Limits {
	l := testLimits
	l.Streams, l.Concurrency = 2, sceneCalls
	return l
}()

// A scene is what came of it.
type scene struct {
	calls   [sceneCalls + 1]outcome // by id
	client  *client                 // of call 1
	network *pipes
	died    error // what the container died of; nil: it lives on
}

// sceneValue is what the agent answers a call with, unless it has done so already.
func sceneValue(id int) string { return fmt.Sprintf(`"value %d"`, id) }

// play has an agent say something in the scene, and then answer the calls but for the one with the id answered.
func play(t *testing.T, say func(*peer, *pipes), answered int) scene {
	s := scene{client: &client{answer: never}, network: newPipes()}
	made, proceed := make(chan struct{}), make(chan struct{})
	c, process := open(t, sceneLimits, func(p *peer) {
		for id := range sceneCalls {
			p.nextCall()
			if id == 2 {
				p.result(3, sceneValue(3))
			}
		}
		p.open(1, 1)
		p.expect(kindOpened, `{"stream":1}`)
		p.receive(1, 4)
		close(made)
		<-proceed
		say(p, s.network)
		synctest.Wait()
		for _, id := range []int{1, 2, 4, 5, 6} {
			if id != answered {
				p.result(uint64(id), sceneValue(id))
			}
		}
		for _, ok := p.next(); ok; _, ok = p.next() {
		}
	})
	var servers, calls sync.WaitGroup
	servers.Go(func() { s.network.serve("four") })
	record := func(id int) call.Done {
		calls.Add(1)
		return func(result call.Result, err error) {
			s.calls[id] = outcome{result, err}
			calls.Done()
		}
	}
	var session call.Session
	opened := func(id int) func(call.Session, call.Result, error) {
		done := record(id)
		return func(s call.Session, result call.Result, err error) {
			session = s
			done(result, err)
		}
	}
	first := callWith(s.client)
	first.Network = s.network
	c.Start(&first, record(1))
	c.Start(minute(), record(2))
	c.OpenSession(minute(), opened(3))
	synctest.Wait()
	session.(*openedSession).Start(minute(), record(4))
	c.Start(&call.Call{Timeout: time.Minute, Stream: true, Client: &client{}}, record(5))
	c.OpenSession(minute(), opened(6))
	<-made
	close(proceed)
	calls.Wait()
	select {
	case <-c.Done():
		s.died = c.link.lost().Cause
		<-process.killed
		later := newRecorder()
		c.Start(minute(), later.done)
		if o := <-later; !isLost(o.err, false) {
			t.Errorf("a later call got %v", o.err)
		}
	default:
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	close(s.network.dialed)
	servers.Wait() // no connection outlives the agent
	return s
}

// serve says so much on each connection, and takes all that comes, until no more are dialed.
func (n *pipes) serve(words string) {
	var each sync.WaitGroup
	defer each.Wait()
	for d := range n.dialed {
		each.Go(func() {
			if n.deaf {
				return
			}
			_, _ = io.WriteString(d, words)
			_, _ = io.Copy(io.Discard, d)
		})
	}
}

// Everything that an agent may say by the link's rules, with each of its fields.
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

// A saidField has a value with which the frame is no lie, and a sort, which tells the other such values.
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
	"6":                                    "number amount port",
	"7":                                    "number amount port",
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
	has := func(sort string) bool { return slices.Contains(strings.Fields(saidValues[value]), sort) }
	switch f.sort {
	case "call": // one that runs, and may be answered
		return slices.Contains([]string{"1", "2", "4", "5", "6"}, value)
	case "streamed": // or one that has been answered, which is ignored
		return slices.Contains([]string{"1", "3", "5"}, value)
	case "hosted":
		return slices.Contains([]string{"1", "3"}, value)
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
					synctest.Test(t, func(t *testing.T) { sayField(t, name, said.kind, says, said.body, field.allowed(value)) })
				}
			}
		})
	}
}

func sayField(t *testing.T, name string, k kind, header, body string, lives bool) {
	var answered struct{ ID int } // the call that the frame is an answer to
	if k == kindResult || k == kindFailure {
		_ = json.Unmarshal([]byte(header), &answered)
	}
	s := play(t, func(p *peer, _ *pipes) { p.send(k, header, body) }, answered.ID)
	if lives != (s.died == nil) {
		t.Errorf("%s: the container died of %v", name, s.died)
	}
	for id := 1; id <= sceneCalls; id++ {
		value, err := string(s.calls[id].result.Value), s.calls[id].err
		var failure *call.Failure
		var lost *call.LostError
		switch {
		case id == 3 || id != answered.ID && lives:
			if err != nil || value != sceneValue(id) {
				t.Errorf("%s: call %d got %s, %v", name, id, value, err)
			}
		case errors.As(err, &lost) && errors.Is(err, errProtocol) && !lives:
		case id == answered.ID && k == kindResult && err == nil && value == body:
		case id == answered.ID && k == kindFailure && (errors.As(err, &failure) || lost != nil && lost.Cause == errWorkerDied):
		default:
			t.Errorf("%s: call %d got %s, %v", name, id, value, err)
		}
	}
}

// Lies that are more than one field of one frame, or a value that only one field has.
func TestLies(t *testing.T) {
	says := func(k kind, header, body string) func(*peer, *pipes) {
		return func(p *peer, _ *pipes) { p.send(k, header, body) }
	}
	raw := func(bytes string) func(*peer, *pipes) { return func(p *peer, _ *pipes) { p.raw(bytes) } }
	agent := func(say func(*peer)) func(*peer, *pipes) { return func(p *peer, _ *pipes) { say(p) } }
	callbacks := func(n int, args string) func(*peer, *pipes) {
		return agent(func(p *peer) {
			for i := range n {
				p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), args)
			}
		})
	}
	lines := func(n int, text string) func(*peer, *pipes) {
		return agent(func(p *peer) {
			for range n {
				p.send(kindPrint, `{"id":1,"level":"log"}`, text)
			}
		})
	}
	data := func(n, size int) func(*peer, *pipes) {
		return agent(func(p *peer) {
			for range n {
				p.data(1, strings.Repeat("x", size))
			}
		})
	}
	unopened := func(k kind, body string) func(*peer, *pipes) {
		return func(p *peer, network *pipes) {
			network.block = true
			p.open(1, 2)
			if k == kindData {
				p.data(2, body)
			} else {
				p.stream(k, 2)
			}
		}
	}
	long := strings.Repeat("x", testLimits.Result)
	for name, lie := range map[string]func(*peer, *pipes){
		"a frame of nothing":                raw("\x00\x00\x00\x00\x04"),
		"a frame of 64 MiB":                 raw("\x04\x00\x00\x00\x04" + strings.Repeat(" ", 1<<16)),
		"a frame of 4 GiB":                  raw("\xff\xff\xff\xff\x04"),
		"a header that is no JSON":          says(kindResult, `{"id":2`, "1"),
		"a header that is no object":        says(kindResult, `[2]`, "1"),
		"a header of null":                  says(kindResult, `null`, "1"),
		"a header that is too long":         says(kindResult, `{"id":2,"x":"`+strings.Repeat("x", HeaderRoom+2000)+`"}`, "1"),
		"a value that is too long":          says(kindResult, `{"id":2}`, `"`+long+`"`),
		"processor time of ages":            says(kindResult, `{"id":2,"cpu":1e300}`, "1"),
		"no session for a call without":     says(kindFailure, `{"id":2,"code":1009}`, ""),
		"no session for one that opens it":  says(kindFailure, `{"id":6,"code":1009}`, ""),
		"a line that is too long":           lines(1, long+"x"),
		"a line with a long header":         says(kindPrint, `{"id":1,"level":"log","x":"`+strings.Repeat("x", HeaderRoom)+`"}`, "x"),
		"a line without a header":           says(kindPrint, "", "x"),
		"lines without end":                 lines(2*testLimits.ConsoleLines+2, ""),
		"lines of too many bytes":           lines(2, long),
		"a callback with long arguments":    callbacks(1, "["+strings.Repeat(" ", testLimits.Result)+"]"),
		"callbacks without end":             callbacks(4*maxCallbacks, "[]"),
		"callbacks with too many arguments": callbacks(10, `["`+long[:len(long)/2]+`"]`),
		"a callback once more": agent(func(p *peer) {
			for range 2 {
				p.send(kindCallback, `{"id":1,"callback":1,"name":"f"}`, "[]")
			}
		}),
		"the end of a session, twice": agent(func(p *peer) { p.ended(1); p.ended(1) }),
		"a pong once more":            agent(func(p *peer) { p.nextOrPing(); p.send(kindPong, "{}", ""); p.send(kindPong, "{}", "") }),
		"a pong without a header":     agent(func(p *peer) { p.nextOrPing(); p.send(kindPong, "", "") }),

		"a stream to an endless host":       says(kindOpen, `{"id":1,"stream":2,"host":"`+strings.Repeat("x", 4*maxHost+1)+`","port":1}`, ""),
		"a stream to port 65536":            says(kindOpen, `{"id":1,"stream":2,"host":"x","port":65536}`, ""),
		"more streams than a call may have": agent(func(p *peer) { p.open(1, 2); p.open(1, 3) }),
		"a stream of a call just answered":  agent(func(p *peer) { p.result(1, sceneValue(1)); p.open(1, 2) }),
		"data of a stream not opened":       agent(func(p *peer) { p.data(2, "x") }),
		"data of stream 0":                  agent(func(p *peer) { p.data(0, "x") }),
		"no data":                           data(1, 0),
		"data without a stream":             says(kindData, "abc", ""),
		"a frame of data, too long":         data(1, streamChunk+1),
		"data that was not granted": func(p *peer, network *pipes) {
			network.deaf = true
			p.open(1, 2)
			p.expect(kindOpened, `{"stream":2}`)
			for range windowToDaemon/streamChunk + 1 {
				p.data(2, strings.Repeat("x", streamChunk))
			}
		},
		"data of a stream that connects":    unopened(kindData, "x"),
		"the end of a stream that connects": unopened(kindFinish, ""),
		"data behind the last":              agent(func(p *peer) { p.stream(kindFinish, 1); p.data(1, "x") }),
		"data behind an abort":              agent(func(p *peer) { p.data(1, "x"); p.stream(kindAbort, 1); p.data(1, "y") }),
		"the end of a stream, twice":        agent(func(p *peer) { p.stream(kindFinish, 1); p.stream(kindFinish, 1) }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkDeath(t, lie, errProtocol, name == "a stream of a call just answered") })
		})
	}
	for name, end := range map[string]func(*peer, *pipes){
		"half a length": func(p *peer, _ *pipes) { p.raw("\x00\x00"); p.conn.Close() },
		"half a frame":  func(p *peer, _ *pipes) { p.raw("\x00\x00\x00\x09\x04{\"id\""); p.conn.Close() },
		"nothing more":  func(p *peer, _ *pipes) { p.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { checkDeath(t, end, errAgentEnded, false) }) })
	}
}

// checkDeath wants what an agent says to end the container and lose its calls, but for the first where that was answered.
func checkDeath(t *testing.T, say func(*peer, *pipes), cause error, answered bool) {
	s := play(t, say, 0)
	if !errors.Is(s.died, cause) {
		t.Errorf("the container died of %v", s.died)
	}
	for id := 1; id <= sceneCalls; id++ {
		err := s.calls[id].err
		if kept := id == 3 || id == 1 && answered; kept && err != nil || !kept && (!isLost(err, true) || !errors.Is(err, cause)) {
			t.Errorf("call %d got %v", id, err)
		}
	}
	if len(s.client.lines) > testLimits.ConsoleLines+1 {
		t.Errorf("the client got %d lines", len(s.client.lines))
	}
}

// resets is a Network whose connections are reset as soon as they are made, or to a slow host never made.
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
		"answered calls": func(p *peer, i int) {
			if i == 0 {
				p.result(2, "1")
			}
			p.send(kindPrint, `{"id":2,"level":"log"}`, "x")
		},
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
			printer := &client{answer: never}
			_, err := c.Execute(t.Context(), callWith(printer))
			beside.Wait()
			if !isLost(err, true) || !errors.Is(err, errProtocol) {
				t.Errorf("got %v", err)
			}
			<-process.killed
			if len(printer.lines) > testLimits.ConsoleLines+1 {
				t.Errorf("the client got %d lines", len(printer.lines))
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
// answers by the daemon's own deadlines, and a container where nothing else happens is ended.
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
		virtually(t, name, func(t *testing.T) {
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
				t.Errorf("ended after %v", took)
			}
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
