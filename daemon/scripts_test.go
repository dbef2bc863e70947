package daemon_test

import (
	"fmt"
	"strings"
	"testing"
)

// A scriptCase is a call and its reply, whatever the driver and the dialect are.
type scriptCase struct {
	name    string
	script  script
	want    string // the value, or code and message
	message string // of an error: a part of its data's message, where it matters
	stack   string // likewise: the frames
}

func runCases(t *testing.T, c *client, cases []scriptCase) {
	t.Helper()
	for _, s := range cases {
		t.Run(s.name, func(t *testing.T) {
			got := c.Execute(s.script)
			if got.String() != s.want || !strings.Contains(got.Data("message"), s.message) {
				t.Fatalf("got %v: %s\nwant %s: %s", got, got.Data("message"), s.want, s.message)
			}
			if frames := framesOf(got.Data("stack")); s.stack != "" && frames != s.stack {
				t.Errorf("stack\n%s\nwant\n%s", frames, s.stack)
			}
		})
	}
}

const waits = "1002 Timeout" // nobody called cb

var argumentCases = []scriptCase{
	{"args", called("const f = (a, b) => a + b", "args", list(1, 2)), "3", "", ""},
	{"no args", called("function f() { return arguments.length }", "args", list()), "0", "", ""},
	{"args of an async function", called("async function f(a) { return [a] }", "args", list("x")), `["x"]`, "", ""},
	{"args and nothing returned", called("function f(a) {}", "args", list(1)), "null", "", ""},
	{"args keep this", script{"code": "const o = {n: 2, f(a) { return this.n * a }}", "call": "o.f", "args": list(4)}, "8", "", ""},
	{"args and a throw", called("function f() { throw new RangeError('r') }", "args", list(1)), "1000 RangeError", "r", "    at f (script.js:1:22)"},
	{"args and a rejection", called("async function f() { throw 'boom' }", "args", list()), "1000 boom", "", ""},
	{"args whose values are odd", called("function f(...a) { return a }", "args", list(nil, false, 0, "", script{"a": list(1.5)})), `[null,false,0,"",{"a":[1.5]}]`, "", ""},
	{"args of a function that is missing", called("1", "args", list(1)), "1001 Not implemented", "", ""},

	{"caller and args", called("const f = (a, b) => a - b", "args", list(5, 3),
		"caller", "function(callee, cb, args) { cb(callee(...args.reverse())) }"), "-2", "", ""},
	{"caller of a name that is no function", called("const f = 1", "caller", "function(callee, cb) { cb(0) }"), "1001 Not implemented", "", ""},
	{"caller finds no args", called("function f() {}", "caller", "function(callee, cb, args) { cb(typeof args) }"), `"undefined"`, "", ""},
	{"caller as an arrow", called("const f = (n) => n * 2", "caller", "(callee, cb) => cb(callee(21))"), "42", "", ""},
	{"caller as an async arrow; ", called("const f = (n) => n * 2", "caller", "async (callee) => callee(4) ; "), "8", "", ""},
	{"caller without call", script{"code": "(x) => x + 1", "caller": "function(callee, cb) { cb(callee(1)) }"}, "2", "", ""},
	{"caller with a comment behind", called("const f = () => 3", "caller", "function(callee, cb) { cb(callee()) } // that is all"), "3", "", ""},
	{"caller sees the code's names", called("const k = 7; function f() {}", "caller", "function(callee, cb) { cb(k) }"), "7", "", ""},
	{"caller that is none", called("function f() {}", "caller", "'x'"), "1000 TypeError", "caller", ""},
	{"caller that does not parse", called("function f() {}", "caller", "function("), "1000 SyntaxError", "", "    at caller.js:1"},
	{"caller that throws", called("function f() {}", "caller", "function(callee, cb) {\n  throw new EvalError('e') }"), "1000 EvalError", "e", "    at caller.js:2:9"},
	{"caller that does not parse, of a function that is missing", called("1", "caller", "function("), "1001 Not implemented", "", ""},
	{"code that throws, of a function that is missing", script{"code": "throw 'first'", "call": "g"}, "1000 first", "", ""},
}

