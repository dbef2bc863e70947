package containers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What an agent says that is a word of the link, with each of its fields. The calls of the test are: 1 has a
// host that streams and may be called back, 2 is plain, 3 has opened session 1, 4 is in that session.
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
	{"hello", kindHello, []saidField{{"version", "4", "never"}}, ""},
	{"call", kindCall, []saidField{{"id", "2", "never"}}, "{}"},
	{"cancel", kindCancel, []saidField{{"id", "2", "never"}}, ""},
	{"bundle", kindBundle, []saidField{{"bundle", `"a"`, "never"}}, "{}"},
	{"reply", kindReply, []saidField{{"id", "1", "never"}}, "1"},
	{"close", kindClose, []saidField{{"session", "1", "never"}}, ""},
	{"ping", kindPing, []saidField{{"x", "1", "never"}}, ""},
	{"pong", kindPong, []saidField{{"x", "1", "never"}}, ""}, // nobody asked
	{"kind 0", 0, []saidField{{"id", "2", "never"}}, ""},
	{"kind 6", 6, []saidField{{"id", "2", "never"}}, ""},
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
	"1":                                    "number amount hosted streamed next session own",
	"2":                                    "number amount call",
	"3":                                    "number amount old",
	"4":                                    "number amount in",
	"5":                                    "number amount",
	"-1":                                   "number",
	"1.5":                                  "amount",
	"1e3":                                  "amount",
	"1e999":                                "",
	huge:                                   "",
	`""`:                                   "text",
	`"x"`:                                  "text",
	`"1"`:                                  "text",
	`"log"`:                                "text level",
	`"\ud800"`:                             "text",
	"true":                                 "flag",
	"{}":                                   "",
	"[]":                                   "list",
	"[1]":                                  "",
	"[[]]":                                 "",
	`["a"]`:                                "list",
	`[null]`:                               "list",
	"1000":                                 "number amount code",
	"1001":                                 "number amount code",
	"1005":                                 "number amount lost",
	"1006":                                 "number amount",
	"1007":                                 "number amount",
	"1009":                                 "number amount",
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
	c, process := open(t, testLimits, func(p *peer) {
		for id := range uint64(4) {
			p.nextCall()
			if id == 2 {
				p.result(3, values[3])
			}
		}
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
	results, errs := make([]Result, 5), make([]error, 5)
	var s Session
	var calls sync.WaitGroup
	host := &client{answer: never}
	run := func(id int, execute func() (Result, error)) {
		calls.Go(func() { results[id], errs[id] = execute() })
		synctest.Wait()
	}
	run(1, func() (Result, error) { return c.Execute(t.Context(), callWith(host)) })
	run(2, func() (Result, error) { return c.Execute(t.Context(), Call{Timeout: time.Minute}) })
	run(3, func() (_ Result, err error) {
		s, err = c.OpenSession(t.Context(), Call{Timeout: time.Minute})
		return Result{}, err
	})
	run(4, func() (Result, error) { return s.Execute(t.Context(), Call{Timeout: time.Minute}) })
	close(proceed)
	calls.Wait()
	for id := 1; id <= 4; id++ {
		value, err := string(results[id].Value), errs[id]
		var failure *Failure
		var lost *LostError
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
			t.Errorf("%s ended the container: %v", name, c.lost())
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
				if result, err := c.Execute(t.Context(), Call{Timeout: time.Minute}); !isLost(err, true) && string(result.Value) != "1" {
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
						_, _ = io.Copy(io.Discard, p.r)
					}()
					p.raw(test.part)
					for test.drips && p.raw("x") {
						time.Sleep(5 * time.Second)
					}
					<-p.killed
				})
				began := time.Now()
				_, err := c.Execute(t.Context(), Call{Timeout: time.Second})
				var failure *Failure
				if !errors.As(err, &failure) || failure.Code != Timeout || time.Since(began) != time.Second+deadlineGrace {
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
				_, err := c.Execute(ctx, Call{Script: script, Timeout: time.Second})
				var failure *Failure
				var lost *LostError
				if !errors.As(err, &failure) && !errors.As(err, &lost) || time.Since(began) > time.Minute+time.Second {
					t.Errorf("call %d got %v after %v", i, err, time.Since(began))
				}
			})
		}
		synctest.Wait()
		c.mu.Lock()
		waiting := len(c.outbox)
		c.mu.Unlock()
		if waiting > 2*limits.Concurrency+1 {
			t.Errorf("%d frames wait", waiting)
		}
		calls.Wait()
	})
}
