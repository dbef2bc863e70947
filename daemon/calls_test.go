package daemon_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jsd-project/jsd/jsdtest"
)

// calls have one reply whatever the driver and the dialect are.
var calls = []struct {
	name    string
	script  script
	want    string // the value, or code and message
	console string // where it matters
	stack   string // likewise, of an error: the frames
}{
	{"no value", f("cb()"), "null", "[]", ""},
	{"first of many", f("cb(1, 2, 3)"), "1", "[]", ""},
	{"zero", f("cb(0)"), "0", "[]", ""},
	{"false", f("cb(false)"), "false", "[]", ""},
	{"empty string", f(`cb("")`), `""`, "[]", ""},
	{"array", f("cb([3, 2, 1])"), "[3,2,1]", "[]", ""},
	{"object", f(`cb({a: "b"})`), `{"a":"b"}`, "[]", ""},
	{"cb twice", f("cb(1); cb(2)"), "1", "[]", ""},
	{"cb again later", f("cb(1); setTimeout(() => cb(2), 1)"), "1", "[]", ""},
	{"console", f(`console.log("foo", "bar", {a: 1}); console.error("x"); cb()`), "null", `["foo bar { a: 1 }","x"]`, ""},
	{"globals", with(f("cb(a)"), "globals", script{"a": 1}), "1", "", ""},
	{"names nothing", with(script{"code": "1"}, "call", "g"), "1001 Not implemented", "", ""},
	{"a const", script{"code": "const g = (cb) => cb(7)", "call": "g"}, "7", "", ""},
	{"a dotted path", script{"code": "const o = {p: {n: 4, g(cb) { cb(this.n) }}}", "call": "o.p.g"}, "4", "", ""},
	{"a dotted path that is missing", script{"code": "const o = {}", "call": "o.p.g"}, "1001 Not implemented", "", ""},
	{"last expression", script{"code": "1+1"}, "2", "", ""},
	{"a promise at the end", script{"code": "Promise.resolve([5])"}, "[5]", "", ""},
	{"async function", script{"code": "async function f() { return 6 }", "call": "f"}, "6", "", ""},
	{"async function with cb", script{"code": "async function f(cb) { setTimeout(() => cb(8), 2) }", "call": "f"}, "8", "", ""},
	{"throw an error", f(`throw new TypeError("x")`), "1000 TypeError", "", "    at f (script.js:1:24)"},
	{"throw a string", f(`throw "boom"`), "1000 boom", "", ""},
	{"throw null", f("throw null"), "1000 null", "", ""},
	{"throw getters that throw", f("throw { get name() { throw 1 }, get message() { throw 2 }, get stack() { throw 3 } }"), "1000 Error", "", ""},
	{"a rejected promise", f(`return Promise.reject(new RangeError("r"))`), "1000 RangeError", "", "    at f (script.js:1:40)"},
	{"syntax error", script{"code": "function f( {", "call": "f"}, "1000 SyntaxError", "", ""},
	{"throw in a timer", f(`setTimeout(() => { throw new EvalError("t") }, 1)`), "1000 EvalError", "", "    at Timeout.<anonymous> (script.js:1:43)"},
	{"no process", script{"code": "typeof process"}, `"undefined"`, "", ""},
	{"require fs", script{"code": `require("fs")`}, "1000 Error", "", "    at script.js:1:1"},
	{"require child_process", script{"code": `require("child_process")`}, "1000 Error", "", "    at script.js:1:1"},
	{"require a path", script{"code": `require("/etc/passwd")`}, "1000 Error", "", "    at script.js:1:1"},
	{"circular", f("const o = {}; o.o = o; cb(o)"), "1008 Not serializable", "", ""},
	{"BigInt", f("cb(1n)"), "1008 Not serializable", "", ""},
	{"caller", script{"code": "function f(client, event, cb) { cb(client.x + event) }", "call": "f", "globals": script{"event": 5},
		"caller": "function(callee, cb) { callee({x: 1}, event, cb) }"}, "6", "", ""},
	{"caller with ;", script{"code": "function f(client, event, cb) { cb(client.x + event) }", "call": "f", "globals": script{"event": 5},
		"caller": "function(callee, cb) { callee({x: 1}, event, cb) };"}, "6", "", ""},
}

func TestCalls(t *testing.T) {
	everywhere(t, func(t *testing.T, c *client) {
		for _, call := range calls {
			t.Run(call.name, func(t *testing.T) {
				got := c.Execute(call.script)
				if got.String() != call.want {
					t.Fatalf("got %v %s, want %s", got, got.Data("message"), call.want)
				}
				if call.console != "" && got.Console() != call.console {
					t.Errorf("console %s, want %s", got.Console(), call.console)
				}
				if frames := framesOf(got.Data("stack")); call.stack != "" && frames != call.stack {
					t.Errorf("stack\n%s\nwant\n%s", frames, call.stack)
				}
				if strings.HasPrefix(call.want, "1001") && got.Error.Data != nil {
					t.Errorf("data %s, want none", got.Error.Data)
				}
			})
		}
	})
}

func framesOf(stack string) string {
	var frames []string
	for line := range strings.Lines(stack) {
		if strings.HasPrefix(line, "    at ") {
			frames = append(frames, strings.TrimSuffix(line, "\n"))
		}
	}
	return strings.Join(frames, "\n")
}

