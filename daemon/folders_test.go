package daemon_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// inFolder is a call of a folder's function f, or what pairs say.
func inFolder(files script, pairs ...any) script {
	return with(script{"files": files}, pairs...)
}

var folderCases = []scriptCase{
	{"CommonJS", inFolder(script{"index.js": "const add = require('./lib/add'); exports.f = (a, b) => add(a, b)", "lib/add.js": "module.exports = (a, b) => a + b"},
		"call", "f", "args", list(1, 2)), "3", "", ""},
	{"ES modules", inFolder(script{"index.mjs": "import add, { one } from './lib/add.mjs'; export const f = (a) => add(a, one)", "lib/add.mjs": "export default (a, b) => a + b; export const one = 1"},
		"call", "f", "args", list(2)), "3", "", ""},
	{"a CommonJS module from an ES module", inFolder(script{"index.mjs": "import lib, { twice } from './lib.cjs'; export const f = () => [twice(2), lib.twice(3)]", "lib.cjs": "exports.twice = (n) => 2 * n"},
		"call", "f", "args", list()), "[4,6]", "", ""},
	{"an ES module from a CommonJS module", inFolder(script{"index.cjs": "const { n } = require('./n.mjs'); exports.f = (cb) => cb(n)", "n.mjs": "export const n = 5"}, "call", "f"), "5", "", ""},
	{".js is what it is made of", inFolder(script{"index.js": "import n from './n.js'; export const f = (cb) => cb(n)", "n.js": "module.exports = 6"}, "call", "f"), "6", "", ""},
	{".js is what package.json says", inFolder(script{"index.js": "export default typeof module + typeof exports", "package.json": `{"type":"module"}`}), `"undefinedundefined"`, "", ""},
	{"dynamic import", inFolder(script{"index.js": "exports.f = async (name) => (await import(`./${name}.mjs`)).default", "a.mjs": "export default 'A'"}, "call", "f", "args", list("a")), `"A"`, "", ""},
	{"dynamic import of CommonJS", inFolder(script{"index.mjs": "export const f = async () => (await import('./a.cjs')).default.x", "a.cjs": "exports.x = 1"}, "call", "f"), "1", "", ""},
	{"dynamic import of what is not there", inFolder(script{"index.js": "exports.f = (cb) => import('./no.js').catch((e) => cb(e.message))"}, "call", "f"), `"Cannot find module './no.js': there is no such file beside index.js"`, "", ""},
	{"JSON", inFolder(script{"index.js": "exports.f = (cb) => cb(require('./data.json').a[1])", "data.json": `{"a":[1,{"b":null}]}`}, "call", "f"), `{"b":null}`, "", ""},
	{"JSON, imported", inFolder(script{"index.mjs": "import data from './data.json' with { type: 'json' }; export default data", "data.json": `[1]`}), "[1]", "", ""},
	{"JSON as the entry", inFolder(script{"data.json": `{"a":1}`}, "file", "data.json"), `{"a":1}`, "", ""},
	{"JSON that is none", inFolder(script{"index.js": "require('./data.json')", "data.json": `{`}), "1000 SyntaxError", "data.json", ""},
	{"await at the top level", inFolder(script{"index.mjs": "import { n } from './n.mjs'; export const f = (cb) => cb(n)", "n.mjs": "export const n = await new Promise((done) => setTimeout(done, 5, 7))"}, "call", "f"), "7", "", ""},
	{"await at the top level, required", inFolder(script{"index.cjs": "require('./n.mjs')", "n.mjs": "await 1"}), "1000 Error", "require() of n.mjs is not possible", "    at Object.<anonymous> (index.cjs:1:1)"},
	{"a circle of CommonJS", inFolder(script{"a.js": "exports.early = 1; exports.b = require('./b').late; exports.f = (cb) => cb(exports.b)", "b.js": "const a = require('./a'); exports.late = [a.early, a.b === undefined]"},
		"file", "a.js", "call", "f"), "[1,true]", "", ""},
	{"a circle of ES modules", inFolder(script{"a.mjs": "import { b } from './b.mjs'; export const a = () => 1; export const f = (cb) => cb(b())", "b.mjs": "import { a } from './a.mjs'; export const b = () => a() + 1"},
		"file", "a.mjs", "call", "f"), "2", "", ""},
	{"a circle of both", inFolder(script{"a.mjs": "import b from './b.cjs'; export const f = (cb) => cb(b.n)", "b.cjs": "exports.n = 3; exports.later = () => import('./a.mjs')"}, "file", "a.mjs", "call", "f"), "3", "", ""},
	{"a folder within", inFolder(script{"index.js": "exports.f = (cb) => cb(require('./lib'))", "lib/index.js": "module.exports = require('../shared.js') + 1", "shared.js": "module.exports = 1"}, "call", "f"), "2", "", ""},
	{"a module is evaluated once", inFolder(script{"index.js": "require('./n').n++; exports.f = (cb) => cb(require('./n.js').n)", "n.js": "exports.n = 0"}, "call", "f"), "1", "", ""},
	{"names of files", inFolder(script{"lib/é b.js": "exports.f = (cb) => cb([typeof __filename, require('./c d')])", "lib/c d.js": "module.exports = 1"}, "file", "lib/é b.js", "call", "f"), `["string",1]`, "", ""},

	{"default export as a value", inFolder(script{"index.mjs": "export default {a: 1}"}), `{"a":1}`, "", ""},
	{"default export as a function", inFolder(script{"index.js": "module.exports = (cb) => cb(2)"}), "2", "", ""},
	{"default export and args", inFolder(script{"index.mjs": "export default async (a) => a"}, "args", list(3)), "3", "", ""},
	{"default export that is missing", inFolder(script{"index.mjs": "export const a = 1"}), "null", "", ""},
	{"caller", inFolder(script{"index.js": "exports.f = (client, cb) => cb(client.n)"}, "call", "f", "caller", "(callee, cb) => callee({n: 4}, cb)"), "4", "", ""},
	{"a dotted path", inFolder(script{"index.js": "exports.o = {n: 5, f(cb) { cb(this.n) }}"}, "call", "o.f"), "5", "", ""},
	{"a name that is no export", inFolder(script{"index.mjs": "const f = 1; export { f as g }"}, "call", "f"), "1001 Not implemented", "", ""},
	{"globals", inFolder(script{"index.js": "exports.f = (cb) => cb([a, require('./b')])", "b.js": "module.exports = typeof a"}, "call", "f", "globals", script{"a": 1}), `[1,"number"]`, "", ""},
	{"a stack", inFolder(script{"index.js": "const g = require('./lib/g')\nexports.f = () => g()", "lib/g.js": "module.exports = function g() {\n\n  throw new RangeError('deep')\n}"}, "call", "f"),
		"1000 RangeError", "deep", "    at g (lib/g.js:3:9)\n    at exports.f (index.js:2:19)"},
	{"a file that does not parse", inFolder(script{"index.js": "require('./bad')", "bad.js": "const ok = 1\nlet 2"}), "1000 SyntaxError", "", "    at bad.js:2\n    at Object.<anonymous> (index.js:1:1)"},

	{"TypeScript", inFolder(script{"index.ts": "import { add } from './add.ts'; export const f = (a: number): number => add(a, 1)", "add.ts": "export function add(a: number, b: number): number { return a + b }"},
		"call", "f", "args", list(1)), "2", "", ""},
	{"TypeScript from JavaScript", inFolder(script{"index.js": "exports.f = (cb) => cb(require('./n.ts').n)", "n.ts": "export const n: number = 8"}, "call", "f"), "8", "", ""},
	{"TypeScript's stack", inFolder(script{"index.ts": "import { g } from './g.ts'\n\nexport const f = (a: { m: string }): never =>\n  g(a)", "g.ts": "interface A {\n  m: string\n}\nexport function g(a: A): never {\n  throw new TypeError(a.m)\n}"},
		"call", "f", "args", list(script{"m": "why"})), "1000 TypeError", "why", "    at g (g.ts:5:9)\n    at f (index.ts:4:3)"},
	{"TypeScript that needs more than stripping", inFolder(script{"index.ts": "export const a = 1\nnamespace N { export const b = 2 }"}), "1000 SyntaxError", "", "    at index.ts:2"},
}

