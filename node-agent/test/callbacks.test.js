'use strict';
// Callbacks: host.NAME(...args) of a script calls its client while the script runs.

const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { KIND } = require('../shared/frames.js');
const { start, inFunction } = require('./link.js');

const MOST = 1000;

let agent;
before(async () => { agent = await start(); });
after(() => agent.close());

const handlers = {
  echo: (...args) => args,
  later: (ms, value) => new Promise((resolve) => setTimeout(resolve, ms, value)),
  nothing: () => null,
  fail: () => { throw Object.assign(new Error('no such user'), { code: 5, data: { id: [1] } }); },
};
const run = (code, options) => agent.run({ code }, { handlers, ...options });

for (const [name, code, want] of [
  ['values', 'host.echo(1, "é", null, { a: [true] })', [1, 'é', null, { a: [true] }]],
  ['no arguments', 'host.echo()', []],
  ['no value', 'host.nothing()', null],
  ['what has no JSON form of its own', 'host.echo(undefined, () => 1, Symbol("s"), NaN, new Date(0))', [null, null, null, null, '1970-01-01T00:00:00.000Z']],
  ['__proto__', 'host.echo(JSON.parse(`{"__proto__": 1}`)).then(([o]) => [Object.hasOwn(o, "__proto__"), Object.getPrototypeOf(o) === Object.prototype])', [true, true]],
  ['one behind the other', '(async () => { const [n] = await host.echo(1); return (await host.echo(n + 1))[0] })()', 2],
  ['nested', 'host.echo(1).then(([n]) => host.echo(n + 1).then(([m]) => host.echo(n, m)))', [1, 2]],
  ['in parallel', 'Promise.all([host.later(60, "a"), host.later(1, "b"), host.later(30, "c")])', ['a', 'b', 'c']],
  ['with await at the top level', 'const [n] = await host.echo(20); n + 1', 21],
  ['objects of the own realm', 'host.echo({}).then(([o], p = host.echo()) => [o instanceof Object, p instanceof Promise, p.constructor === Promise])', [true, true, true]],
  ['names', '[Object.keys(host), host.echo.name, typeof host.other, host instanceof Object, host.echo.constructor === Function]', [['echo', 'later', 'nothing', 'fail'], 'echo', 'undefined', true, true]],
  ['an error', 'host.fail().catch((e) => [e instanceof Error, e.message, e.code, e.data, e.data instanceof Object])', [true, 'no such user', 5, { id: [1] }, true]],
  ['a circle', 'const o = {}; o.o = o; host.echo(o).catch((e) => e instanceof TypeError)', true],
  ['a BigInt', 'host.echo(1n).catch((e) => e instanceof TypeError)', true],
  ['a toJSON that throws', 'host.echo({ toJSON() { throw new RangeError("no") } }).catch((e) => e.message)', 'no'],
  ['an array that is none', 'Array.prototype.toJSON = () => 1; host.echo().catch((e) => e instanceof TypeError)', true],
  ['a realm that was broken', 'JSON.parse = JSON.stringify = Promise.prototype.then = null; (async () => await host.echo(1))()', [1]],
]) {
  test(`callback: ${name}`, async () => assert.deepEqual((await run(code)).value, want));
}

test('a script has host only with callbacks, in place of a global of that name', async () => {
  assert.equal((await agent.run({ code: 'typeof host' })).value, 'undefined');
  assert.equal((await agent.run({ code: 'typeof host' }, { callbacks: [] })).value, 'undefined');
  assert.equal((await agent.run({ code: 'typeof host.echo', globals: { host: 1 } }, { handlers })).value, 'function');
  assert.deepEqual((await agent.run({ code: 'Object.keys(host)' }, { callbacks: ['__proto__', 'constructor', 'a b', ''] })).value, ['__proto__', 'constructor', 'a b', '']);
});

test('an uncaught error of a callback has the stack of the call of host.NAME', async () => {
  const { code, name, message, stack } = await run('function f() { return host.fail() }\nf()');
  assert.deepEqual({ code, name, message }, { code: 1000, name: 'Error', message: 'no such user' });
  assert.deepEqual(stack.split('\n').slice(0, 2), ['Error: no such user', '    at f (script.js:1:28)']);
});

