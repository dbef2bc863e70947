package attack

// look is put in front of scripts that want out of their context: it notes by which ways they get to the
// Function of another realm, one in which there is a process.
const look = `
const found = [];
const look = (name, get) => {
  try {
    const it = get();
    const F = typeof it === 'function' && it.name === 'Function' ? it : it.constructor.constructor;
    if (F('return typeof process')() !== 'undefined') found.push(name);
  } catch {}
};
`

// Ways out of a context by what is in it before a script asks for anything, and by what is told to it.
func realmTheme() theme {
	return theme{name: "realm", attacks: []attack{
		{
			name: "constructors", tries: "the Function that made the global object and all that hangs on it",
			script: script{"code": look + `
look('this', () => this);
look('globalThis', () => Object.getPrototypeOf(globalThis));
for (const name of Object.getOwnPropertyNames(globalThis)) {
  const { value } = Object.getOwnPropertyDescriptor(globalThis, name); // behind getters is what the worker lends
  if (value === undefined || value === null || value === globalThis) continue;
  look(name, () => value);
  for (const below of Reflect.ownKeys(Object(value))) look(name + '.' + String(below), () => Object.getOwnPropertyDescriptor(value, below).value);
}
found`},
			want: `[]`,
		},
		{
			name: "callers", tries: "who called the script, by arguments.callee.caller",
			script: script{"code": look + `
function f() { let c = f.caller ?? arguments.callee.caller; for (let i = 0; c && i < 50; i++) { look('caller' + i, () => c); c = c.caller; } return 1 }
f(); [1].map(f); JSON.parse('[1]', f); JSON.stringify({ toJSON: f });
function main(cb) { let c = arguments.callee.caller; while (c) { look('main', () => c); c = c.caller; } look('cb', () => cb); cb(found) }`, "call": "main"},
			want: `[]`,
		},
		{
			name: "errors of the agent's", tries: "errors of require, import, timers and console that were made outside",
			script: script{"code": look + `
const thrown = (f) => { try { f() } catch (e) { return e } };
look('require', () => thrown(() => require('nope')));
look('require fs', () => thrown(() => require('fs')));
look('require 1', () => thrown(() => require(1)));
look('require ..', () => thrown(() => require('../../etc/passwd')));
look('timer', () => thrown(() => setTimeout(1)));
look('console', () => thrown(() => console.log({ get [Symbol.toStringTag]() { throw new Error('mine') } })));
look('eval', () => thrown(() => eval('(')));
(async () => {
  for (const name of ['fs', 'nope', './x', 'file:///etc/passwd', 'data:text/javascript,1', {}, null, { toString() { throw 1 } }]) {
    const e = await import(name).catch((e) => e);
    look('import', () => e);
    look('import stack', () => e.stack);
  }
  return found;
})()`},
			want: `[]`,
		},
		{
			name: "promises of import()", tries: "the promise that import() gives, and what settles it",
			script: script{"files": script{"index.mjs": look + `
const promise = import('./thenable.mjs');
look('promise', () => promise);
look('then', () => promise.then);
const { taken } = await import('./taken.mjs');
await promise.catch(() => {});
for (const each of taken) look('settler', () => each);
export default [found, taken.length]`,
				"thenable.mjs": `import { taken } from './taken.mjs'; export function then(resolve, reject) { taken.push(resolve, reject); resolve({}) }`,
				"taken.mjs":    `export const taken = []`}},
			want: `[[],2]`,
		},
		{
			name: "call sites", tries: "receivers and functions that Error.prepareStackTrace is told of",
			script: script{"code": look + `
let seen = 0;
Error.prepareStackTrace = (error, sites) => {
  look('sites', () => sites); look('error', () => error); look('site', () => sites[0]);
  for (const site of sites) for (const get of ['getThis', 'getFunction', 'getTypeName', 'getEvalOrigin']) { const it = site[get]();
if (it) look(get, () => it); }
  seen++;
  return sites;
};
const stack = (f) => { try { f() } catch (e) { return e.stack } };
stack(() => { throw new Error('mine') });
stack(() => null.x);
stack(() => require('fs'));
stack(() => JSON.parse('{'));
stack(() => console.log({ get [Symbol.toStringTag]() { throw new Error('in inspect') } }));
[1].map(() => new Error('mapped').stack);
function main() { look('main', () => new Error('x').stack[0]); return [found, seen > 5] }`, "call": "main"},
			want: `[[],true]`,
		},
		{
			name: "getters of a value", tries: "who reads a value: getters, toJSON and proxies in it that look around",
			script: script{"code": look + `
function peek() { look('this', () => this); for (const each of arguments) look('argument', () => each);
try { for (let c = peek.caller; c; c = c.caller) look('caller', () => c) } catch {} return found.length }
({ get a() { return peek.call(this, ...arguments) }, b: { toJSON: peek }, c: new Proxy({ x: 1 }, { get(target, key, self) { peek(key, self);
return target[key] }, ownKeys(target) { peek(target); return Reflect.ownKeys(target) } }) })`},
			want: `{"a":0,"b":0,"c":{"x":1}}`,
		},
		{
			name: "traps of an error", tries: "who reads what was thrown: each trap of a Proxy",
			script: script{"code": look + `
const seen = [];
const handler = new Proxy({}, { get: (_, trap) => function (...args) {
  look(trap, () => this); for (const each of args) look(trap, () => each); let c; try { c = arguments.callee.caller } catch {}
while (c) { look(trap, () => c); c = c.caller; }
  seen.push(trap);
  if (found.length > 0) throw { name: 'Reached' };
  if (args[1] === 'name') return found.length === 0 && seen.length > 2 ? 'Contained' : 'Reached';
  return Reflect[trap](...args);
} });
throw new Proxy(new Error('x'), handler)`},
			want: `1000 Contained`,
		},
		{
			name: "callbacks and timers", tries: "what resolves host.NAME, what runs timers and what their receivers are",
			script: script{"code": look + `
const RealThen = Promise.prototype.then;
Promise.prototype.then = function (...args) { look('receiver', () => this); for (const each of args) look('settler', () => each);
return RealThen.apply(this, args) };
look('host', () => host); look('host.echo', () => host.echo);
const timer = setTimeout(function () { look('this', () => this); let c = arguments.callee.caller; while (c) { look('caller', () => c); c = c.caller; } }, 1);
look('timer', () => timer); look('timer id', () => timer[Symbol.toPrimitive]);
setImmediate(function () { look('immediate', () => this) });
queueMicrotask(function () { look('microtask', () => this) });
(async () => {
  const p = host.echo({ a: [1] });
  look('promise', () => p);
  const v = await p; look('value', () => v); look('below', () => v.a);
  look('error', await host.no?.().catch((e) => e));
  await new Promise((done) => setTimeout(done, 20));
  return [found, v];
})()`, "callbacks": []string{"echo"}},
			want:   `[[],{"a":[1]}]`,
			before: echoes,
		},
		{
			name: "what a client sends", tries: "the realm of globals, args, secrets and modules' metadata",
			script: script{"code": look + `
look('require', () => require); look('new require', () => new require('path'));
function f(a, b) { look('args', () => arguments); look('a', () => a); look('b', () => b.c); look('g', () => g.h); look('secrets', () => secrets); return found }`,
				"call": "f", "args": []any{[]int{1}, script{"c": script{}}}, "globals": script{"g": script{"h": []any{}}}, "secrets": script{"s": "a-secret-of-this-call"}},
			want: `["new require"]`, // that is what is lent, see workerTheme
		},
		{
			name: "import.meta and require", tries: "the realm of what a module finds",
			script: script{"files": script{
				"index.mjs": look + `import { f } from './f.cjs'; look('meta', () => import.meta); look('resolve', () => import.meta.resolve);
look('resolved', () => { try { import.meta.resolve('nope') } catch (e) { return e } });
import * as ns from './f.cjs'; look('namespace', () => ns.default); export default () => [found, f()]`,
				"f.cjs": look + `look('module', () => module); look('require', () => require); look('resolve', () => require.resolve); look('exports', () => exports);
look('error', () => { try { require.resolve('nope') } catch (e) { return e } }); look('main', () => require.main); exports.f = () => found`}},
			want: `[[],[]]`,
		},
	}}
}