func TestCallsSeeNothingOfEachOther(t *testing.T) {
	everywhere(t, func(t *testing.T, c *client) {
		for range 20 { // more than there are workers, so that each has run one before
			c.Execute(f("left = 1; Array.prototype.left = 1; Object.prototype.left = 1; cb()"))
			if got := c.Execute(f("cb([typeof left, typeof [].left, typeof ({}).left])")).String(); got != `["undefined","undefined","undefined"]` {
				t.Fatalf("a call sees %s", got)
			}
		}
	})
}

// Package attack has a table of all that never ends, and of all that takes memory.
func TestTimeouts(t *testing.T) {
	jsdtest.EverywhereAlone(t, func(t *testing.T, c *client) {
		for name, body := range map[string]string{
			"loop":        "while (true) {}",
			"native code": `require("crypto").scryptSync("a", "b", 64, {N: 2 ** 14, r: 8, p: 2 ** 12, maxmem: 2 ** 30})`,
			"no cb":       "",
		} {
			t.Run(name, func(t *testing.T) {
				began := time.Now()
				got := c.Execute(with(f(`console.log("before"); `+body), "timeout", 200))
				if took := time.Since(began); got.String() != "1002 Timeout" || got.Data("limit") != "wall" || took < 200*time.Millisecond || took > 2*time.Second {
					t.Errorf("got %v %s after %v, want 1002 after about 200 ms", got, got.Error.Data, took)
				}
				if got.Console() != `["before"]` {
					t.Errorf("console %s", got.Console())
				}
				began = time.Now()
				if got := c.Execute(script{"code": "3"}).String(); got != "3" || time.Since(began) > 2*time.Second {
					t.Errorf("the next call got %s after %v", got, time.Since(began))
				}
			})
		}
	})
}

func TestOutOfMemory(t *testing.T) {
	everywhere(t, func(t *testing.T, c *client) {
		for name, body := range map[string]string{
			"growing array":   "const a = []; for (;;) a.push(a.length + 0.5)",
			"growing buffers": "const a = []; for (;;) a.push(Buffer.alloc(1e6, 1))",
		} {
			t.Run(name, func(t *testing.T) {
				_, beside := c.Start("runtime.execute", with(f("setTimeout(() => cb('lives'), 1500)"), "timeout", 30000))
				_, other := c.Start("runtime.execute", with(f("setTimeout(() => cb('lives'), 1500)"), "timeout", 30000, "tenant", "other"))
				got := c.Execute(with(f(body), "timeout", 30000))
				if got.String() != "1004 Limit exceeded" || got.Data("limit") != "memory" {
					t.Errorf("got %v, want 1004 memory", got)
				}
				for who, answer := range map[string]<-chan reply{"the same tenant's": beside, "another tenant's": other} {
					if got := c.Wait(answer).String(); got != `"lives"` {
						t.Errorf("%s call beside it got %s", who, got)
					}
				}
				if got := c.Execute(script{"code": "3"}).String(); got != "3" {
					t.Errorf("the next call got %s", got)
				}
			})
		}
	})
}

func TestManyCallsAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, c *client) {
		var all sync.WaitGroup
		for i := range 200 {
			body, want, timeout := fmt.Sprintf("cb(%d)", i), fmt.Sprint(i), 60000
			switch {
			case i%67 == 0:
				body, want, timeout = "for (;;);", "1002 Timeout", 100
			case i%5 == 0:
				body = fmt.Sprintf("setTimeout(() => cb(%d), %d)", i, i%50)
			}
			_, answer := c.Start("runtime.execute", with(f(body), "timeout", timeout, "tenant", fmt.Sprint("t", i%3)))
			all.Go(func() {
				if got := c.Wait(answer).String(); got != want {
					t.Errorf("call %d got %s, want %s", i, got, want)
				}
			})
		}
		all.Wait()
	})
}

func TestCancel(t *testing.T) {
	jsdtest.EverywhereAlone(t, func(t *testing.T, c *client) {
		var ids []int
		var answers []<-chan reply
		for range 12 { // more than a container runs at once: some are queued
			id, answer := c.Start("runtime.execute", with(f(`console.log("on"); for (;;);`), "timeout", 50000))
			ids, answers = append(ids, id), append(answers, answer)
		}
		time.Sleep(500 * time.Millisecond) // some run, some wait: either has to end
		began := time.Now()
		for _, id := range ids {
			c.Start("runtime.cancel", script{"id": id})
		}
		for _, answer := range answers {
			if got := c.Wait(answer).String(); got != "1003 Cancelled" {
				t.Errorf("got %s", got)
			}
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("cancelling took %v", took)
		}
		if got := c.Execute(script{"code": "3"}).String(); got != "3" {
			t.Errorf("the next call got %s", got)
		}
	})
}

func TestClientThatVanishes(t *testing.T) {
	t.Parallel()
	d := start(t, "process", "--concurrency", "1")
	gone := d.Dial(t, "json-rpc")
	for range 3 {
		gone.Start("runtime.execute", with(f("for (;;);"), "timeout", 60000))
	}
	stays := d.Dial(t, "json-rpc")
	_, queued := stays.Start("runtime.execute", script{"code": "1"})
	gone.Conn.CloseNow()
	if got := stays.Wait(queued).String(); got != "1" {
		t.Errorf("got %s, want 1: the calls of a client that is gone hold its tenant's container", got)
	}
}