var promiseCases = []scriptCase{
	{"async with cb fulfils with a value", called("async function f(cb) { return 4 }"), "4", "", ""},
	{"async with cb fulfils with undefined", called("async function f(cb) {}", "timeout", 100), waits, "", ""},
	{"async without cb fulfils with undefined", called("async function f() {}"), "null", "", ""},
	{"async fulfils with null", called("async function f(cb) { return null }"), "null", "", ""},
	{"a thenable", called("function f(cb) { return {then(resolve) { resolve(9) }} }"), "9", "", ""},
	{"a thenable that rejects", called("function f(cb) { return {then(_, reject) { reject(new URIError('u')) }} }"), "1000 URIError", "u", ""},
	{"a promise for ever, and cb", called("function f(cb) { cb(3); return new Promise(() => {}) }"), "3", "", ""},
	{"cb before a rejection", called("async function f(cb) { cb(1); throw 2 }"), "1", "", ""},
	{"cb before a throw", f("cb(1); throw 2"), "1", "", ""},
	{"a rejection before cb", called("async function f(cb) { setTimeout(cb, 50, 1); throw new Error('no') }"), "1000 Error", "no", ""},
	{"a rejection that nobody handles", f("Promise.reject(new TypeError('lost'))"), "1000 TypeError", "lost", ""},
	{"a rejection that is handled", f("Promise.reject(1).catch(() => cb(2))"), "2", "", ""},

	{"no parameters, a value", called("function f() { return 3 }"), "3", "", ""},
	{"no parameters, 0", called("function f() { return 0 }"), "0", "", ""},
	{"no parameters, null", called("function f() { return null }"), "null", "", ""},
	{"no parameters, nothing", called("function f() {}", "timeout", 100), waits, "", ""},
	{"no parameters, cb by arguments", called("function f() { arguments[0](5) }"), "5", "", ""},
	{"parameters, a value", called("function f(cb) { setTimeout(cb, 5, 6); return 5 }"), "6", "", ""},

	{"async caller fulfils with a value", called("function f() {}", "caller", "async function(callee, cb) { return 5 }"), "5", "", ""},
	{"async caller fulfils with undefined", called("function f() {}", "caller", "async function(callee, cb) { setTimeout(cb, 5, 7) }"), "7", "", ""},
	{"async caller without parameters", called("function f() {}", "caller", "async function() {}"), "null", "", ""},
	{"async caller rejects", called("function f() {}", "caller", "async function(callee, cb) { throw 'c' }"), "1000 c", "", ""},
	{"caller awaits a callee that rejects", called("async function f() { throw new Error('e') }", "caller", "async (callee, cb) => cb(await callee())"), "1000 Error", "e", ""},
	{"an expression that rejects", script{"code": "Promise.reject(new Error('e'))"}, "1000 Error", "e", ""},
}

