package daemon_test

import (
	"fmt"
	"strings"
	"testing"
)

const brackets = 100_000

func nested(open, inner, close string) string {
	return strings.Repeat(open, brackets) + inner + strings.Repeat(close, brackets)
}

const depth = `let n = 0; for (let at = %s; at !== undefined; at = Array.isArray(at) ? at[0] : at.a) n++; n`

// odds are taken as they are.
var odds = []struct{ name, params, want string }{
	{"globals nested deeply", `{"code":"` + fmt.Sprintf(depth, "deep") + `","globals":{"deep":` + nested("[", "", "]") + `}}`, "100000"},
	{"args nested deeply", `{"code":"function f(deep) { ` + strings.TrimSuffix(fmt.Sprintf(depth, "deep"), "n") + `return n }","call":"f","args":` + nested("[", "", "]") + `}`, "99999"},
	{"secrets nested deeply", `{"code":"` + fmt.Sprintf(depth, "secrets") + `","secrets":` + nested(`{"a":`, "{}", "}") + `}`, "100001"},
	{"source nested deeply", `{"code":"` + nested("[", "", "]") + `"}`, "1000 RangeError"},
	{"a value nested deeply", `{"code":"a","globals":{"a":` + nested("[", "", "]") + `}}`, "1008 Not serializable"},
	{"a value nested", `{"code":"let a = []; for (let i = 0; i < 999; i++) a = [a]; a"}`, strings.Repeat("[", 1000) + strings.Repeat("]", 1000)},

	{"__proto__ and constructor in globals", `{"code":"[{}.polluted, typeof globalThis.__proto__, constructor, Object.hasOwn(globalThis, '__proto__')]","globals":{"__proto__":{"polluted":1},"constructor":7}}`, `[null,"object",7,true]`},
	{"in args", `{"code":"f = (a) => [a.polluted, Object.keys(a), {}.polluted, a.constructor.b]","call":"f","args":[{"__proto__":{"polluted":1},"constructor":{"b":2}}]}`, `[null,["__proto__","constructor"],null,2]`},
	{"in secrets", `{"code":"[secrets.polluted, Object.keys(secrets)]","secrets":{"__proto__":{"polluted":1},"constructor":1}}`, `[null,["__proto__","constructor"]]`},
	{"in files", `{"files":{"__proto__":"module.exports = 1","constructor":"module.exports = 2","index.js":"module.exports = [require('./__proto__'), require('./constructor')]"}}`, `[1,2]`},
	{"as the entry", `{"files":{"__proto__":"module.exports = 1"},"file":"__proto__"}`, "1"},
	{"as call", `{"code":"1","call":"__proto__"}`, "1001 Not implemented"},
	{"as call of a folder", `{"files":{"index.mjs":"export const a = {}"},"call":"constructor"}`, "1001 Not implemented"},
	{"in a path", `{"code":"const o = {}","call":"o.constructor"}`, "1001 Not implemented"},
	{"as a value", `{"code":"({['__proto__']: 1, constructor: 2})"}`, `{"__proto__":1,"constructor":2}`},
	{"the fields themselves", `{"code":"1","__proto__":{"call":"f"}}`, "1"},
	{"globals that cannot be", `{"code":"1","globals":{"undefined":1}}`, "1000 TypeError"},

	{"lone surrogates in globals", `{"code":"[s.charCodeAt(0), s.length, s]","globals":{"s":"\ud800"}}`, `[55296,1,"\ud800"]`},
	{"in code", `{"code":"'\udc00'.charCodeAt(0)"}`, "56320"},
	{"in args", `{"code":"f = (...a) => a","call":"f","args":["a\udfff","😀"]}`, `["a\udfff","😀"]`},
	{"in a source", `{"files":{"index.js":"module.exports = '\ud801'"}}`, `"\ud801"`},
	{"in call", `{"code":"1","call":"\ud800"}`, "1001 Not implemented"},
	{"in what is thrown", `{"code":"throw '\ud800'"}`, "1000 \ufffd"},

	{"numbers beyond 2^53", `{"code":"n","globals":{"n":9007199254740993}}`, "9007199254740992"},
	{"too large for a double", `{"code":"n === Infinity","globals":{"n":1e400}}`, "true"},
	{"-0", `{"code":"f = (n) => Object.is(n, -0)","call":"f","args":[-0]}`, "true"},
	{"many digits", `{"code":"n","globals":{"n":0.10000000000000000000000000000000000001}}`, "0.1"},
	{"keys twice", `{"code":"1","code":"2"}`, "2"},
	{"null counts as absent", `{"code":"1","files":null,"call":null,"args":null,"globals":null,"secrets":null,"memory":null}`, "1"},
	{"many globals", `{"code":"Object.keys(globalThis).length","globals":{` + manyGlobals + `}}`, "10000"},
	{"many args", `{"code":"f = (...a) => a.length","call":"f","args":[` + strings.Repeat("0,", 49_999) + `0]}`, "50000"},
	{"a large source", `{"code":"/*` + strings.Repeat("x", 15<<20) + `*/ 5"}`, "5"},
}

var manyGlobals = func() string {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, `,"g%d":0`, i)
	}
	return b.String()[1:]
}()

// Odd input reaches its script as it is; a call beside it and the next one do not notice. What is refused before a
// script runs is up to package rpc.
func TestOddInput(t *testing.T) {
	t.Parallel()
	c := start(t, "process").Dial(t, "duplex")
	ended := besideAll(t, c)
	for _, o := range odds {
		if got := c.CallRaw("runtime.execute", o.params); got.String() != o.want {
			t.Errorf("%s\ngot  %.300s\nwant %.300s\n%s", o.name, got, o.want, got.Data("message"))
		}
		if got := c.Execute(script{"code": "3"}).String(); got != "3" {
			t.Errorf("%s: the next call got %s", o.name, got)
		}
	}
	ended()
}

// besideAll makes one call after the other until the func it gives is called, and judges them.
func besideAll(t *testing.T, c *client) (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			if got := c.Execute(f("setTimeout(cb, 100, 'lives')")).String(); got != `"lives"` {
				t.Errorf("a call beside got %s", got)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}