func TestFolders(t *testing.T) {
	t.Parallel()
	runCases(t, start(t, "docker").Dial(t, "json-rpc"), folderCases)
}

// What a script writes to get out of its folder ends in an error that names the module, and that it may catch.
func TestNothingLeadsOutOfAFolder(t *testing.T) {
	specifiers := []string{
		"../x", "../../etc/passwd", "./../x", "./lib/../../x", "..", "../", "./lib/../../script/index.js",
		"/etc/passwd", "/script/index.js", "//x", "file:///etc/passwd", "file:./lib/a.js", "data:text/javascript,1", "http://localhost/x",
		"./%2e%2e/x", "./lib%2fa.js", "./lib/a%2ejs", `.\lib\a.js`, `..\x`, "./lib/a.js\x00", "./lib/a.js?x", "./lib/a.js#x",
		"./lib//../../x", "lib/a.js", "~/x", ".x", "...", "", " ./lib/a.js", "C:/x", "#x",
	}
	files := script{
		"index.mjs": "import { createRequire as no } from './out.cjs'; export { f } from './out.cjs'; export const g = (name) => import(name).then(() => 'found', (e) => e.message)",
		"out.cjs":   "exports.f = (name) => { try { require(name); return 'found' } catch (e) { if (!(e instanceof Error)) throw e; return e.message } }; exports.createRequire = 0",
		"lib/a.js":  "",
	}
	everywhere(t, func(t *testing.T, c *client) {
		for _, specifier := range specifiers {
			for _, call := range []string{"f", "g"} {
				got := c.Execute(inFolder(files, "call", call, "args", list(specifier))).String()
				if !strings.HasPrefix(got, `"Cannot find module '`) || !strings.Contains(got, jsonOfString(specifier)) {
					t.Errorf("%s of %q: got %s", call, specifier, got)
				}
			}
		}
		for _, ok := range []string{"./lib/a.js", "./lib/../lib/./a.js"} {
			if got := c.Execute(inFolder(files, "call", "f", "args", list(ok))).String(); got != `"found"` {
				t.Errorf("%q: got %s", ok, got)
			}
		}
	})
}

// jsonOfString is how a string stands inside another one in JSON as a script writes it.
func jsonOfString(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		panic(err)
	}
	quoted := strings.TrimSpace(b.String())
	return quoted[1 : len(quoted)-1]
}
