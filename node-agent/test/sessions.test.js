'use strict';
// Sessions: contexts that live on between calls, and how they end.

const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { KIND } = require('../shared/frames.js');
const { start, inFunction } = require('./link.js');

let agent;
let last = 0;
before(async () => { agent = await start(); });
after(() => agent.close());

// open returns a session that is open.
async function open(script, options) {
  const session = agent.open(++last, script, options);
  const { value, ...rest } = await session.opened;
  assert.equal(value, null, JSON.stringify(rest));
  return session;
}

// says returns the value of an outcome, or a list of its failure's fields.
const says = ({ value, code, name, message, limit }) => (code === undefined ? value : [code, ...[name, message, limit].filter((text) => text !== undefined)]);

const pid = 'require("util").inspect.constructor("return process.pid")()';

for (const [name, opening, ...lines] of [
  ['completion values', 'let x = 2', ['x * 21', 42], ['x = 3; x', 3], ['x * 21', 63], ['let y = x', null], ['y', 3]],
  ['functions', 'function f(a) { return a + n }; var n = 1', ['n = 5; f(1)', 6], ['f = () => "new"', null], ['f()', 'new']],
  ['const declared again', 'const x = 1', ['const x = 2', [1000, 'SyntaxError', "Identifier 'x' has already been declared"]], ['x', 1]],
  ['an error', 'let n = 0', ['n = 1; throw new RangeError("no")', [1000, 'RangeError', 'no']], ['n', 1]],
  ['what does not parse', '', ['let 1', [1000, 'SyntaxError', 'Unexpected number']], ['1', 1]],
  ['a promise', 'const later = (x) => Promise.resolve(x)', ['later(3)', 3]],
  ['values without JSON form', '1n', ['2n', [1008, 'TypeError', 'Do not know how to serialize a BigInt']], ['3', 3]],
  ['await at the top level', 'const a = await Promise.resolve(2); let b = 1; function sum() { return a + b }',
    ['a * 21', 42], ['b = 5; sum()', 7], ['await sum() + 1', 8], ['const [c, { d: e }] = await Promise.all([1, { d: 2 }])', null], ['[c, e]', [1, 2]],
    ['a = 1', [1000, 'TypeError', 'Assignment to constant variable.']]],
  ['names before and behind await', 'const x = 1; var v = 1; function f() { return 1 }', ['const x = await 2', [1000, 'SyntaxError', "Identifier 'x' has already been declared"]], ['x', 1],
    ['var v = await 2; async function f() { return 2 }', null], ['[v, typeof f()]', [2, 'object']]],
  ['await that fails', '', ['const x = await Promise.reject(new RangeError("no"))', [1000, 'RangeError', 'no']], ['const x = await 1', null], ['x', 1]],
  ['a line with import', '', ['import { basename, sep } from "path"; import * as all from "path"', null], ['basename("/a/b") + sep + typeof all.join', 'b/function'], ['(await import("path")).sep', '/']],
  ['modules that were loaded', 'require("events").left = 1', ['require("events").left', 1]],
  ['what only a worker of its own may keep', 'Buffer.left = 1; new AbortController().signal', ['Buffer.left', 1]],
]) {
  test(`state: ${name}`, async () => {
    const session = await open({ code: opening });
    for (const [code, want] of lines) assert.deepEqual(says(await session.run({ code })), want, code);
    session.close();
    await session.ended;
  });
}

