package daemon_test

import (
	"fmt"
	"strings"
	"testing"
)

const bad = "-32602 Invalid params: "

var wrongTypes = []struct{ field, value, expected string }{
	{"code", `1`, "a string"}, {"code", `{"a":1}`, "a string"}, {"code", `["1"]`, "a string"},
	{"files", `[]`, "an object from path to source"}, {"files", `"a"`, "an object from path to source"},
	{"bundle", `1`, "a string"},
	{"file", `[]`, "a string"},
	{"globals", `[]`, "an object"}, {"globals", `"a"`, "an object"}, {"globals", `1`, "an object"},
	{"call", `true`, "a string"}, {"caller", `{}`, "a string"},
	{"args", `{}`, "an array"}, {"args", `"a"`, "an array"},
	{"language", `1`, "a string"},
	{"timeout", `"1"`, "a positive whole number of milliseconds"}, {"timeout", `0`, "a positive whole number of milliseconds"},
	{"timeout", `-1`, "a positive whole number of milliseconds"}, {"timeout", `1.5`, "a positive whole number of milliseconds"},
	{"tenant", `"../x"`, "1 to 64 characters of A-Z a-z 0-9 . _ -"}, {"tenant", `""`, "1 to 64 characters of A-Z a-z 0-9 . _ -"}, {"tenant", `1`, "1 to 64 characters of A-Z a-z 0-9 . _ -"},
	{"secrets", `["secret"]`, "an object"}, {"secrets", `"secret"`, "an object"},
	{"memory", `0`, "a positive whole number of MiB"}, {"memory", `"1"`, "a positive whole number of MiB"}, {"memory", `0.5`, "a positive whole number of MiB"},
	{"reuse", `"never"`, `"tenant" or "call"`}, {"reuse", `true`, `"tenant" or "call"`},
	{"stats", `1`, "true or false"}, {"stats", `"true"`, "true or false"},
}

const (
	brackets = 100_000
	aFolder  = bad + "files must be an object from path to source"
	segment  = " has an empty, . or .. segment, or one longer than 255 bytes"
	odd      = ` has a \, a %, a control character or half a surrogate pair`
)

func nested(open, inner, close string) string {
	return strings.Repeat(open, brackets) + inner + strings.Repeat(close, brackets)
}

// manyFiles are n and an index.js.
func manyFiles(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%d":"",`, i)
	}
	return "{" + b.String() + `"index.js":""}`
}

