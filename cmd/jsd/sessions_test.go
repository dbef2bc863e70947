package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// open opens a session of the tenant, which both dialects' tests have one of.
func (c *client) open(code string, pairs ...any) string {
	c.t.Helper()
	r := c.call("runtime.open", with(script{"code": code}, pairs...))
	var opened struct{ Session string }
	if json.Unmarshal(r.Result, &opened); opened.Session == "" {
		c.t.Fatalf("open: %v %s", r, r.Result)
	}
	return opened.Session
}

func (c *client) in(session, code string, pairs ...any) reply {
	c.t.Helper()
	return c.execute(with(script{"session": session, "code": code}, pairs...))
}

// own is a name that the other dialect's run of the test does not have.
func (c *client) own(name string) string { return fmt.Sprint(name, "-", c.duplex) }

const noSuch = "1009 Not found"

const mostSessions = 4 // of a tenant, in these tests

func TestSessions(t *testing.T) {
	everywhereWith(t, []string{"--sessions", fmt.Sprint(mostSessions)}, func(t *testing.T, dial func(*testing.T) *client) {
		for name, test := range map[string]func(*testing.T, *client){
			"lines": testSessionLines, "folder": testSessionOfFolder, "order": testSessionOrder,
			"openings that fail": testSessionsNotOpened, "limit": testSessionLimit, "cancelled turn": testSessionCancelledTurn,
			"callbacks": testSessionCallbacks,
		} {
			t.Run(name, func(t *testing.T) { test(t, dial(t)) })
		}
		t.Run("another connection", func(t *testing.T) {
			c, foreign := dial(t), dial(t)
			s := c.open("let x = 2", "tenant", c.own("foreign"))
			for _, got := range []reply{foreign.in(s, "x"), foreign.call("runtime.close", script{"session": s}), c.in("none", "x")} {
				if got.String() != noSuch {
					t.Errorf("got %v, want 1009", got)
				}
			}
			if got := c.in(s, "x").String(); got != "2" {
				t.Errorf("its own connection got %s", got)
			}
		})
		t.Run("endings", func(t *testing.T) { testSessionEndings(t, dial) })
	})
}

func testSessionLines(t *testing.T, c *client) {
	s := c.open("let x = 2; left = 1", "secrets", script{"key": "hush-hush"}, "tenant", c.own("lines"))
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
		got := c.execute(with(line.script, "session", s))
		if got.String() != line.want || line.console != "" && got.console() != line.console {
			t.Errorf("%v: got %v %s, console %s; want %s", line.script, got, got.data("message"), got.console(), line.want)
		}
	}
	if got := c.execute(script{"code": "typeof left + typeof x", "tenant": c.own("lines")}).String(); got != `"undefinedundefined"` {
		t.Errorf("a call outside sees %s", got)
	}
}

func testSessionOfFolder(t *testing.T, c *client) {
	r := c.call("runtime.open", script{"tenant": c.own("folder"), "files": script{
		"index.mjs": "import { count } from './count.mjs'; export const next = () => count(); export default 1",
		"count.mjs": "let n = 0; export const count = () => ++n",
	}})
	var opened struct{ Session string }
	json.Unmarshal(r.Result, &opened)
	for want := range 3 {
		if got := c.execute(script{"session": opened.Session, "call": "next", "args": list()}).String(); got != fmt.Sprint(want+1) {
			t.Errorf("got %s, want %d", got, want+1)
		}
	}
}

func testSessionOrder(t *testing.T, c *client) {
	s := c.open("const order = []", "tenant", c.own("order"))
	want := []int{}
	for i := range 20 {
		c.start("runtime.execute", script{"session": s, "code": fmt.Sprintf("new Promise(done => setTimeout(done, %d)).then(() => order.push(%d))", (20-i)%5*3, i)})
		want = append(want, i)
	}
	expected, _ := json.Marshal(want)
	if got := c.in(s, "order").String(); got != string(expected) {
		t.Errorf("order %s", got)
	}
}

func testSessionsNotOpened(t *testing.T, c *client) {
	for range mostSessions + 1 { // none of these is a session
		if got := c.call("runtime.open", script{"code": "throw new TypeError('x')", "tenant": c.own("none")}).String(); got != "1000 TypeError" {
			t.Fatalf("got %s", got)
		}
	}
	if got := c.call("runtime.open", script{"code": "for (;;);", "timeout": 100, "tenant": c.own("none")}).String(); got != "1002 Timeout" {
		t.Errorf("got %s", got)
	}
}

func testSessionLimit(t *testing.T, c *client) {
	tenant := c.own("limit")
	var sessions []string
	for i := range mostSessions {
		sessions = append(sessions, c.open(fmt.Sprint("let x = ", i), "tenant", tenant))
	}
	one := script{"code": "1", "tenant": tenant}
	if got := c.call("runtime.open", one); got.String() != "1004 Limit exceeded" || got.data("limit") != "sessions" {
		t.Errorf("one more: %v %s", got, got.data("limit"))
	}
	c.open("1", "tenant", tenant+"-other")
	for i, s := range sessions {
		if got := c.in(s, "x").String(); got != fmt.Sprint(i) {
			t.Errorf("session %d has %s", i, got)
		}
	}
	if got := c.execute(one).String(); got != "1" {
		t.Errorf("a call beside them: %s", got)
	}
	if got := c.call("runtime.close", script{"session": sessions[0]}); got.Error != nil || string(got.Result) != "{}" {
		t.Errorf("close: %v", got)
	}
	c.open("1", "tenant", tenant)
}

