'use strict';
// Streamed consoles: lines are sent as they are printed, with their levels.

const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { start, inFunction } = require('./link.js');

const FULL = 'console limit reached, the rest is dropped';

let agent;
before(async () => { agent = await start(); });
after(() => agent.close());

// run returns the lines that were sent before the outcome, and the console of the outcome.
async function run(body, options) {
  const call = agent.start(inFunction(body), { stream: true, ...options });
  const outcome = await call.outcome;
  return { prints: call.prints, console: outcome.console, outcome };
}

for (const [name, body, want] of [
  ['each level', 'for (const level of ["log", "info", "warn", "error", "debug"]) console[level](level, 1)', ['log', 'info', 'warn', 'error', 'debug'].map((level) => [level, `${level} 1`])],
  ['what Node prints to stdout', 'console.dir({ a: 1 }); console.count(); console.group("g"); console.warn("in"); console.groupEnd(); console.info("out")',
    [['log', '{ a: 1 }'], ['log', 'default: 1'], ['log', 'g'], ['warn', '  in'], ['info', 'out']]],
  ['what Node prints to stderr', 'console.assert(false, "no"); console.log("out")', [['error', 'Assertion failed: no'], ['log', 'out']]],
  ['a table is one line', 'console.table([1])', [['log', '┌─────────┬────────┐\n│ (index) │ Values │\n├─────────┼────────┤\n│ 0       │ 1      │\n└─────────┴────────┘']]],
  ['nothing, and newlines', 'console.log(); console.log("a\\nb")', [['log', ''], ['log', 'a\nb']]],
  ['what prints while it is printed', 'console.group(); console.error({ [require("util").inspect.custom]() { console.info("inner"); return "outer" } })', [['info', '  inner'], ['error', '  outer']]],
]) {
  test(`streamed: ${name}`, async () => {
    const { prints, console: lines } = await run(`${body}; cb()`);
    assert.deepEqual(prints, want);
    assert.deepEqual(lines, want.map(([, text]) => text));
  });
}

test('a trace is an error', async () => {
  const { prints: [[level, text]] } = await run('console.trace("here"); cb()');
  assert.equal(level, 'error');
  assert.match(text, /^Trace: here\n/);
});

test('lines are sent as they are printed, in order with callbacks', async () => {
  const call = agent.start({ code: 'console.log(1); host.a().then(() => { console.log(2) })' }, { stream: true, handlers: { a: () => call.prints.push(['asked']) && 1 } });
  await call.outcome;
  assert.deepEqual(call.prints, [['log', '1'], ['asked'], ['log', '2']]);
});

test('lines of a call that times out', async () => {
  const { prints, outcome } = await run('console.log("a"); console.warn("b"); for (;;);', { timeout: 200 });
  assert.deepEqual(prints, [['log', 'a'], ['warn', 'b']]);
  assert.deepEqual(outcome, { code: 1002, limit: 'wall', console: ['a', 'b'] });
});

test('without stream no line is sent', async () => {
  const { prints, console: lines } = await run('console.log("a"); cb()', { stream: undefined });
  assert.deepEqual([prints, lines], [[], ['a']]);
});

test('the limits hold, and the last line says so once', async () => {
  const lines = await run('for (let i = 0; i < 1000; i++) console.warn(i); cb()');
  assert.deepEqual(lines.prints, [...Array.from({ length: 20 }, (_, i) => ['warn', String(i)]), ['warn', FULL]]);
  assert.deepEqual(lines.console, lines.prints.map(([, text]) => text));
  const bytes = await run('for (let i = 0; i < 9; i++) console.log("é".repeat(1500)); cb()');
  assert.deepEqual(bytes.prints, [['log', 'é'.repeat(1500)], ['log', FULL]]);
  const nested = await run('for (let i = 0; i < 20; i++) console.log(i); console.log({ [require("util").inspect.custom]() { console.log("inner"); return "outer" } }); cb()');
  assert.equal(nested.prints.filter(([, text]) => text === FULL).length, 1);
});

test('no line is sent after the outcome', async () => {
  const call = agent.start(inFunction('cb(1); console.log("late"); setImmediate(() => console.log("later"))'), { stream: true });
  await call.outcome;
  assert.equal((await agent.run(inFunction('setTimeout(() => cb(1), 20)'))).value, 1);
  assert.deepEqual(call.prints, []);
  assert.deepEqual(agent.strays, []);
});

test('in a session each call chooses by itself', async () => {
  const session = agent.open(1, { code: 'console.log("opening")' }, { stream: true });
  await session.opened;
  const quiet = session.start({ code: 'console.log("quiet")' });
  const loud = session.start({ code: 'console.error("loud")' }, { stream: true });
  assert.deepEqual([(await quiet.outcome).console, (await loud.outcome).console], [['quiet'], ['loud']]);
  assert.deepEqual([quiet.prints, loud.prints], [[], [['error', 'loud']]]);
  session.close();
  await session.ended;
});

// A script that has taken over its worker writes frames to the agent.
const forged = (frames) => `
  const process = require("util").inspect.constructor("return process")();
  const { encode } = process.mainModule.require("../shared/frames.js");
  function write(...frame) {
    const bytes = encode(...frame);
    for (let at = 0; at < bytes.length;) try { at += process.getBuiltinModule("fs").writeSync(3, bytes, at) } catch (e) { if (e.code !== "EAGAIN") throw e }
  }
  ${frames}; for (;;);`;

test('forged lines are bounded and belong to their own call', async () => {
  const neighbour = agent.start(inFunction('setTimeout(() => cb(1), 100)'), { stream: true });
  const { prints, outcome } = await run(forged(`for (let i = 0; i < 1000; i++) write(10, { id: ${neighbour.id}, level: "log" }, "x".repeat(50))`), { timeout: 1000 });
  assert.equal(outcome.code, 1002);
  assert.equal(prints.length, 40);
  assert.equal(outcome.console.length, 40);
  await neighbour.outcome;
  assert.deepEqual(neighbour.prints, []);
});

for (const level of ['"fatal"', '1', 'undefined', '{}']) {
  test(`a forged line of level ${level} costs its call`, async () => {
    const { prints, outcome } = await run(forged(`write(10, { level: ${level} }, "x")`), { timeout: 20_000 });
    assert.deepEqual([prints, outcome.code], [[], 1005]);
  });
}
