'use strict';
// Source trees: how modules find each other, their kinds, and the value of a call.

const assert = require('node:assert/strict');
const { test, before, after } = require('node:test');
const { start } = require('./link.js');

let agent;
before(async () => { agent = await start(); });
after(() => agent.close());

// Each row: files, the entry first; further fields of the script; the value, or the name of the failure.
const rows = [
  ['CommonJS', { 'index.js': 'const { two } = require("./lib/two"); module.exports = () => two + require("./three.json").n', 'lib/two.js': 'exports.two = 2', 'three.json': '{"n": 3}' }, {}, 5],
  ['an export by name', { 'index.js': 'exports.f = (cb) => cb(7)' }, { call: 'f' }, 7],
  ['a dotted path, with this', { 'index.js': 'exports.o = { n: 8, f() { return this.n } }' }, { call: 'o.f' }, 8],
  ['a method of an instance', { 'index.js': 'class A { f() { return 9 } } module.exports = new A()' }, { call: 'f' }, 9],
  ['a name that is not exported', { 'index.js': 'function f() {}' }, { call: 'f' }, 1001],
  ['a name that every object has', { 'index.js': 'module.exports = {}' }, { call: 'toString' }, 1001],
  ['exports that are a value', { 'index.js': 'module.exports = { a: [1] }' }, {}, { a: [1] }],
  ['exports that are a promise', { 'index.js': 'module.exports = Promise.resolve(6)' }, {}, 6],
  ['a compiled default export', { 'index.js': 'exports.__esModule = true; exports.default = () => 4' }, {}, 4],
  ['an ES module', { 'index.mjs': 'import { two } from "./lib/two.mjs"; export default () => two', 'lib/two.mjs': 'export const two = 2' }, {}, 2],
  ['an export of an ES module', { 'index.mjs': 'export async function f(a, b) { return a + b }' }, { call: 'f', args: [1, 2] }, 3],
  ['a default export that is a value', { 'index.mjs': 'export default { a: 1 }' }, {}, { a: 1 }],
  ['no default export', { 'index.mjs': 'export const a = 1' }, {}, null],
  ['an export named then', { 'index.mjs': 'export const then = 1; export const f = () => 5' }, { call: 'f' }, 5],
  ['await at the top', { 'index.mjs': 'const a = await new Promise((r) => setTimeout(r, 5, 11)); export default a' }, {}, 11],
  ['a throw at the top', { 'index.mjs': 'throw new RangeError("x")' }, {}, 'RangeError'],
  ['a throw in an import', { 'index.mjs': 'import "./b.mjs"', 'b.mjs': 'throw new RangeError("x")' }, {}, 'RangeError'],
  ['js judged by its source', { 'index.js': 'import a from "./a.js"; export default a', 'a.js': 'module.exports = 12' }, {}, 12],
  ['js judged by package.json', { 'index.js': 'export default this === undefined', 'package.json': '{"type":"module"}' }, {}, true],
  ['js judged by a nearer package.json', { 'index.mjs': 'import a from "./c/a.js"; export default a', 'package.json': '{"type":"module"}', 'c/package.json': '{"type":"commonjs"}', 'c/a.js': 'module.exports = typeof module' }, {}, 'object'],
  ['cjs', { 'index.cjs': 'module.exports = 13', 'package.json': '{"type":"module"}' }, {}, 13],
  ['CommonJS from an ES module, by name', { 'index.mjs': 'import d, { a, b } from "./c.cjs"; export default [a, b, d.c]', 'c.cjs': 'exports.a = 1; Object.defineProperty(exports, "b", { value: 2 }); exports["c"] = 3' }, {}, [1, 2, 3]],
  ['CommonJS from an ES module, a literal', { 'index.mjs': 'import { a, b } from "./c.cjs"; export default [a, b()]', 'c.cjs': 'const a = 1; module.exports = { a, b() { return 2 } }' }, {}, [1, 2]],
  ['CommonJS that hands on', { 'index.mjs': 'import { a } from "./c.cjs"; export default a', 'c.cjs': 'module.exports = require("./d.cjs")', 'd.cjs': 'exports.a = 1' }, {}, 1],
  ['CommonJS runs in the order of the imports', { 'index.mjs': 'import "./first.mjs"; import a from "./second.cjs"; export default a', 'first.mjs': 'globalThis.seen = "first"', 'second.cjs': 'module.exports = seen' }, {}, 'first'],
  ['an ES module from CommonJS', { 'index.cjs': 'module.exports = require("./e.mjs").a', 'e.mjs': 'export const a = 14' }, {}, 14],
  ['an ES module that awaits from CommonJS', { 'index.cjs': 'try { require("./e.mjs") } catch (e) { module.exports = [e.code, e instanceof Error] }', 'e.mjs': 'export const a = await 1' }, {}, ['ERR_REQUIRE_ASYNC_MODULE', true]],
  ['dynamic import', { 'index.cjs': 'module.exports = async () => (await import("./e.mjs")).default', 'e.mjs': 'export default 15' }, {}, 15],
  ['dynamic import of a name made up', { 'index.mjs': 'const n = ["a", "b"]; export default Promise.all(n.map(async (x) => (await import(`./${x}.mjs`)).x))', 'a.mjs': 'export const x = 1', 'b.mjs': 'export const x = 2' }, {}, [1, 2]],
  ['a promise of import() is the script\'s own', { 'index.mjs': 'export default import("./e.mjs") instanceof Promise', 'e.mjs': '' }, {}, true],
  ['JSON', { 'index.mjs': 'import a from "./a.json" with { type: "json" }; export default [a, a instanceof Object]', 'a.json': '{"b": 1}' }, {}, [{ b: 1 }, true]],
  ['JSON as the entry', { 'index.json': '{"b": [1]}' }, {}, { b: [1] }],
  ['JSON that is none', { 'index.js': 'require("./a.json")', 'a.json': '{' }, {}, 'SyntaxError'],
  ['a circle of CommonJS', { 'index.js': 'exports.a = 1; exports.b = require("./b").b', 'b.js': 'exports.b = require("./index").a + 1' }, {}, { a: 1, b: 2 }],
  ['a circle of ES modules', { 'index.mjs': 'import { odd } from "./odd.mjs"; export const even = (n) => n === 0 || odd(n - 1); export default () => even(10)', 'odd.mjs': 'import { even } from "./index.mjs"; export const odd = (n) => n !== 0 && even(n - 1)' }, {}, true],
  ['each module once', { 'index.js': 'require("./a"); require("./a.js"); require("./lib/../a"); module.exports = count', 'a.js': 'globalThis.count = (globalThis.count ?? 0) + 1', 'lib/x.js': '' }, {}, 1],
  ['a folder with an index', { 'index.js': 'module.exports = require("./lib")', 'lib/index.js': 'module.exports = 16' }, {}, 16],
  ['a folder with a main', { 'index.js': 'module.exports = require("./lib")', 'lib/package.json': '{"main":"m"}', 'lib/m.js': 'module.exports = 17' }, {}, 17],
  ['node_modules of its own', { 'index.mjs': 'import a from "dep"; export default a', 'node_modules/dep/package.json': '{"exports":{"import":"./e.mjs","require":"./c.js"}}', 'node_modules/dep/e.mjs': 'export default "esm"', 'node_modules/dep/c.js': '' }, {}, 'esm'],
  ['imports of package.json', { 'index.mjs': 'import a from "#a/b"; export default a', 'package.json': '{"imports":{"#a/*":"./lib/*.mjs"}}', 'lib/b.mjs': 'export default 18' }, {}, 18],
  ['itself by name', { 'index.mjs': 'import { a } from "me/x"; export default a', 'package.json': '{"name":"me","exports":{"./x":"./x.mjs"}}', 'x.mjs': 'export const a = 19' }, {}, 19],
  ['CommonJS that hands on what is an ES module', { 'index.mjs': 'import d from "./c.cjs"; export default d.a', 'c.cjs': 'module.exports = require("./e.js")', 'e.js': 'export const a = 1' }, {}, 1],
  ['names behind comments', { 'index.mjs': 'import { a } from "./a.cjs"; export default a', 'a.cjs': `module.exports = {${'/* x */'.repeat(26)} a: 1, ...{} }` }, {}, 1],
  ['a global named process', { 'index.js': 'module.exports = process.n' }, { globals: { process: { n: 1 } } }, 1],
  ['a process of its own', { 'index.js': 'const process = { n: 1 }; module.exports = process.n' }, {}, 1],
  ['arguments of a module', { 'index.cjs': 'module.exports = arguments.length' }, {}, 5],
  ['import() waits for who imports', { 'index.mjs': 'globalThis.o = []; const p = import("./x.mjs"); o.push("after"); await p; export default o', 'x.mjs': 'o.push("x")' }, {}, ['after', 'x']],
  ['a circle through import()', { 'a.mjs': 'import { later } from "./b.mjs"; export const x = 1; export default later', 'b.mjs': 'export const later = import("./a.mjs").then((m) => m.x)' }, {}, 1],
  ['a graph that fails, again', { 'index.mjs': 'const r = []; for (let i = 0; i < 3; i++) try { await import("./a.mjs") } catch (e) { r.push(e.code, e instanceof Error) } export default r', 'a.mjs': 'import "./b.mjs"', 'b.mjs': 'import "nope"' }, {}, ['ERR_MODULE_NOT_FOUND', true, 'ERR_MODULE_NOT_FOUND', true, 'ERR_MODULE_NOT_FOUND', true]],
  ['__esModule of what is required', { 'index.cjs': 'const m = require("./e.mjs"); module.exports = [m.__esModule, m.default, require("./e.mjs") === m]', 'e.mjs': 'export default 7' }, {}, [true, 7, true]],
  ['errors of the script\'s own realm', { 'index.cjs': 'try { require("./c.mjs") } catch (e) { module.exports = [e instanceof Error, e.constructor.constructor("return typeof process")()] }', 'c.mjs': 'import "./nope.mjs"' }, {}, [true, 'undefined']],
  ['imports that go round', { 'index.cjs': 'try { require("#a") } catch (e) { module.exports = [e instanceof Error, e.name] }', 'package.json': '{"imports":{"#a":"#a"}}' }, {}, [true, 'RangeError']],
  ['globals that have names of intrinsics', { 'index.mjs': 'export default Map' }, { globals: { Map: 1, Error: 2, Reflect: 3 } }, 1],
  ['a path made of __dirname', { 'index.cjs': 'module.exports = require(require("path").join(__dirname, "b"))', 'b.js': 'module.exports = 3' }, {}, 3],
  ['a URL made of import.meta.url', { 'index.mjs': 'export default (await import(new URL("./b.mjs", import.meta.url))).default', 'b.mjs': 'export default 4' }, {}, 4],
  ['a getter that throws', { 'index.mjs': 'import d from "./c.cjs"; export default d.b', 'c.cjs': 'Object.defineProperty(exports, "a", { get() { throw 1 } }); exports.b = 2' }, {}, 2],
  ['WebAssembly is no module', { 'index.mjs': 'export default import("./a.wasm").catch((e) => e.code)', 'a.wasm': '' }, {}, 'ERR_UNKNOWN_FILE_EXTENSION'],
  ['import.meta', { 'sub/index.mjs': 'export default [import.meta.filename, import.meta.dirname, import.meta.url]' }, {}, ['/script/sub/index.mjs', '/script/sub', 'file:///script/sub/index.mjs']],
  ['import.meta.resolve', { 'sub/index.mjs': 'export default [import.meta.resolve("../a.mjs"), import.meta.resolve("path")]', 'a.mjs': '' }, {}, ['file:///script/a.mjs', 'node:path']],
  ['__filename', { 'sub/index.cjs': 'module.exports = [__filename, __dirname, typeof process, require.resolve("./index.cjs")]' }, {}, ['/script/sub/index.cjs', '/script/sub', 'undefined', '/script/sub/index.cjs']],
  ['built-ins', { 'index.mjs': 'import { createHash } from "node:crypto"; import path from "path"; export default [createHash("md5").update("x").digest("hex"), path.join("a", "..", "b")]' }, {}, ['9dd4e461268c8034f5c8564e155c67a6', 'b']],
  ['a caller', { 'index.js': 'module.exports = (client, cb) => cb(client.n)' }, { caller: 'function (callee, cb) { callee({ n: 20 }, cb) }' }, 20],
  ['globals', { 'index.mjs': 'export default a' }, { globals: { a: 21 } }, 21],
  ['a hashbang', { 'index.js': '#!/usr/bin/env node\nmodule.exports = 22' }, {}, 22],
  ['a name of odd characters', { 'index.js': 'module.exports = require("./ä b/ü.js")', 'ä b/ü.js': 'module.exports = 23' }, {}, 23],
];

