package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

const closeMethod = "runtime.close"

// open opens a session with the request's id and further params, and gives the session's.
func (a asker) open(id, more string) string {
	a.Helper()
	a.send(a.request(id, openMethod, `{"code":"1"`+more+`}`))
	var r OpenResult
	if got := outcomeIn(a.receive()); json.Unmarshal([]byte(got), &r) != nil || r.Session == "" {
		a.Fatalf("got %s, want a session", got)
	}
	return r.Session
}

// inSession is a request to run code in a session.
func (a asker) inSession(session, id, code, more string) string {
	return a.execute(id, code, `,"session":"`+session+`"`+more)
}

func TestSession(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		s, other := a.open("1", `,"tenant":"t"`), a.open("1", `,"tenant":"t"`)
		a.send(a.inSession(s, "2", "count", ""), a.inSession(s, "3", "read", ""), a.inSession(other, "4", "read", ""))
		a.expectAll(a.response("2", `{"value":3,"console":[],"time":0}`), a.response("3", `{"value":3,"console":[],"time":0}`),
			a.response("4", `{"value":2,"console":[],"time":0}`))
		a.expectOutcome(execute, `{"session":"`+s+`","call":"call","caller":"c","args":[1.0],"timeout":200,"stats":false}`,
			`{"value":{"call":{"call":"call","caller":"c","args":[1.0]},"cpu":200,"tenant":"t","timeout":200},"console":[],"time":0}`)
		a.expectOutcome(closeMethod, `{"session":"`+s+`"}`, `{}`)
		for _, use := range []string{execute, closeMethod} {
			params := `{"session":"` + s + `"}`
			if use == execute {
				params = `{"session":"` + s + `","code":"read"}`
			}
			a.expectOutcome(use, params, unknown)
			a.another(r).expectOutcome(use, strings.Replace(params, s, other, 1), unknown) // not its own
		}
		a.expectOutcome(execute, `{"session":"`+other+`","code":"read"}`, `{"value":2,"console":[],"time":0}`)
	})
}

// Calls run in the order of their requests, however many wait.
func TestSessionCallsRunInOrder(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		s := a.open("1", "")
		const calls = 300
		for i := range calls {
			a.send(a.inSession(s, fmt.Sprint(i+1), "count", ""))
		}
		var want []string
		for i := range calls {
			want = append(want, a.response(fmt.Sprint(i+1), fmt.Sprintf(`{"value":%d,"console":[],"time":0}`, i+3)))
		}
		a.expectAll(want...)
	})
}

func TestSessionEnds(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		const timeout = `{"code":1002,"message":"Timeout","data":{"limit":"wall"}}`
		for how, end := range map[string]func(s string){
			"overrun": func(s string) {
				a.send(a.inSession(s, "2", "overrun", ""), a.inSession(s, "3", "read", ""))
				a.expectAll(a.response("2", timeout), a.response("3", unknown))
			},
			"cancel": func(s string) {
				a.send(a.inSession(s, "2", "wait", ""), a.inSession(s, "3", "read", ""))
				r.running(1)
				a.send(a.request("4", cancel, `{"id":2}`))
				a.expectAll(a.response("2", cancelled), a.response("3", unknown), a.response("4", yes))
			},
			"close under a call": func(s string) {
				a.send(a.inSession(s, "2", "wait", ""))
				r.running(1)
				a.send(a.request("4", closeMethod, `{"session":"`+s+`"}`))
				a.expectAll(a.response("2", cancelled), a.response("4", `{}`))
			},
			"its container": func(s string) {
				r.runner.mu.Lock()
				r.runner.sessions[len(r.runner.sessions)-1].Close()
				r.runner.mu.Unlock()
			},
		} {
			s := a.open("1", "")
			end(s)
			if got := a.ask(execute, `{"session":"`+s+`","code":"read"}`); got != unknown {
				t.Errorf("%s: got %s", how, got)
			}
		}
		a.send(a.inSession(a.open("1", ""), "1", "throw", ""))
		if got := a.outcome(); !strings.Contains(got, "TypeError") {
			t.Errorf("got %s", got)
		}
		r.eventually("none but the last is counted", func() bool { return sessionsOf(r, "default") == 1 })
	})
}