for (const [name, opening, ...calls] of [
  ['names of scripts', { code: 'let n = 0; const o = { n: 4, f(cb) { cb(this.n) } }; function add(a, b) { return n += a + b }' },
    [{ call: 'add', args: [1, 2] }, 3], [{ call: 'add', args: [1, 2] }, 6], [{ call: 'o.f' }, 4], [{ call: 'missing' }, [1001]], [{ call: 'n' }, [1001]],
    [{ code: 'function late() { return add(0, 1) }', call: 'late' }, 7], [{ call: 'late' }, 8],
    [{ call: 'add', caller: '(callee, cb, args) => cb(callee(...args) * 2)', args: [1, 1] }, 20], [{}, null]],
  ['names of a module that is code', { code: 'let n = await 1; export { next as step }; function next() { return ++n }; class Own {}' },
    [{ call: 'next' }, 2], [{ call: 'step' }, 3], [{ code: 'n' }, 3], [{ code: 'await 0; export const mine = () => n', call: 'mine' }, 3], [{ call: 'mine' }, 3]],
  ['exports of a folder', { files: { 'index.mjs': 'import { n } from "./lib/n.mjs"; let count = n; export const next = () => ++count; export default (cb) => cb("default"); export const escape = () => "own"', 'lib/n.mjs': 'export const n = 5' }, file: 'index.mjs' },
    [{ call: 'next' }, 6], [{ call: 'next', args: [] }, 7], [{ call: 'default' }, 'default'], [{}, 'default'], [{ call: 'escape' }, 'own'], [{ call: 'missing' }, [1001]],
    [{ code: 'const own = 1; typeof next' }, 'undefined'], [{ code: 'import("./lib/n.mjs").then((m) => m.n + own)' }, 6]],
  ['exports of CommonJS', { files: { 'index.js': 'let n = 0; exports.next = () => ++n; exports.deep = { f: () => require("./m").left }', 'm.js': 'exports.left = 1' }, file: 'index.js' },
    [{ call: 'next' }, 1], [{ call: 'next' }, 2], [{ code: 'require("./m").left = 9', }, 9], [{ call: 'deep.f' }, 9]],
  ['typescript', { code: 'let n: number = 1; function f(a: number): number { return a + n }', language: 'typescript' },
    [{ code: 'const m: number = f(1); m' }, 2], [{ call: 'f', args: [4] }, 5]],
  ['globals and secrets', { code: 'var kept = input.n', globals: { input: { n: 1 } }, secrets: { key: 'k' } }, [{ code: '[kept, ++input.n, secrets.key]' }, [1, 2, 'k']], [{ code: 'input.n' }, 2]],
]) {
  test(`calls: ${name}`, async () => {
    const session = await open(opening);
    for (const [script, want] of calls) assert.deepEqual(says(await session.run(script)), want, JSON.stringify(script));
    session.close();
    await session.ended;
  });
}

test('a session that is opened with a bundle', async () => {
  agent.send(KIND.bundle, { bundle: 'b' }, JSON.stringify({ 'index.js': 'let n = 0; exports.next = () => ++n' }));
  const session = await open({ file: 'index.js' }, { bundle: 'b' });
  assert.equal((await session.run({ call: 'next' })).value, 1);
  assert.equal((await session.run({ call: 'next' })).value, 2);
  session.close();
});

test('calls run one after the other, in order', async () => {
  const session = await open({ code: 'const seen = []; const f = (n, ms) => new Promise((done) => setTimeout(() => { seen.push(n); done([...seen]) }, ms))' });
  const outcomes = await Promise.all([[1, 30], [2, 10], [3, 0]].map((args) => session.run({ call: 'f', args })));
  assert.deepEqual(outcomes.map(({ value }) => value), [[1], [1, 2], [1, 2, 3]]);
  session.close();
});

test('a call that waits for its session to open', async () => {
  const session = agent.open(++last, { code: 'const x = await new Promise((done) => setTimeout(done, 50, 1))' });
  assert.deepEqual([(await session.run({ code: 'x' })).value, (await session.opened).value], [1, null]);
  session.close();
});

test('each call has its own console and time', async () => {
  const session = await open({ code: 'console.log("opening")' });
  assert.deepEqual((await session.run({ code: 'console.log("a")' })).console, ['a']);
  const { console: lines, cpu } = await session.run({ code: 'for (let i = 0; i < 50; i++) console.log(i)' }, { stats: true });
  assert.equal(lines.length, 21);
  assert.ok(cpu >= 0);
  assert.deepEqual((await session.run({ code: 'console.log("b")' })).console, ['b']);
  session.close();
});

test('timers stop with their call, and clearing one does not clear a timer of a later call', async () => {
  const session = await open({ code: 'let n = 0; var left = setInterval(() => n++, 1)' });
  assert.equal((await session.run(inFunction('setTimeout(() => cb(n), 50)'))).value, 0);
  assert.equal((await session.run({ code: 'new Promise((done) => { setTimeout(done, 10, "fired"); clearTimeout(left) })' })).value, 'fired');
  session.close();
});