for (const [name, files, more, want] of rows) {
  test(name, async () => {
    const got = await agent.run({ files, file: Object.keys(files)[0], ...more });
    if (want === 1001) assert.equal(got.code, 1001);
    else if (got.code !== undefined) assert.equal(got.name, want, JSON.stringify(got));
    else assert.deepEqual(got.value, want);
  });
}

test('no path leads out of the source tree', async () => {
  const specifiers = [
    '../x', './../x', '/etc/passwd', '/script/../etc/passwd', './lib/../../x', '..', '../', './%2e%2e/x', './a%2fb', '.\\x', './a\0b', 'file:///etc/passwd',
    'data:text/javascript,export default 1', 'http://127.0.0.1/x.js', 'https://x.test/x', './../../../../etc/passwd', '', ' ', '.', 'node:nothing', 'lodash/../../x', '@x', '@x/', '#x', '#',
  ];
  const inRequire = 'for (const s of names) try { require(s); got.push(s) } catch (e) { if (!(e instanceof Error) || !e.message.includes(s.slice(0, 200))) got.push([s, e.message]) }';
  const inImport = 'for (const s of names) try { await import(s); got.push(s) } catch (e) { if (!(e instanceof Error) || !e.message.includes(s)) got.push([s, String(e)]) }';
  for (const [entry, source] of [['sub/index.cjs', `const got = []; ${inRequire}; module.exports = got`], ['sub/index.mjs', `const got = []; ${inImport}; export default got`]]) {
    const got = await agent.run({ files: { [entry]: source }, file: entry, globals: { names: specifiers.map((s) => (s.startsWith('../') ? `../${s}` : s)) } });
    assert.deepEqual(got.value, [], entry);
  }
});

