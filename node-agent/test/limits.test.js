'use strict';
// Limits: they end a call, and neither its neighbour nor the next call notices.

const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { KIND } = require('../shared/frames.js');
const { start, inFunction } = require('./link.js');

let agent;
before(async () => { agent = await start(); });
after(() => agent.close());

for (const [name, body] of [
  ['an endless loop', 'while (true) {}'],
  ['an endless promise loop', '(async () => { for (;;) await null })()'],
  ['a regular expression that never ends', '/^(a+)+$/.test("a".repeat(50) + "b")'],
  ['native code', 'require("crypto").scryptSync("a", "b", 64, { N: 2 ** 14, r: 8, p: 2 ** 12, maxmem: 2 ** 30 })'],
  ['a cb that is never called', ''],
  ['a value whose JSON never ends', 'cb({ toJSON() { for (;;); } })'],
  ['an error whose name never ends', 'throw { get name() { for (;;); } }'],
]) {
  test(`timeout: ${name}`, async () => {
    assert.deepEqual(await agent.run(inFunction(body), { timeout: 200 }), { code: 1002, limit: 'wall' });
    assert.equal((await agent.run({ code: '1' })).value, 1);
  });
}

test('CPU time has a limit of its own, and waiting does not count', async () => {
  assert.deepEqual(await agent.run(inFunction('for (;;);'), { timeout: 5000, cpu: 100 }), { code: 1002, limit: 'cpu' });
  assert.equal((await agent.run(inFunction('setTimeout(() => cb(1), 400)'), { timeout: 5000, cpu: 100 })).value, 1);
});

test('a timeout has the lines that were printed', async () => {
  assert.deepEqual(await agent.run(inFunction('console.log("a"); console.log("b"); for (;;);'), { timeout: 200 }),
    { code: 1002, limit: 'wall', console: ['a', 'b'] });
});

for (const [name, body] of [
  ['an array that grows', 'const a = []; for (;;) a.push(a.length + 0.5)'],
  ['a large array', 'new Array(1e8).fill(1.1)'],
  ['a split', '"a".repeat(5e8).split("")'],
  ['buffers', 'const a = []; for (;;) a.push(Buffer.alloc(1e6, 1))'],
]) {
  test(`memory: ${name}`, async () => {
    const neighbour = agent.run(inFunction('setTimeout(() => cb("lives"), 1000)'), { timeout: 20_000 });
    const { code, limit } = await agent.run(inFunction(body), { timeout: 20_000 });
    assert.deepEqual({ code, limit }, { code: 1004, limit: 'memory' });
    assert.equal((await neighbour).value, 'lives');
  });
}

test('a result over its limit', async () => {
  assert.deepEqual(await agent.run({ code: '"x".repeat(2 ** 21)' }), { code: 1004, limit: 'result' });
});

test('a console over its limit drops the rest and says so', async () => {
  const lines = await agent.run(inFunction('for (let i = 0; i < 1000; i++) console.log(i); cb()'));
  assert.deepEqual(lines.console, [...Array.from({ length: 20 }, (_, i) => String(i)), 'console limit reached, the rest is dropped']);
  const bytes = await agent.run(inFunction('for (;;) { console.log("x".repeat(3000)); if (++globalThis.n > 10) break; globalThis.n ??= 0 } cb()'));
  assert.deepEqual(bytes.console.map((line) => line.length), [3000, 'console limit reached, the rest is dropped'.length]);
});

test('a script that runs on after its reply is ended', async () => {
  const outcomes = await Promise.all([1, 2, 3, 4].map((n) => agent.run(inFunction(`cb(${n}); for (;;);`))));
  assert.deepEqual(outcomes.map(({ value }) => value), [1, 2, 3, 4]);
  assert.equal((await agent.run({ code: '5' })).value, 5);
});

test('more calls at once than idle workers', async () => {
  const outcomes = await Promise.all(Array.from({ length: 8 }, (_, n) => agent.run(inFunction(`setTimeout(() => cb(${n}), 300)`))));
  assert.deepEqual(outcomes.map(({ value }) => value), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test('the time to send a call and its bundle does not count', async () => {
  const files = { 'index.js': 'module.exports = 1' };
  for (let i = 0; i < 10; i++) files[`large${i}.js`] = `// ${'x'.repeat(1024 * 1024)}`;
  agent.send(KIND.bundle, { bundle: 'large' }, JSON.stringify(files));
  for (let i = 0; i < 4; i++) {
    const got = await agent.run({ file: 'index.js' }, { bundle: 'large', timeout: 20 });
    assert.equal(got.value, 1, JSON.stringify(got));
  }
});

test('the memory limit of a call is for what the call itself takes', async () => {
  const takes = (mib) => ({ code: `const a = []; for (let i = 0; i < ${mib}; i++) a.push(Buffer.alloc(1024 * 1024, 1)); new Promise((r) => setTimeout(() => r(a.length), 80))` });
  assert.equal((await agent.run(takes(100), { memory: 16 })).limit, 'memory');
  assert.equal((await agent.run(takes(20), { memory: 200 })).value, 20); // and leaves garbage
  for (let i = 0; i < 3; i++) assert.equal((await agent.run(takes(1), { memory: 32 })).value, 1);
});

test('printing at the end of the stack loses a line, not the worker', async () => {
  const down = 'const down = () => { try { down() } catch (e) { try { console.log("x") } catch {} throw e } };';
  const { value } = await agent.run({ code: `${down} for (let i = 0; i < 50; i++) { try { down() } catch {} } "lives"` }, { timeout: 20_000 });
  assert.equal(value, 'lives');
});

for (const { holds, last, what } of [
  { holds: 0, last: false, what: 'while there is memory, another call starts beside calls that wait' },
  { holds: 100e6, last: true, what: 'without memory for one more worker, another call waits' },
]) {
  test(what, async (t) => {
    const full = await start();
    t.after(() => full.close());
    const ended = [];
    const run = async (name, body) => {
      assert.equal((await full.run(inFunction(body), { timeout: 30_000 })).value, 1);
      ended.push(name);
    };
    const wait = `globalThis.held = Buffer.alloc(${holds}, 1); setTimeout(() => cb(1), 5000)`;
    const waiting = [run('waits', wait), run('waits', wait)];
    await new Promise((resolve) => setTimeout(resolve, 1000)); // by then they hold their memory
    await Promise.all([...waiting, run('comes', 'cb(1)')]);
    assert.equal(ended[0], last ? 'waits' : 'comes');
  });
}