// One that is cancelled before its turn costs the others nothing.
func TestCancelledTurn(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		release := make(chan struct{})
		r.runner.scripts["step"] = r.runner.held(release, "3")
		s := a.open("1", "")
		a.send(a.inSession(s, "1", "step", ""), a.inSession(s, "2", "never", ""), a.inSession(s, "3", "count", ""))
		r.running(1)
		a.send(a.request("4", cancel, `{"id":2}`))
		a.expectAll(a.response("2", cancelled), a.response("4", yes))
		close(release)
		a.expectAll(a.response("1", three), a.response("3", `{"value":3,"console":[],"time":0}`))
	})
}

func TestSessionsAreBounded(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		const full = `{"code":1004,"message":"Limit exceeded","data":{"limit":"sessions"}}`
		s := a.open("1", "")
		b := a.another(r)
		b.open("1", "")
		a.expectOutcome(openMethod, `{"code":"1"}`, full)
		b.open("1", `,"tenant":"other"`)
		for range 50 { // when close has answered, there is a place
			a.expectOutcome(closeMethod, `{"session":"`+s+`"}`, `{}`)
			s = a.open("1", "")
		}
		if got := a.ask(openMethod, `{"code":"throw"}`); got != full {
			t.Errorf("got %s", got)
		}
		a.expectOutcome(closeMethod, `{"session":"`+s+`"}`, `{}`)
		for range 3 { // one that did not open takes no place
			if got := a.ask(openMethod, `{"code":"throw"}`); !strings.Contains(got, "TypeError") {
				t.Errorf("got %s", got)
			}
		}
		_ = b.conn.CloseNow()
		r.eventually("those of a lost connection have ended", func() bool { return sessionsOf(r, "default")+sessionsOf(r, "other") == 0 })
	}, func(c *Config) { c.Policy = allowed(Policy{Sessions: 2}) })
}

func sessionsOf(r *rig, tenant string) int {
	r.service.sessions.mu.Lock()
	defer r.service.sessions.mu.Unlock()
	return r.service.sessions.of[tenant]
}

// sessionThatSleeps returns a session, and a call for it that takes that long.
func sessionThatSleeps(idle, length time.Duration) (*session, *call.Call) {
	runner := newRunner()
	runner.scripts["sleep"] = func(context.Context, string, call.Call) (result, error) {
		time.Sleep(length)
		return result{}, nil
	}
	inner := &fakeSession{r: runner, turn: make(chan struct{}, 1), done: make(chan struct{})}
	return newSession("s", "t", nil, idle, inner), &call.Call{Script: []byte(`{"code":"sleep"}`)}
}

func TestIdleSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ss, job := sessionThatSleeps(10*time.Minute, time.Hour)
		start := func() {
			ss.start(job, false, func(call.Result, time.Duration, error) {})
		}
		time.Sleep(9 * time.Minute)
		start()
		start()
		time.Sleep(2 * time.Hour) // in which it is not idle
		synctest.Wait()
		time.Sleep(10*time.Minute - time.Second)
		if ss.hasEnded() {
			t.Fatal("ended too early")
		}
		time.Sleep(2 * time.Second)
		if !ss.hasEnded() {
			t.Error("has not ended")
		}
	})
}

// The last call may be cancelled after the call before it was answered, and before it starts.
func TestSessionIsIdleAfterACallThatNeverStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ss, job := sessionThatSleeps(time.Minute, time.Second)
		next := make(chan call.Running, 1)
		ss.start(job, false, func(call.Result, time.Duration, error) { (<-next).Cancel() })
		next <- ss.start(job, false, func(_ call.Result, _ time.Duration, err error) {
			if err != errCancelled {
				t.Errorf("got %v", err)
			}
		})
		time.Sleep(time.Minute + 2*time.Second)
		if !ss.hasEnded() {
			t.Error("the session has not ended")
		}
	})
}

