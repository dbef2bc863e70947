package daemon_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

const noSuch = "1009 Not found"

// Order, limits, cancelled turns and idle sessions are up to package rpc.
func TestSessions(t *testing.T) {
	everywhereWith(t, nil, func(t *testing.T, dial func(*testing.T) *client) {
		for name, test := range map[string]func(*testing.T, *client){
			"lines": testSessionLines, "folder": testSessionOfFolder, "callbacks": testSessionCallbacks, "endings": testSessionEndings,
		} {
			t.Run(name, func(t *testing.T) { test(t, dial(t)) })
		}
	})
}

func testSessionLines(t *testing.T, c *client) {
	s := c.Open("let x = 2; left = 1", "secrets", script{"key": "hush-hush"}, "tenant", c.Own("lines"))
	for _, line := range []struct {
		script  script
		want    string
		console string
	}{
		{script{"code": "x * 21"}, "42", "[]"},
		{script{"code": "x += 1; const o = {g(cb) { cb(x) }}; function add(n) { return n + x }"}, "3", ""},
		{script{"call": "add", "args": list(4)}, "7", "[]"},
		{script{"call": "o.g"}, "3", ""},
		{script{"code": "x = 5", "call": "o.g"}, "5", ""},
		{script{"call": "missing"}, "1001 Not implemented", ""},
		{script{"code": "throw new TypeError('t')"}, "1000 TypeError", ""},
		{script{"code": "let x = 3"}, "1000 SyntaxError", ""},
		{script{"code": "console.log(secrets.key); left"}, "1", `["***"]`},
		{script{"code": "Promise.resolve(x)"}, "5", ""},
		{script{"code": "setTimeout(() => { x = 'late' }, 1); 1"}, "1", ""},
		{script{"code": "new Promise(done => setTimeout(() => done(x), 50))"}, "5", ""}, // timers stop with their call
	} {
		got := c.Execute(with(line.script, "session", s))
		if got.String() != line.want || line.console != "" && got.Console() != line.console {
			t.Errorf("%v: got %v %s, console %s; want %s", line.script, got, got.Data("message"), got.Console(), line.want)
		}
	}
	if got := c.Execute(script{"code": "typeof left + typeof x", "tenant": c.Own("lines")}).String(); got != `"undefinedundefined"` {
		t.Errorf("a call outside sees %s", got)
	}
}

func testSessionOfFolder(t *testing.T, c *client) {
	r := c.Call("runtime.open", script{"tenant": c.Own("folder"), "files": script{
		"index.mjs": "import { count } from './count.mjs'; export const next = () => count(); export default 1",
		"count.mjs": "let n = 0; export const count = () => ++n",
	}})
	var opened struct{ Session string }
	json.Unmarshal(r.Result, &opened)
	for want := range 3 {
		if got := c.Execute(script{"session": opened.Session, "call": "next", "args": list()}).String(); got != fmt.Sprint(want+1) {
			t.Errorf("got %s, want %d", got, want+1)
		}
	}
}

func testSessionCallbacks(t *testing.T, c *client) {
	tenant := c.Own("callbacks")
	s := c.Open("let x = 2", "tenant", tenant)
	c.Answers(func(b callback) {
		inside := c.In(s, "x")
		other := c.Open("let x = 3", "tenant", tenant)
		b.Resolve(list(inside.String()+" "+inside.Data("what"), c.In(other, "x").String()))
	})
	if got := c.In(s, "host.f()", "callbacks", list("f")).String(); got != `["1007 Forbidden session","3"]` {
		t.Errorf("from inside a callback: %s", got)
	}
	if got := c.In(s, "typeof host + x").String(); got != `"undefined2"` {
		t.Errorf("then %s", got)
	}
}

func testSessionEndings(t *testing.T, c *client) {
	for name, ending := range map[string]struct {
		code, want string
		timeout    int
		end        func(session string, id int)
	}{
		"overrun":       {"host.begun(); for (;;);", "1002 Timeout", 1000, nil},
		"out of memory": {"host.begun(); const a = []; for (;;) a.push(a.length + 0.5)", "1004 Limit exceeded", 30000, nil},
		"close": {"host.begun().then(() => { for (;;); })", "1003 Cancelled", 30000, func(s string, _ int) {
			if got := c.Call("runtime.close", script{"session": s}); string(got.Result) != "{}" {
				t.Errorf("close: %v", got)
			}
		}},
		"cancel": {"host.begun().then(() => { for (;;); })", "1003 Cancelled", 30000, func(_ string, id int) {
			c.Call("runtime.cancel", script{"id": id})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := c.Own("ending")
			s, other := c.Open("let x = 2", "tenant", tenant), c.Open("let x = 3", "tenant", tenant)
			begun := make(chan callback, 1)
			c.Answers(func(b callback) { begun <- b })
			params := script{"session": s, "code": ending.code, "timeout": ending.timeout, "callbacks": list("begun")}
			id, answer := c.Start("runtime.execute", params)
			b := c.Begins(answer, begun)
			b.Resolve(1) // while a callback is out the session takes no other call
			_, behind := c.Start("runtime.execute", script{"session": s, "code": "x"})
			if ending.end != nil {
				ending.end(s, id)
			}
			if got := c.Wait(answer).String(); got != ending.want {
				t.Errorf("got %s, want %s", got, ending.want)
			}
			if got := c.Wait(behind).String(); got != noSuch {
				t.Errorf("the call behind it got %s", got)
			}
			if got := c.In(s, "x").String(); got != noSuch {
				t.Errorf("a later call got %s", got)
			}
			if got := c.In(other, "x").String(); got != "3" {
				t.Errorf("another session got %s", got)
			}
			c.Call("runtime.close", script{"session": other})
		})
	}
	t.Run("stop", func(t *testing.T) {
		tenant := c.Own("stop")
		s := c.Open("let x = 2", "tenant", tenant)
		if got := c.Call("runtime.stop", script{"tenant": tenant}); string(got.Result) != "{}" {
			t.Errorf("stop: %v", got)
		}
		if got := c.In(s, "x").String(); got != noSuch {
			t.Errorf("then %s", got)
		}
	})
}

// openAtLast opens a session once there is room for it.
func openAtLast(t testing.TB, c *client, s script) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for got := c.Call("runtime.open", s); got.Error != nil; got = c.Call("runtime.open", s) {
		if got.Data("limit") != "sessions" || time.Now().After(deadline) {
			t.Fatalf("got %v", got)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