test('callbacks of a call are numbered from 1, and their arguments are copied at once', async () => {
  const call = agent.start({ code: 'const o = { n: 1 }; host.a(o); o.n = 2; Promise.all([host.b(o), host.a()])' }, { handlers: { a: () => 1, b: () => 2 } });
  assert.deepEqual((await call.outcome).value, [2, 1]);
  assert.deepEqual(call.callbacks, [{ callback: 1, name: 'a', args: [{ n: 1 }] }, { callback: 2, name: 'b', args: [{ n: 2 }] }, { callback: 3, name: 'a', args: [] }]);
  const other = agent.start({ code: 'host.a()' }, { handlers: { a: () => 1 } });
  await other.outcome;
  assert.equal(other.callbacks[0].callback, 1);
});

test('a pending callback uses no CPU time and does not block other calls', async () => {
  const waiting = [1, 2, 3].map(() => agent.run({ code: 'host.later(400, 1)' }, { handlers, timeout: 5000, cpu: 100 }));
  assert.equal((await agent.run({ code: '1' })).value, 1);
  assert.deepEqual((await Promise.all(waiting)).map(({ value }) => value), [1, 1, 1]);
});

test('a callback without a reply ends in a timeout, and its worker is free at once', async () => {
  const one = await start({ concurrency: 1, workers: 1 });
  const [never, next] = await Promise.all([one.run({ code: 'host.never()' }, { callbacks: ['never'], timeout: 100 }), one.run({ code: '1' })]);
  assert.deepEqual(never, { code: 1002, limit: 'wall' });
  assert.equal(next.value, 1);
  await one.close();
});

test('a cancel while a callback is pending, and replies that come too late', async () => {
  const call = agent.start({ code: 'host.never()' }, { callbacks: ['never'] });
  const { callback } = await call.nextCallback();
  agent.send(KIND.cancel, { id: call.id });
  assert.deepEqual(await call.outcome, { code: 1003 });
  agent.send(KIND.reply, { id: call.id, callback }, '1');
  agent.send(KIND.reply, { id: 999_999, callback }, '1');
  assert.equal((await run('1')).value, 1);
});

test('a second reply, and a reply to a callback that was never sent, are ignored', async () => {
  const call = agent.start({ code: '(async () => [await host.a(), await host.a()])()' }, { callbacks: ['a'] });
  await call.nextCallback();
  for (const callback of [2, 0, -1, 'x', undefined]) agent.send(KIND.reply, { id: call.id, callback }, '"wrong"');
  agent.send(KIND.reply, { id: call.id, callback: 1 }, '"first"');
  agent.send(KIND.reply, { id: call.id, callback: 1 }, '"twice"');
  agent.send(KIND.reply, { id: call.id, callback: 1, error: { message: 'twice' } });
  await call.nextCallback();
  agent.send(KIND.reply, { id: call.id, callback: 1 }, '"twice"');
  agent.send(KIND.reply, { id: call.id, callback: 2 }, '"second"');
  assert.deepEqual((await call.outcome).value, ['first', 'second']);
});

test('a reply of several megabytes', async () => {
  const { value } = await agent.run({ code: 'host.big().then((s) => s.length)' }, { handlers: { big: () => 'x'.repeat(12e6) } });
  assert.equal(value, 12e6);
});

test('ten thousand callbacks at once: those over the bound reject, and the others get their replies', async () => {
  const code = `Promise.all(Array.from({ length: 10_000 }, (_, i) => host.echo(i).then(([n]) => n === i, (e) => e.message)))
    .then((all) => [all.filter((one) => one === true).length, [...new Set(all.slice(${MOST}))]])`;
  const call = agent.start({ code }, { handlers, timeout: 20_000 });
  assert.deepEqual((await call.outcome).value, [MOST, [`host.echo is not allowed: more than ${MOST} callbacks wait for an answer`]]);
  assert.equal(call.callbacks.length, MOST);
});

test('ten thousand callbacks, some at a time', async () => {
  const code = '(async () => { let sum = 0; for (let i = 0; i < 100; i++) sum += (await Promise.all(Array.from({ length: 100 }, (_, j) => host.echo(j)))).length; return sum })()';
  assert.equal((await run(code, { timeout: 20_000 })).value, 10_000);
});

test('arguments over the limit of a result reject, of one callback or of all that are pending', async () => {
  const code = 'const big = "x".repeat(600_000); const length = ([s]) => s.length; const no = (e) => e.message; Promise.all([host.echo(big + big).catch(no), host.echo(big).then(length), host.echo(big).catch(no)]).then(async (all) => [...all, await host.echo(big).then(length)])';
  const no = 'host.echo is not allowed: the arguments of callbacks that wait for an answer have more than 1048576 bytes';
  assert.deepEqual((await run(code)).value, [no, 600_000, no, 600_000]);
});