// A daemon that ends cancels all requests, also an opening that it has just refused.
func TestCancelOfARefusedOpeningDoesNothing(t *testing.T) {
	r := start(t)
	var got error
	refused := opening{&preparedCall{service: r.service, method: openMethod}}
	refused.run(waiter{answer: func(_ json.RawMessage, err error) { got = err }, done: func() {}})
	if got != errSessionLimit {
		t.Fatalf("got %v", got)
	}
	refused.cancel(true)
	refused.cancel(false)
}

// Its secrets are hidden in all that its calls say.
func TestSessionHidesSecrets(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		s := a.open("1", `,"secrets":{"k":"my secret"}`)
		a.send(a.inSession(s, "2", "stream", `,"stream":true,"execution":"e"`))
		a.expect(a.printed("2", "e", "log", `"a<b>"`), a.printed("2", "e", "warn", `"two\nlines"`), a.printed("2", "e", "error", `"***"`),
			a.response("2", `{"value":0,"console":["a<b>","two\nlines","***"],"time":1}`))
	})
}

// A session goes on behind its connection as long as there are detached calls in it.
func TestDetachedCallInSession(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		release := make(chan struct{})
		r.runner.scripts["step"] = r.runner.held(release, "3")
		s := a.open("1", "")
		a.send(a.inSession(s, "1", "step", `,"detach":true,"execution":"e"`), a.inSession(s, "2", "never", `,"execution":"n"`),
			a.inSession(s, "3", "count", `,"detach":true,"execution":"f"`))
		r.running(1)
		r.waiters(3)
		_ = a.conn.CloseNow()
		r.eventually("the connection is gone", func() bool { return open(r) == 0 })
		b := a.another(r)
		b.expectOutcome(execute, `{"session":"`+s+`","code":"read"}`, unknown)
		close(release)
		b.expectOutcome(attach, `{"execution":"e"}`, three)
		b.expectOutcome(attach, `{"execution":"n"}`, cancelled)
		b.expectOutcome(attach, `{"execution":"f"}`, `{"value":3,"console":[],"time":0}`)
		r.eventually("the session has ended", func() bool { return sessionsOf(r, "default") == 0 })
	})
}