// refusals are answered before a script runs.
var refusals = []struct{ name, params, want string }{
	{"no source", `{}`, bad + "exactly one of code, files and bundle must be there"},
	{"two sources", `{"code":"1","files":{"index.js":""}}`, bad + "exactly one of code, files and bundle must be there"},
	{"code and file", `{"code":"1","file":"a.js"}`, bad + "file must come with files or bundle"},
	{"no file to begin with", `{"files":{"main.js":""}}`, bad + "file must be there where there is no index.js, index.mjs, index.cjs or index.ts"},
	{"a file that is not there", `{"files":{"a.js":""},"file":"../a.js"}`, bad + `file must be one of the files, which "../a.js" is not`},
	{"a file that every object has", `{"files":{"a.js":""},"file":"constructor"}`, bad + `file must be one of the files, which "constructor" is not`},
	{"secrets twice", `{"code":"1","secrets":{},"globals":{"secrets":1}}`, bad + "globals must not have the key secrets where there are secrets"},
	{"a language that there is not", `{"code":"1","language":"cobol"}`, `1007 Forbidden {"what":"language"}`},
	{"timeout over the maximum", `{"code":"1","timeout":60001}`, `1007 Forbidden {"what":"timeout"}`},
	{"timeout beyond 2^53", `{"code":"1","timeout":9007199254740993}`, `1007 Forbidden {"what":"timeout"}`},
	{"timeout beyond all", `{"code":"1","timeout":1e400}`, `1007 Forbidden {"what":"timeout"}`},
	{"memory over the container's", `{"code":"1","memory":257}`, `1007 Forbidden {"what":"memory"}`},
	{"memory beyond 2^53", `{"code":"1","memory":9007199254740993}`, `1007 Forbidden {"what":"memory"}`},

	{"a file named ../x", `{"files":{"index.js":"","../x":""}}`, aFolder + `: the path "../x"` + segment},
	{"a file named /x", `{"files":{"/x":""}}`, aFolder + `: the path "/x"` + segment},
	{"a file named a//x", `{"files":{"a//x":""}}`, aFolder + `: the path "a//x"` + segment},
	{"a file named %2e%2e/x", `{"files":{"%2e%2e/x":""}}`, aFolder + `: the path "%2e%2e/x"` + odd},
	{"a file named ..\\x", `{"files":{"..\\x":""}}`, aFolder + `: the path "..\\x"` + odd},
	{"a file named with a NUL", `{"files":{"a\u0000":""}}`, aFolder + `: the path "a\x00"` + odd},
	{"a file named by half a pair", `{"files":{"\ud800":""}}`, aFolder + `: the path "` + "\ufffd" + `"` + odd},
	{"a long name", `{"files":{"` + strings.Repeat("x", 256) + `":""}}`, aFolder + `: the path "` + strings.Repeat("x", 100) + `"` + segment},
	{"a source that is no string", `{"files":{"index.js":{"a":1}}}`, aFolder + `: the source of "index.js" is no string`},
	{"no files", `{"files":{}}`, bad + "file must be there where there is no index.js, index.mjs, index.cjs or index.ts"},
	{"too many files", `{"files":` + manyFiles(10_000) + `}`, aFolder + ", at most 10000"},
	{"too many secrets", `{"code":"1","secrets":{"a":["` + strings.Repeat(`secret","`, 1000) + `secret"]}}`, bad + "secrets must be an object with at most 1,000 lines and 64 KiB in its strings of 6 characters or more"},
	{"code nested deeply", `{"code":` + nested("[", "", "]") + `}`, bad + "code must be a string"},
	{"files nested deeply", `{"files":` + nested(`{"a":`, `""`, "}") + `}`, aFolder + `: the source of "a" is no string`},
	{"globals of brackets only", `{"code":"1","globals":` + nested("[", "", "]") + `}`, bad + "globals must be an object"},
	{"an unknown bundle", `{"bundle":"x","call":"f"}`, "1009 Not found"},
	{"an unknown bundle and a timeout over the maximum", `{"bundle":"x","timeout":60001}`, `1007 Forbidden {"what":"timeout"}`},
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

// Bad input is answered with what is wrong with it; a call beside it and the next one do not notice.
func TestBadInput(t *testing.T) {
	everywhere(t, func(t *testing.T, c *client) {
		ended := besideAll(t, c)
		check := func(name, params, want string, got func(reply) string) {
			t.Helper()
			if reply := c.CallRaw("runtime.execute", params); got(reply) != want {
				t.Errorf("%s\ngot  %.300s\nwant %.300s\n%s", name, got(reply), want, reply.Data("message"))
			}
			if got := c.Execute(script{"code": "3"}).String(); got != "3" {
				t.Errorf("%s: the next call got %s", name, got)
			}
		}
		for _, w := range wrongTypes {
			params := fmt.Sprintf(`{"code":"1",%q:%s}`, w.field, w.value)
			check(params, params, bad+w.field+" must be "+w.expected, reply.Whole)
		}
		for _, r := range refusals {
			check(r.name, r.params, r.want, reply.Whole)
		}
		for _, o := range odds {
			if o.name == "the fields themselves" && !c.Duplex {
				o.want = bad + `unknown field "__proto__"`
			}
			check(o.name, o.params, o.want, reply.String)
		}
		ended()
	})
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