test('an earlier call cannot complete a later one', async () => {
  const session = await open({ code: 'let open, late; const gate = new Promise((done) => { open = done })' });
  const first = { code: 'async function first(cb) { late = cb; cb(1); await gate; return "old" }', call: 'first' };
  assert.equal((await session.run(first)).value, 1);
  assert.equal((await session.run(inFunction('open(); late("older"); setTimeout(() => cb("new"), 20)'))).value, 'new');
  session.close();
});

test('a session pins its worker, and other calls run on other workers', async () => {
  const sessions = await Promise.all([1, 2, 3].map((n) => open({ code: `Buffer.left = ${n}; const pid = ${pid}` })));
  const [pids, plain] = await Promise.all([
    Promise.all(sessions.map((session) => session.run({ code: '[pid, Buffer.left]' }))),
    Promise.all(Array.from({ length: 20 }, () => agent.run({ code: `[${pid}, typeof Buffer.left]` }))),
  ]);
  const own = pids.map(({ value }) => value[0]);
  assert.equal(new Set(own).size, 3);
  assert.deepEqual(pids.map(({ value }) => value[1]), [1, 2, 3]);
  for (const { value } of plain) assert.ok(!own.includes(value[0]) && value[1] === 'undefined', value);
  const slow = sessions.map((session) => session.run({ code: 'new Promise((done) => setTimeout(done, 300, "slow"))' }));
  assert.equal((await agent.run({ code: '1' })).value, 1);
  assert.deepEqual((await Promise.all(slow)).map(({ value }) => value), ['slow', 'slow', 'slow']);
  for (const session of sessions) session.close();
});

const escape = 'const process = require("util").inspect.constructor("return process")();';
for (const [name, code, options, want] of [
  ['a loop for ever', 'for (;;);', { timeout: 200 }, { code: 1002, limit: 'wall' }],
  ['too much CPU', 'for (;;);', { timeout: 5000, cpu: 100 }, { code: 1002, limit: 'cpu' }],
  ['a promise that never settles', 'new Promise(() => {})', { timeout: 100 }, { code: 1002, limit: 'wall' }],
  ['out of memory', 'const a = []; for (;;) a.push(a.length + 0.5)', { timeout: 20_000 }, { code: 1004, limit: 'memory' }],
  ['a crash', `${escape} process.exit(3)`, {}, { code: 1005, started: true }],
  ['a frame that is none', `${escape} process.getBuiltinModule("fs").writeSync(3, "GET / HTTP/1.1"); for (;;);`, {}, { code: 1005, started: true }],
]) {
  test(`the end of a session: ${name}`, async () => {
    const neighbour = await open({ code: 'let x = 1' });
    const session = await open({ code: 'let x = 1' });
    const running = session.start({ code }, options);
    const waiting = [session.start({ code: 'x' }), session.start({ code: 'x' })];
    const outcome = await running.outcome;
    assert.deepEqual({ ...outcome, console: undefined }, { ...want, console: undefined });
    for (const { outcome: behind } of waiting) assert.deepEqual(await behind, { code: 1009 });
    await session.ended;
    assert.deepEqual(agent.ends.slice(-4), [`call ${running.id}`, ...waiting.map(({ id }) => `call ${id}`), `session ${last}`]);
    assert.deepEqual(await session.run({ code: 'x' }), { code: 1009 });
    assert.equal((await neighbour.run({ code: 'x' })).value, 1);
    neighbour.close();
  });
}

test('a script that runs on after its reply ends the session', async () => {
  const session = await open({ code: '' });
  const [outcome, behind] = await Promise.all([session.run(inFunction('cb(1); for (;;);')), session.run({ code: '1' })]);
  assert.deepEqual([outcome.value, behind], [1, { code: 1009 }]);
  await session.ended;
});

test('the memory limit is for all calls of a session together', async () => {
  const session = await open({ code: 'const kept = []; const grow = (mib, ms) => { kept.push(Buffer.alloc(mib << 20, 1)); return new Promise((done) => setTimeout(done, ms, 1)) }' }, { memory: 100 });
  assert.equal((await session.run({ call: 'grow', args: [60, 0] })).value, 1);
  assert.deepEqual(await session.run({ call: 'grow', args: [60, 10_000] }, { timeout: 20_000 }), { code: 1004, limit: 'memory' });
  await session.ended;
});

