'use strict';
// Outcomes of scripts. Each call has exactly one.

const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { start, inFunction } = require('./link.js');

let agent;
before(async () => { agent = await start(); });
after(() => agent.close());

const without = ({ time, ...rest }) => rest;

const values = [
  ['no value', inFunction('cb()'), null],
  ['the first argument', inFunction('cb(1, 2, 3)'), 1],
  ['zero', inFunction('cb(0)'), 0],
  ['the first cb', inFunction('cb(1); cb(2)'), 1],
  ['a lexical name', { code: 'const f = (cb) => cb(7)', call: 'f' }, 7],
  ['a dotted path, with its this', { code: 'const o = {a: {n: 4, f(cb) { cb(this.n) }}}', call: 'o.a.f' }, 4],
  ['the last expression', { code: 'let x = 2; x * 21' }, 42],
  ['a promise as last expression', { code: 'Promise.resolve({a: 1})' }, { a: 1 }],
  ['an async function', { code: 'async function f() { return 6 }', call: 'f' }, 6],
  ['an async function that calls back later', { code: 'async function f(cb) { setTimeout(() => cb(8), 2) }', call: 'f' }, 8],
  ['an async function without parameters and value', { code: 'async function f() {}', call: 'f' }, null],
  ['args', { code: 'const f = (a, b) => a + b', call: 'f', args: [1, 2] }, 3],
  ['a caller', { code: 'const f = (x, cb) => cb(x.n)', call: 'f', caller: 'function(callee, cb) { callee({n: 5}, cb) }' }, 5],
  ['a caller that ends in ;', { code: 'const f = (x, cb) => cb(x.n)', call: 'f', caller: 'function(callee, cb) { callee({n: 5}, cb) };' }, 5],
  ['a caller with args', { code: 'const f = (x) => x', call: 'f', args: [9], caller: '(callee, cb, args) => cb(callee(...args))' }, 9],
  ['an async caller without parameters', { code: 'const f = 1', caller: 'async () => {}', args: [] }, null],
  ['globals of the own realm', { code: 'a instanceof Array && ({}).constructor === o.constructor', globals: { a: [], o: {} } }, true],
  ['__proto__ as a global', { code: 'Object.hasOwn(globalThis, "__proto__")', globals: JSON.parse('{"__proto__": 1}') }, true],
];
for (const [name, script, want] of values) {
  test(`value: ${name}`, async () => assert.deepEqual(without(await agent.run(script)), { value: want }));
}

const failures = [
  ['an error', inFunction('throw new TypeError("x")'), { code: 1000, name: 'TypeError', message: 'x', stack: 'TypeError: x\n    at f (script.js:1:24)' }],
  ['a string', inFunction('throw "boom"'), { code: 1000, name: 'boom' }],
  ['null', inFunction('throw null'), { code: 1000, name: 'null' }],
  ['a symbol', inFunction('throw Symbol("s")'), { code: 1000, name: 'Symbol(s)' }],
  ['getters that throw', inFunction('throw { get name() { throw 1 }, get message() { throw 2 }, get stack() { throw 3 } }'),
    { code: 1000, name: 'Error', message: '{ name: [Getter], message: [Getter], stack: [Getter] }' }],
  ['a proxy that throws', inFunction('throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } })'), { code: 1000, name: 'Error', message: 'Proxy({})' }],
  ['a name that is no function', { code: 'const f = 1', call: 'f' }, { code: 1001 }],
  ['a name that is none', { code: '', call: 'for' }, { code: 1001 }],
  ['an empty name', { code: '', call: '' }, { code: 1001 }],
  ['a path that ends early', { code: 'const o = {}', call: 'o.a.b' }, { code: 1001 }],
];
for (const [name, script, want] of failures) {
  test(`failure: ${name}`, async () => assert.deepEqual(await agent.run(script), want));
}

for (const [name, body] of [
  ['in a timer', 'setTimeout(() => { throw new RangeError("t") }, 1)'],
  ['in an immediate', 'setImmediate(() => { throw new RangeError("t") })'],
  ['in a microtask', 'queueMicrotask(() => { throw new RangeError("t") })'],
  ['in a promise returned', 'return Promise.reject(new RangeError("t"))'],
  ['in a promise that nobody handles', 'Promise.reject(new RangeError("t"))'],
  ['in a callback of a module', 'require("crypto").randomBytes(1, () => { throw new RangeError("t") })'],
]) {
  test(`failure: an error ${name}`, async () => {
    const { code, name, message } = await agent.run(inFunction(body));
    assert.deepEqual({ code, name, message }, { code: 1000, name: 'RangeError', message: 't' });
  });
}

for (const [name, body] of [['a circle', 'const o = {}; o.o = o; cb(o)'], ['a BigInt', 'cb(1n)'], ['a toJSON that throws', 'cb({ toJSON() { throw new Error("no") } })']]) {
  test(`not serializable: ${name}`, async () => assert.equal((await agent.run(inFunction(body))).code, 1008));
}

test('a stack has frames of the script only', async () => {
  const { stack } = await agent.run({ code: 'function g() { JSON.parse("{") }\nfunction f() { g() }', call: 'f' });
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  assert.deepEqual(frames, ['    at JSON.parse (<anonymous>)', '    at g (script.js:1:21)', '    at f (script.js:2:16)']);
});

test('a stack has no source lines before it', async () => {
  assert.equal((await agent.run({ code: 'throw new TypeError("x")' })).stack, 'TypeError: x\n    at script.js:1:7');
  assert.match((await agent.run({ code: 'require("fs")' })).stack, /^Error: Cannot find module 'fs'.*\n    at script.js:1:1$/);
});

test('no call has two outcomes', () => assert.deepEqual(agent.strays, []));