var moduleSourceCases = []scriptCase{
	{"import and export", called("import path from 'path'; export const f = (cb) => cb(path.join('a', 'b'))"), `"a/b"`, "", ""},
	{"a name that is not exported", called("import { sep } from 'node:path'; function f(cb) { cb(sep) }"), `"/"`, "", ""},
	{"an export by another name", called("const g = (a) => a * 3; export { g as f }", "args", list(2)), "6", "", ""},
	{"a dotted path into an export", script{"code": "export const o = {p: {n: 1, f() { return this.n }}}", "call": "o.p.f"}, "1", "", ""},
	{"an export that is missing", called("export const g = 1"), "1001 Not implemented", "", ""},
	{"default export", script{"code": "export default {a: 1}"}, `{"a":1}`, "", ""},
	{"await at the top level", called("const n = await Promise.resolve(4); function f(cb) { cb(n) }"), "4", "", ""},
	{"await and a last expression", script{"code": "const n = await 4\nn + 1"}, "5", "", ""},
	{"import() in a script", script{"code": "import('path').then((path) => path.sep)"}, `"/"`, "", ""},
	{"import() of what is not allowed", script{"code": "import('fs').catch((e) => e instanceof Error && e.message.includes(\"'fs'\"))"}, "true", "", ""},
	{"import of what is not allowed", script{"code": "import fs from 'fs'"}, "1000 Error", "Cannot find module 'fs'", ""},
	{"import of a file", script{"code": "import './x.js'"}, "1000 Error", "Cannot find module './x.js'", ""},
	{"a module that throws", called("export const f = 1;\n\nnull.x"), "1000 TypeError", "", "    at script.js:3:6"},
	{"a module that does not parse", script{"code": "import path from 'path'\nlet 1"}, "1000 SyntaxError", "", "    at script.js:2"},
	{"a module that awaits for ever", script{"code": "await new Promise(() => {}); 1", "timeout": 100}, waits, "", ""},
	{"a module is strict", script{"code": "export default (function () { return typeof this })()"}, `"undefined"`, "", ""},
	{"globals in a module", script{"code": "export default a + 1", "globals": script{"a": 1}}, "2", "", ""},
	{"caller of a module", called("export const f = (a) => a", "caller", "async (callee, cb, args) => cb(await callee(...args))", "args", list(3)), "3", "", ""},

	{"TypeScript", called("type N = number; const f = (a: N, b?: N): N => a + (b as N)", "language", "typescript", "args", list(1, 2)), "3", "", ""},
	{"TypeScript as a module", called("import type { X } from 'nowhere'; import path from 'path'; export function f(this: void): string { return path.sep }", "language", "typescript"), `"/"`, "", ""},
	{"TypeScript's stack", called("interface A {\n  a: string\n}\n\nfunction f(a: A): never { throw new TypeError(a.a) }", "language", "typescript", "args", list(script{"a": "m"})),
		"1000 TypeError", "m", "    at f (script.js:5:33)"},
	{"TypeScript that needs more than stripping", script{"code": "let a\nenum E { A }", "language": "typescript"}, "1000 SyntaxError", "enum", "    at script.js:2"},
	{"TypeScript that is not said to be", script{"code": "const a: number = 1"}, "1000 SyntaxError", "", "    at script.js:1"},
	{"JavaScript by name", script{"code": "1", "language": "javascript"}, "1", "", ""},
}

// What a script comes to depends on neither driver nor dialect, which TestCalls and others go through.
func TestScripts(t *testing.T) {
	t.Parallel()
	c := start(t, "process").Dial(t, "duplex")
	runCases(t, c, argumentCases)
	runCases(t, c, promiseCases)
	runCases(t, c, moduleSourceCases)
}

func TestModuleList(t *testing.T) {
	everywhereWith(t, []string{"--modules", "path,util"}, func(t *testing.T, dial func(*testing.T) *client) {
		c := dial(t)
		refused := func(name string) string { return fmt.Sprintf("Cannot find module '%s': it is not in the list", name) }
		runCases(t, c, []scriptCase{
			{"listed", script{"code": "require('path').sep + require('node:util').format('%d', 1)"}, `"/1"`, "", ""},
			{"listed, imported", called("import { sep } from 'node:path'; export const f = (cb) => cb(sep)"), `"/"`, "", ""},
			{"not listed", script{"code": "require('crypto')"}, "1000 Error", refused("crypto"), "    at script.js:1:1"},
			{"not listed, in a file", script{"files": script{"index.js": "exports.f = (cb) => cb(require('zlib'))"}, "call": "f"}, "1000 Error", refused("zlib"), ""},
			{"not listed, imported", script{"code": "import 'events'"}, "1000 Error", refused("events"), ""},
			{"not listed, and caught", script{"code": "import('buffer').catch((e) => e.code)"}, `"MODULE_NOT_FOUND"`, "", ""},
			{"never there", script{"code": "require('fs')"}, "1000 Error", "jsd serve --modules", ""},
			{"a global, which is no module", script{"code": "Buffer.from('a').length"}, "1", "", ""},
		})
		_, answer := c.Start("runtime.info", script{})
		if got := string(c.Wait(answer).Result); !strings.Contains(got, `"modules":["path","util"]`) {
			t.Errorf("runtime.info says %s", got)
		}
	})
}