test('a worker that is killed while its session is idle ends the session', async () => {
  const session = await open({ code: `var pid = ${pid}` });
  process.kill((await session.run({ code: 'pid' })).value, 'SIGKILL');
  await session.ended;
  assert.deepEqual(await session.run({ code: '1' }), { code: 1009 });
});

test('cancel: a running call ends its session, a waiting call ends alone', async () => {
  const session = await open({ code: 'let x = 1' });
  const first = session.start(inFunction('setTimeout(() => cb(++x), 100)'));
  const second = session.start({ code: 'x = 10' });
  agent.send(KIND.cancel, { id: second.id });
  assert.deepEqual(await second.outcome, { code: 1003 });
  assert.equal((await first.outcome).value, 2);
  const third = session.start({ code: 'host.runs(); for (;;);' }, { timeout: 20_000, callbacks: ['runs'] });
  await third.nextCallback();
  agent.send(KIND.cancel, { id: third.id });
  assert.deepEqual(await third.outcome, { code: 1003 });
  await session.ended;
});

test('close: an idle session, twice, an unknown one, and a call after it', async () => {
  const session = await open({ code: '' });
  session.close();
  session.close();
  await session.ended;
  agent.send(KIND.close, { session: 987654 });
  assert.deepEqual(await session.run({ code: '1' }), { code: 1009 });
  assert.deepEqual(await agent.run({ code: '1' }, { session: 987654 }), { code: 1009 });
  assert.equal(agent.ends.filter((end) => end === `session ${last}`).length, 1);
});

test('close: with a running and a waiting call', async () => {
  const session = await open({ code: '' });
  const calls = [session.run({ code: 'for (;;);' }, { timeout: 20_000 }), session.run({ code: '1' })];
  session.close();
  assert.deepEqual(await Promise.all(calls), [{ code: 1003 }, { code: 1009 }]);
  await session.ended;
});

for (const [name, script, options, want] of [
  ['an error', { code: 'throw new RangeError("no")' }, {}, [1000, 'RangeError', 'no']],
  ['a rejection', { code: 'Promise.reject(new RangeError("no"))' }, {}, [1000, 'RangeError', 'no']],
  ['what does not parse', { code: 'let 1' }, {}, [1000, 'SyntaxError', 'Unexpected number']],
  ['a module that throws', { files: { 'a.mjs': 'throw new RangeError("no")' }, file: 'a.mjs' }, {}, [1000, 'RangeError', 'no']],
  ['a loop for ever', { code: 'for (;;);' }, { timeout: 100 }, [1002, 'wall']],
  ['a bundle that is not there', { file: 'a.js' }, { bundle: 'missing' }, [1005]],
]) {
  test(`opening fails: ${name}`, async () => {
    const session = agent.open(++last, script, options);
    assert.deepEqual(says(await session.opened), want);
    await session.ended;
    assert.deepEqual(await session.run({ code: '1' }), { code: 1009 });
  });
}

test('an opening that is cancelled or closed, in each state', async () => {
  const small = await start({ concurrency: 1, workers: 1 });
  const busy = small.start({ code: 'for (;;);' }, { timeout: 20_000 });
  const [cancelled, closed] = [1, 2].map((number) => small.open(number, { code: '1' }));
  small.send(KIND.cancel, { id: 2 });
  closed.close();
  assert.deepEqual(await Promise.all([cancelled.opened, closed.opened]), [{ code: 1003 }, { code: 1003 }]);
  await Promise.all([cancelled.ended, closed.ended]);
  small.send(KIND.cancel, { id: busy.id });
  await busy.outcome;
  const running = small.open(3, { code: 'console.log("on"); for (;;);' }, { timeout: 20_000 });
  const behind = running.run({ code: '1' });
  running.close();
  assert.equal((await running.opened).code, 1003);
  assert.deepEqual(await behind, { code: 1009 });
  await running.ended;
  assert.equal((await small.run({ code: '1' })).value, 1);
  assert.deepEqual(small.strays, []);
  await small.close();
});

test('no call has two outcomes', () => assert.deepEqual(agent.strays, []));

test('a worker that is late to become idle does not end its session', async () => {
  const session = await open({ code: 'let n = 1; const slow = (cb) => { cb(++n); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 800) }' });
  assert.equal((await session.run({ call: 'slow' })).value, 2);
  assert.equal((await session.run({ code: '++n' })).value, 3);
});