func TestSessionParams(t *testing.T) {
	const (
		oneSource = "exactly one of code, files and bundle must be there"
		expected  = " must not come with session, which has its own"
	)
	tests := []struct{ method, params, want string }{
		{openMethod, `{}`, wrong(oneSource)},
		{openMethod, `{"code":1}`, wrong("code must be a string")},
		{openMethod, `{"code":"1","reuse":"call"}`, wrong(`reuse must be "tenant" for a session`)},
		{openMethod, `{"code":"1","language":"python"}`, notAllowed("language")},
		{openMethod, `{"bundle":"b"}`, unknown},
		{openMethod, `{"code":"lost"}`, `{"code":1005,"message":"Sandbox lost","data":{"started":false}}`},
		{closeMethod, `{}`, wrong("session must be a string")},
		{closeMethod, `{"session":1}`, wrong("session must be a string")},
		{closeMethod, `{"session":""}`, unknown},
		{closeMethod, `{"session":"unknown"}`, unknown},
		{execute, `{"session":1,"code":"1"}`, wrong("session must be a string")},
		{execute, `{"session":"unknown","code":"1"}`, unknown},
		{execute, `{"session":"unknown","code":"1","timeout":60001}`, notAllowed("timeout")},
		{execute, `{"session":"s"}`, wrong("code or call must come with session")},
		{execute, `{"session":"s","args":[]}`, wrong("code or call must come with session")},
		{execute, `{"session":"s","files":{"index.js":""}}`, wrong("files" + expected)},
		{execute, `{"session":"s","bundle":"b"}`, wrong("bundle" + expected)},
		{execute, `{"session":"s","code":"1","file":"f"}`, wrong("file" + expected)},
		{execute, `{"session":"s","code":"1","globals":{}}`, wrong("globals" + expected)},
		{execute, `{"session":"s","code":"1","tenant":"default"}`, wrong("tenant" + expected)},
		{execute, `{"session":"s","code":"1","secrets":{}}`, wrong("secrets" + expected)},
		{execute, `{"session":"s","code":"1","language":"javascript"}`, wrong("language" + expected)},
		{execute, `{"session":"s","code":"1","memory":1}`, wrong("memory" + expected)},
		{execute, `{"session":"s","code":"1","reuse":"tenant"}`, wrong("reuse" + expected)},
		{execute, `{"code":"1","execution":""}`, wrong("execution must be 1 to 64 characters of A-Z a-z 0-9 . _ -")},
		{execute, `{"code":"1","execution":"a/b"}`, wrong("execution must be 1 to 64 characters of A-Z a-z 0-9 . _ -")},
		{execute, `{"code":"1","execution":` + `"` + strings.Repeat("e", 65) + `"}`, wrong("execution must be 1 to 64 characters of A-Z a-z 0-9 . _ -")},
		{execute, `{"code":"1","detach":1}`, wrong("detach must be true or false")},
		{execute, `{"code":"1","stream":"yes"}`, wrong("stream must be true or false")},
		{execute, `{"code":"1","callbacks":"f"}`, wrong("callbacks must be " + (*message.Identifiers)(nil).Expects())},
		{execute, `{"code":"1","callbacks":[1]}`, wrong("callbacks must be " + (*message.Identifiers)(nil).Expects())},
		{execute, `{"code":"1","callbacks":["a.b"]}`, wrong("callbacks must be " + (*message.Identifiers)(nil).Expects())},
		{execute, `{"code":"1","callbacks":["1a"]}`, wrong("callbacks must be " + (*message.Identifiers)(nil).Expects())},
		{execute, `{"code":"1","callbacks":[""]}`, wrong("callbacks must be " + (*message.Identifiers)(nil).Expects())},
		{execute, `{"code":"1","callbacks":["f"` + strings.Repeat(`,"f"`, 1000) + `]}`, wrong("callbacks must be " + (*message.Identifiers)(nil).Expects())},
		{attach, `{}`, wrong("execution must be 1 to 64 characters of A-Z a-z 0-9 . _ -")},
		{attach, `{"execution":"unknown"}`, unknown},
		{attach, `{"execution":"` + strings.Repeat("e", 65) + `"}`, wrong("execution must be 1 to 64 characters of A-Z a-z 0-9 . _ -")},
		{cancel, `{"execution":"unknown"}`, no},
		{cancel, `{"id":"unknown"}`, no},
		{"runtime.stop", `{"tenant":""}`, wrong("tenant must be 1 to 64 characters of A-Z a-z 0-9 . _ -")},
	}
	eachDialect(t, func(_ *rig, a asker) {
		for _, test := range tests {
			a.expectOutcome(test.method, test.params, test.want)
		}
	})
}

func TestStop(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		a.expectOutcome("runtime.stop", `{}`, `{}`)
		a.expectOutcome("runtime.stop", `[{"tenant":"t"}]`, `{}`)
		r.runner.mu.Lock()
		defer r.runner.mu.Unlock()
		if got := strings.Join(r.runner.stopped, ","); got != "default,t" {
			t.Errorf("stopped %s", got)
		}
	})
}

func TestPostHasNoSessions(t *testing.T) {
	r := start(t)
	request := func(method, params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`
	}
	for _, test := range []struct{ request, want string }{
		{request(openMethod, `{"code":"1"}`), failure1(`1`, -32601, `"message":"Method not found"`)},
		{request(closeMethod, `{"session":"s"}`), failure1(`1`, -32601, `"message":"Method not found"`)},
		{request(execute, `{"session":"s","code":"1"}`), failure1(`1`, 1009, `"message":"Not found"`)},
		{request(execute, `{"code":"1","stream":true}`), failure1(`1`, -32602, `"message":"Invalid params: stream must come over a WebSocket"`)},
		{request(execute, `{"code":"1","callbacks":["f"]}`), failure1(`1`, -32602, `"message":"Invalid params: callbacks must come over a WebSocket"`)},
		{request(execute, `{"code":"1","stream":false,"callbacks":[]}`), result1(`1`)},
	} {
		if _, got := r.post(test.request); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.request, got, test.want)
		}
	}
}
