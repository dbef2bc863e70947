package attack

// Escapes published for runners that stand on node:vm and the like, by name: what made them work, tried here. The
// code is made for this place, where other things are handed to scripts than there.
func publishedTheme() theme {
	return theme{name: "published", attacks: []attack{
		{
			name: "node:vm this.constructor.constructor", tries: "the oldest of them: the realm of the object that became the global one (also CVE-2017-16088 and CVE-2020-7710 of safe-eval)",
			script: script{"code": look + `look('this', () => this); look('toString', () => toString); look('valueOf', () => valueOf.call(this));
look('global', () => global); found`},
			want: `[]`,
		},
		{
			name: "CVE-2017-16226 static-eval", tries: "Function by the constructor of a function that was made in a path of properties",
			script: script{"code": look + `look('f', () => (function () {})['constr' + 'uctor']);
look('async', () => Object.getPrototypeOf(async function () {}).constructor('return globalThis')());
look('generator', () => Object.getPrototypeOf(function* () {}).constructor); found`},
			want: `[]`,
		},
		{
			name: "CVE-2021-23771 notevil and argencoders", tries: "prototypes that are shared with the runner: __defineGetter__ and __proto__ on what it reads",
			script: script{"code": `
Object.prototype.__defineGetter__('poisoned', () => 1);
Object.prototype.__defineSetter__('code', function (v) { throw new Error('mine') });
Function.prototype.poisoned = 2; Array.prototype.poisoned = 3;
[typeof ({}).poisoned, typeof (() => {}).poisoned]`},
			want: `["number","number"]`, // in its own realm; the next call finds nothing of it
		},
		{
			name: "CVE-2022-25904 safe-eval", tries: "poisoned __proto__ in JSON that the runner parses and merges",
			script: script{"code": `JSON.parse('{"__proto__":{"poisoned":1},"constructor":{"prototype":{"poisoned":1}}}')`,
				"globals": script{"__proto__": script{"poisoned": 1}, "x": script{"constructor": script{"prototype": script{"poisoned": 1}}}}},
			want: `{"__proto__":{"poisoned":1},"constructor":{"prototype":{"poisoned":1}}}`,
		},
		{
			name: "CVE-2021-23449 vm2", tries: "the realm of import(), by a module that does not exist and Object.prototype",
			script: script{"code": look + `
const caught = [];
Object.defineProperty(Object.prototype, 'message', { set(v) { caught.push(this) }, get() { caught.push(this) }, configurable: true });
import('./nope.js').catch((e) => { look('error', () => e); look('proto', () => Object.getPrototypeOf(e));
for (const each of caught) look('caught', () => each); return found })`},
			want: `[]`,
		},
		{
			name: "CVE-2021-23555 vm2", tries: "errors of Node's own while a stack is formatted",
			script: script{"code": look + `
const errors = [];
Error.prepareStackTrace = (e, sites) => { errors.push(e); throw e };
for (const f of [() => new Error('x').stack, () => require('nope'), () => console.log(new Error('y'))]) try { f() } catch (e) { errors.push(e) }
for (const e of errors) look('error', () => e);
[found, errors.length > 2]`},
			want: `[[],true]`,
		},
		{
			name: "CVE-2022-25893 vm2", tries: "WeakMap.prototype and Reflect, which a runner uses to tell what is whose",
			script: script{"code": look + `
for (const [of, name] of [[WeakMap.prototype, 'set'], [WeakMap.prototype, 'get'], [Map.prototype, 'set'], [Map.prototype, 'get'], [Reflect, 'apply'],
[Reflect, 'construct'], [Function.prototype, 'call'], [Function.prototype, 'bind'], [Function.prototype, 'apply'], [Array.prototype, 'push'],
[Array.prototype, Symbol.iterator]]) {
  const own = of[name];
  of[name] = function (...args) { look(String(name), () => this); for (let i = 0; i < args.length; i++) look(String(name), () => args[i]);
return new.target ? 0 : own === undefined ? 0 : (of[name] = own, own.apply(this, args)) };
}
console.log({}); setTimeout(() => {}, 1); try { require('nope') } catch {} try { require('fs') } catch {}
found`},
			want: `[]`,
		},
		{
			name: "CVE-2022-36067 vm2 SandBreak", tries: "an Error put in place of the global one, whose prepareStackTrace gets frames of the runner",
			script: script{"code": look + `
const Own = globalThis.Error;
globalThis.Error = { prepareStackTrace(_, sites) { for (const s of sites) { look('this', () => s.getThis()); look('function', () => s.getFunction());
} look('sites', () => sites); return 'mine' } };
const own = new Own('x'); const { stack } = own;
try { null.x } catch (e) { void e.stack; look('e', () => e) }
try { require('fs') } catch (e) { void e.stack; look('e', () => e) }
globalThis.Error = Own; found`},
			want: `[]`,
		},
		{
			name: "CVE-2023-29017 vm2", tries: "errors of asynchronous code that nobody handles, whose stacks the runner asks for",
			script: script{"code": look + `
Error.prepareStackTrace = (e, sites) => { look('sites', () => sites); for (const s of sites) { look('this', () => s.getThis());
look('function', () => s.getFunction()); } if (found.length > 0) throw new TypeError('reached'); return 'no stack' };
(async function aa() { eval('1=1') })();`},
			want: `1000 SyntaxError`,
		},
		{
			name: "CVE-2023-29199 vm2", tries: "an error whose name is a Symbol or an object, which breaks those who look at it",
			script: script{"code": look + `
class Bad extends Error { get name() { throw new RangeError('from name') } get message() { const f = () => f();
f() } get stack() { return { toString() { throw 1 } } } }
const error = new Error('x'); error.name = Symbol('mine');
try { error.stack } catch (e) { look('symbol', () => e) }
try { throw new Bad() } catch (e) { try { console.log(e) } catch (f) { look('console', () => f) } }
if (found.length > 0) throw new TypeError('reached'); throw new Bad()`},
			want: `1000 Error`,
		},
		{
			name: "CVE-2023-30547 vm2", tries: "a thrown Proxy whose getPrototypeOf trap throws, so that something of the runner's is caught",
			script: script{"code": look + `
const proxy = new Proxy({}, { getPrototypeOf() { throw { constructor: { constructor: null } } } });
try { throw proxy } catch (e) { look('caught', () => e) }
try { e instanceof Error } catch (e) { look('instanceof', () => e) }
try { console.log(proxy) } catch (e) { look('console', () => e) }
if (found.length > 0) throw new TypeError('reached'); throw proxy`},
			want: `1000 Error`,
		},
		{
			name: "CVE-2023-37466 vm2", tries: "Promise's species, by which an async function hands a rejection of the runner's to a class of the script's",
			script: script{"code": look + `
class Mine extends Promise { static get [Symbol.species]() { return function (executor) { executor((v) => look('value', () => v), (e) => look('error', () => e));
} } }
const p = (async () => { const e = new Error(); e.name = Symbol(); return e.stack })();
p.constructor = Mine;
try { p.then((v) => look('then', () => v)) } catch (e) { look('e', () => e) }
const i = import('nope'); i.constructor = Mine; try { i.catch((e) => look('import', () => e)) } catch (e) { look('e', () => e) }
new Promise((done) => setTimeout(() => done(found), 50))`},
			want: `[]`,
		},
		{
			name: "CVE-2026-22709 vm2", tries: "then and catch of promises that async functions give, which are not those of the sandbox's Promise",
			script: script{"code": look + `
const p = (async () => 1)(); look('own', () => p); look('then', () => Object.getPrototypeOf(p).then);
async function f() { await import('nope') }
f().catch((e) => { look('e', () => e); return f().then(null, (e) => { look('f', () => e); return found }) })`},
			want: `[]`,
		},
		{
			name: "CVE-2026-45411 vm2", tries: "yield* in an async generator, whose return awaits a thenable that throws",
			script: script{"code": look + `
async function* inner() { yield 1 }
async function* outer() { try { yield* inner() } catch (e) { look('e', () => e) } }
(async () => {
  const g = outer(); await g.next();
  await g.return({ then(r, j) { look('r', () => r); look('j', () => j); const deep = () => deep(); deep() } }).catch((e) => look('caught', () => e));
  return found;
})()`},
			want: `[]`,
		},
		{
			name: "CVE-2026-47210 vm2", tries: "promises that WebAssembly makes (JSPI), whose prototype is of the realm outside",
			script: script{"code": look + `
const bytes = new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,2,7,1,1,109,1,102,0,0,3,2,1,0,7,5,1,1,103,0,1,10,6,1,4,0,16,0,11]);
(async () => {
  if (typeof WebAssembly.promising !== 'function') return [];
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { f: new WebAssembly.Suspending(() => Promise.reject(new Error('x'))) } });
  const p = WebAssembly.promising(exports.g)();
  look('p', () => p); look('proto', () => Object.getPrototypeOf(p)); look('promising', () => WebAssembly.promising);
  await p.finally(() => {}).catch((e) => look('e', () => e));
  for (const get of [WebAssembly.compile(bytes), WebAssembly.instantiate(new Uint8Array(3)).catch((e) => e)]) { look('wasm', () => get);
const it = await get; look('it', () => it) }
  return found;
})()`},
			want: `[]`,
		},
		{
			name: "CVE-2026-44008 vm2", tries: "getters on Array.prototype that see arrays of the runner",
			script: script{"code": look + `
for (const key of [0, 1, 2, 'constructor']) Object.defineProperty(Array.prototype, key, { get() { look('get', () => this);
return undefined }, set(v) { look('set', () => this); look('v', () => v);
Object.defineProperty(this, key, { value: v, writable: true, enumerable: true, configurable: true }) }, configurable: true });
console.log([, 1], 'x'); try { require('fs') } catch {}
delete Array.prototype.constructor; for (const key of [0, 1, 2]) delete Array.prototype[key];
Object.values(found)`},
			want: `[]`,
		},
		{
			name: "CVE-2026-44001 vm2", tries: "ending the runner by a rejection that nobody handles, of its own and of no Error at all",
			script: script{"code": `new Promise((_, no) => no({ get stack() { throw new Proxy({}, { get() { throw 1 } }) } })); new Promise(() => {})`},
			want:   `1000 Error`,
		},
		{
			name: "CVE-2026-47140 vm2", tries: "built-ins that a list of forbidden ones forgets",
			script: script{"code": `
const names = ['process', 'inspector', 'inspector/promises', 'module', 'worker_threads', 'cluster', 'vm', 'repl', 'v8', 'wasi', 'sqlite', 'sea',
'test', 'test/reporters', 'trace_events', 'diagnostics_channel', 'async_hooks', 'perf_hooks', 'fs', 'fs/promises', 'child_process', 'os', 'tty',
'dgram', 'dns', 'dns/promises', 'net', 'tls', 'http', 'https', 'http2', 'readline', 'readline/promises', 'domain', 'constants', 'sys', '_http_agent',
'_tls_wrap', '_stream_wrap', 'path/posix/../fs'];
const got = [];
for (const name of names) for (const prefix of ['', 'node:']) { try { require(prefix + name);
got.push(prefix + name) } catch (e) { if (e.code !== 'MODULE_NOT_FOUND') got.push(name + ' ' + e.code) } }
Promise.all(names.map((name) => import('node:' + name).then(() => got.push('import ' + name), () => {}))).then(() => got)`},
			want: `[]`,
		},
		{
			name: "CVE-2025-68613 n8n", tries: "an expression's way to the program that evaluates it: this.process.mainModule.require",
			script: script{"code": `(function () { const found = [];
for (const get of [() => this.process.mainModule.require, () => process.mainModule, () => require.main.require, () => module.parent.require,
() => require.cache, () => require.extensions, () => globalThis.process]) { try { const it = get(); if (it) found.push(String(get)) } catch {} }
return found }).call(this)`},
			want: `[]`,
		},
	}}
}