test('a callback after the outcome of its call is not sent', async () => {
  const call = agent.start(inFunction('cb(1); host.echo(2); setTimeout(() => host.echo(3), 1); queueMicrotask(() => host.echo(4))'), { handlers });
  assert.equal((await call.outcome).value, 1);
  assert.equal((await agent.run(inFunction('setTimeout(() => cb(2), 50)'), { handlers })).value, 2);
  assert.deepEqual(call.callbacks, []);
});

test('in a session each call has its own callbacks', async () => {
  const session = agent.open(1, { code: 'const kept = host.first; let pending = host.never(); await host.first(1)' }, { callbacks: ['first', 'never'], handlers: { first: (n) => n } });
  assert.equal((await session.opened).value, null);
  const pending = 'Promise.race([pending.then(() => "settled"), new Promise((done) => setTimeout(done, 20, "pending"))])';
  assert.equal((await session.run({ code: `typeof host + ${pending}` })).value, 'undefined[object Promise]');
  const call = session.start({ code: `kept().catch((e) => e.message).then(async (no) => [no, Object.keys(host), await host.second(), await ${pending}])` }, { handlers: { second: () => 2 } });
  assert.deepEqual((await call.outcome).value, ['host.first is not allowed: it is not in callbacks', ['second'], 2, 'pending']);
  assert.deepEqual(call.callbacks.map(({ callback, name }) => [callback, name]), [[1, 'second']]);
  assert.deepEqual((await session.run({ code: 'kept(7)' }, { handlers: { first: (n) => n } })).value, 7);
  session.close();
  await session.ended;
});

test('a session with a pending callback is not harmed by other calls', async () => {
  const session = agent.open(2, { code: 'let x = 1' });
  const first = session.start({ code: 'host.wait().then((n) => { x += n })' }, { callbacks: ['wait'] });
  const { callback } = await first.nextCallback();
  const second = session.run({ code: 'x' });
  assert.equal((await run('host.echo(1)')).value[0], 1);
  agent.send(KIND.reply, { id: first.id, callback }, '41');
  await first.outcome;
  assert.equal((await second).value, 42);
  session.close();
});

// A script that has taken over its worker writes frames to the agent.
const forged = (frame, count = 1) => ({ code: `
  const process = require("util").inspect.constructor("return process")();
  const { encode } = process.mainModule.require("../shared/frames.js");
  for (let i = 0; i < ${count}; i++) write(encode(${frame}));
  function write(bytes) {
    for (let at = 0; at < bytes.length;) try { at += process.getBuiltinModule("fs").writeSync(3, bytes, at) } catch (e) { if (e.code !== "EAGAIN") throw e }
  }
  for (;;);` });
for (const [name, frame, count] of [
  ['a name that is not allowed', '11, { name: "other" }, "[]"'],
  ['no name', '11, {}, "[]"'],
  ['no arguments', '11, { name: "a" }'],
  ['more than may wait', '11, { name: "a" }, "[]"', 1001],
  ['arguments that are too long', '11, { name: "a" }, JSON.stringify(["x".repeat(1.1e6)])'],
]) {
  test(`a forged callback costs its own call only: ${name}`, async () => {
    const neighbour = agent.start({ code: 'host.a()' }, { callbacks: ['a'] });
    await neighbour.nextCallback();
    const call = agent.start(forged(frame, count), { callbacks: ['a'], timeout: 20_000 });
    assert.deepEqual(await call.outcome, { code: 1005, started: true });
    assert.ok(call.callbacks.length <= MOST);
    agent.send(KIND.reply, { id: neighbour.id, callback: 1 }, '1');
    assert.equal((await neighbour.outcome).value, 1);
    assert.equal(neighbour.callbacks.length, 1);
  });
}

test('a forged id or number is ignored', async () => {
  const neighbour = agent.start({ code: 'host.a()' }, { callbacks: ['a'] });
  await neighbour.nextCallback();
  const call = agent.start(forged(`11, { id: ${neighbour.id}, callback: 77, name: "a" }, "[1]"`), { callbacks: ['a'], timeout: 1000 });
  assert.deepEqual(await call.nextCallback(), { callback: 1, name: 'a', args: [1] });
  assert.equal((await call.outcome).code, 1002);
  assert.equal(neighbour.callbacks.length, 1);
  agent.send(KIND.cancel, { id: neighbour.id });
  await neighbour.outcome;
});

test('a call without callbacks sends none', async () => {
  assert.deepEqual(await agent.run(forged('11, { name: "a" }, "[]"'), { timeout: 20_000 }), { code: 1005, started: true });
});

test('every frame was about a known call', () => assert.deepEqual(agent.strays, []));