func testSessionCancelledTurn(t *testing.T, c *client) {
	s := c.open("let ran = 0", "tenant", c.own("turn"))
	_, first := c.start("runtime.execute", script{"session": s, "code": "new Promise(done => setTimeout(done, 300, 'first'))"})
	id, second := c.start("runtime.execute", script{"session": s, "code": "ran++"})
	c.call("runtime.cancel", script{"id": id})
	if got := c.wait(second).String(); got != "1003 Cancelled" {
		t.Errorf("cancelled: %s", got)
	}
	if got := c.wait(first).String(); got != `"first"` {
		t.Errorf("before it: %s", got)
	}
	if got := c.in(s, "ran").String(); got != "0" {
		t.Errorf("it ran %s times", got)
	}
}

func testSessionCallbacks(t *testing.T, c *client) {
	tenant := c.own("callbacks")
	s := c.open("let x = 2", "tenant", tenant)
	c.answers(func(b callback) {
		inside := c.in(s, "x")
		other := c.open("let x = 3", "tenant", tenant)
		b.resolve(list(inside.String()+" "+inside.data("what"), c.in(other, "x").String()))
	})
	if got := c.in(s, "host.f()", "callbacks", list("f")).String(); got != `["1007 Forbidden session","3"]` {
		t.Errorf("from inside a callback: %s", got)
	}
	if got := c.in(s, "typeof host + x").String(); got != `"undefined2"` {
		t.Errorf("then %s", got)
	}
}

func testSessionEndings(t *testing.T, dial func(*testing.T) *client) {
	c := dial(t)
	for name, ending := range map[string]struct {
		code, want string
		timeout    int
		end        func(session string, id int)
	}{
		"overrun":       {"host.begun(); for (;;);", "1002 Timeout", 300, nil},
		"out of memory": {"host.begun(); const a = []; for (;;) a.push(a.length + 0.5)", "1004 Limit exceeded", 30000, nil},
		"close": {"host.begun().then(() => { for (;;); })", "1003 Cancelled", 30000, func(s string, _ int) {
			if got := c.call("runtime.close", script{"session": s}); string(got.Result) != "{}" {
				t.Errorf("close: %v", got)
			}
		}},
		"cancel": {"host.begun().then(() => { for (;;); })", "1003 Cancelled", 30000, func(_ string, id int) {
			c.call("runtime.cancel", script{"id": id})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := c.own("ending")
			s, other := c.open("let x = 2", "tenant", tenant), c.open("let x = 3", "tenant", tenant)
			begun := make(chan callback, 1)
			c.answers(func(b callback) { begun <- b })
			params := script{"session": s, "code": ending.code, "timeout": ending.timeout, "callbacks": list("begun")}
			id, answer := c.start("runtime.execute", params)
			b := c.begins(answer, begun)
			b.resolve(1) // while a callback is out the session takes no other call
			_, behind := c.start("runtime.execute", script{"session": s, "code": "x"})
			if ending.end != nil {
				ending.end(s, id)
			}
			if got := c.wait(answer).String(); got != ending.want {
				t.Errorf("got %s, want %s", got, ending.want)
			}
			if got := c.wait(behind).String(); got != noSuch {
				t.Errorf("the call behind it got %s", got)
			}
			if got := c.in(s, "x").String(); got != noSuch {
				t.Errorf("a later call got %s", got)
			}
			if got := c.in(other, "x").String(); got != "3" {
				t.Errorf("another session got %s", got)
			}
			c.call("runtime.close", script{"session": other})
		})
	}
	t.Run("stop", func(t *testing.T) {
		tenant := c.own("stop")
		s := c.open("let x = 2", "tenant", tenant)
		if got := c.call("runtime.stop", script{"tenant": tenant}); string(got.Result) != "{}" {
			t.Errorf("stop: %v", got)
		}
		if got := c.in(s, "x").String(); got != noSuch {
			t.Errorf("then %s", got)
		}
	})
	t.Run("its connection", func(t *testing.T) {
		gone, tenant := dial(t), c.own("gone")
		for range mostSessions {
			gone.open("1", "tenant", tenant)
		}
		gone.conn.CloseNow()
		c.openAtLast(t, script{"code": "1", "tenant": tenant})
	})
}

// openAtLast opens a session once there is room for it.
func (c *client) openAtLast(t *testing.T, s script) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for got := c.call("runtime.open", s); got.Error != nil; got = c.call("runtime.open", s) {
		if got.data("limit") != "sessions" || time.Now().After(deadline) {
			t.Fatalf("got %v", got)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestSessionsThatAreIdle(t *testing.T) {
	everywhereWith(t, []string{"--session-idle", "200ms", "--sessions", "1"}, func(t *testing.T, dial func(*testing.T) *client) {
		c := dial(t)
		s := c.open("let x = 2", "tenant", c.own("idle"))
		_, long := c.start("runtime.execute", script{"session": s, "code": "new Promise(done => setTimeout(done, 600, x))"})
		if got := c.wait(long).String(); got != "2" {
			t.Errorf("a call longer than the idle limit got %s", got)
		}
		c.openAtLast(t, script{"code": "1", "tenant": c.own("idle")})
		if got := c.in(s, "x").String(); got != noSuch {
			t.Errorf("got %s", got)
		}
	})
}