test('the error about a missing file names the file that may be meant', async () => {
  const got = await agent.run({ files: { 'index.mjs': 'import "./a.js"', 'a.ts': '' }, file: 'index.mjs' });
  assert.equal(got.message, "Cannot find module './a.js': is a.ts meant?");
});

test('stacks have the names and lines of the source files', async () => {
  const files = { 'index.mjs': '\nimport { f } from "./lib/b.cjs";\nexport default () => f();', 'lib/b.cjs': 'exports.f = () => {\n  throw new Error("x") }' };
  const { stack } = await agent.run({ files, file: 'index.mjs' });
  assert.equal(stack, 'Error: x\n    at exports.f (lib/b.cjs:2:9)\n    at default (index.mjs:3:22)');
});

test('no call sees modules of another', async () => {
  const files = { 'index.js': 'module.exports = () => ++require("./state").n', 'state.js': 'exports.n = 0' };
  for (let i = 0; i < 6; i++) assert.equal((await agent.run({ files, file: 'index.js' })).value, 1);
});

const codes = [
  ['await, and a value', { code: 'const r = await Promise.resolve(4); r * 2' }, 8],
  ['await alone', { code: 'await Promise.resolve({ a: 1 })' }, { a: 1 }],
  ['await and a sum over lines', { code: 'const a = await 1\na\n+ 1;\n' }, 2],
  ['await and a comment', { code: 'const a = await 5 // a; 7' , call: undefined }, null],
  ['await and a block at the end', { code: 'let a = await 1; if (a) { a = 2 }' }, null],
  ['await and a function to call', { code: 'const n = await 5; function f(cb) { cb(n) }', call: 'f' }, 5],
  ['await and a path', { code: 'const o = { f: () => 6 }; await 1', call: 'o.f' }, 6],
  ['export', { code: 'export const f = () => 7', call: 'f' }, 7],
  ['export default', { code: 'export default () => 8' }, 8],
  ['import', { code: 'import { join } from "node:path"; export default join("a", "b")' }, 'a/b'],
  ['import and a last expression', { code: 'import path from "path"; path.basename("a/b")' }, 'b'],
  ['import() in a script', { code: 'import("path").then((p) => p.default.basename("a/c"))' }, 'c'],
  ['import of a file without a folder', { code: 'import("./a.js")' }, 'Error'],
  ['a name that the module has not', { code: 'await 1', call: 'g' }, 1001],
  ['await in a function is a script', { code: 'this === globalThis && (async () => await 1)()' }, 1],
  ['what is neither', { code: 'import x from; 1' }, 'SyntaxError'],
];

for (const [name, script, want] of codes) {
  test(`code: ${name}`, async () => {
    const got = await agent.run(script);
    if (want === 1001) assert.equal(got.code, 1001);
    else if (got.code !== undefined) assert.equal(got.name, want, JSON.stringify(got));
    else assert.deepEqual(got.value, want);
  });
}

const SETUP = 'await 0; const out = []; const g = async () => { out.push("g") }; const a = () => out.push("a"), b = () => out.push("b"); let c = false; let x = 1;\n';
const values = [
  ['a body after a condition', 'if (c)\n  await g()', null],
  ['a body after else', 'if (true) a(); else\n  b()', null],
  ['a body behind a comment', 'if (x > 5)\n  // big\n  throw 1;', null],
  ['a body of a loop', 'for (const q of [1])\n  out.push(q)', null],
  ['a loop that counts', 'let n = 3; while (n > 0)\n  n--', null],
  ['a sum that goes on', 'const s = 1\n+ 5', null],
  ['a call that goes on', 'const r = a\n("x")', null],
  ['an expression that goes on', 'x ? 1 :\n 2', 1],
  ['a prefix on its own line', 'x\n++\nx', 2],
  ['behind a comment', 'x + 1; // done', 2],
  ['before a block comment', 'x + 1; /* end */', 2],
  ['before two comments', 'x + 1 // a\n// b', 2],
  ['what looks like a comment', '"http://x" // c', 'http://x'],
  ['`export default` in a comment', '// export default\nx + 5', 6],
  ['import.meta', 'import.meta.url', 'file:///script/script.js'],
  ['lines that end in a carriage return', 'x\r+ 4', 5],
  ['an array behind a semicolon', 'x\n;[1].length', 1],
  ['a template', '`a;b\nc`', 'a;b\nc'],
  ['an object', '({ y: 1 })', { y: 1 }],
  ['a long function that is called', `(async () => {\n${'  x++;\n'.repeat(300)}  return x\n})()`, 301],
  ['a regular expression', '/;/.test(";")', true],
  ['behind a class', 'class A {}\nnew A() instanceof A', true],
  ['a labelled block', 'label: { x = 2 }', null],
  ['behind an export', 'export const z = 1; z', 1],
];

for (const [name, code, want] of values) {
  test(`value of a module: ${name}`, async () => assert.deepEqual((await agent.run({ code: SETUP + code })).value, want));
}

test('spaces cost no time', async () => {
  const spaces = ' '.repeat(200_000);
  assert.equal((await agent.run({ code: `await 1;${spaces}2` })).value, 2);
  assert.equal((await agent.run({ code: '0', caller: `(f, cb) => cb(1)${spaces};` })).value, 1);
});

test('an import that never ends is a timeout, and the next call runs', async () => {
  const files = { 'index.mjs': 'import "./b.mjs"', 'b.mjs': 'await new Promise(() => {})' };
  assert.equal((await agent.run({ files, file: 'index.mjs' }, { timeout: 100 })).code, 1002);
  assert.equal((await agent.run({ code: '1' })).value, 1);
});
