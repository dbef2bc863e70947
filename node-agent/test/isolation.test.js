'use strict';
// Calls do not see each other. One worker, so that each call follows the other in the same process.

const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { start, inFunction } = require('./link.js');

let agent;
before(async () => { agent = await start({ concurrency: 1, workers: 1 }); });
after(() => agent.close());

for (const [name, leave, look, want] of [
  ['globals', 'globalThis.left = 1; cb()', 'cb(typeof left)', 'undefined'],
  ['prototypes', 'Array.prototype.left = 1; Object.prototype.left = 1; cb()', 'cb(typeof [].left)', 'undefined'],
  ['modules', 'require("util").inspect = 1; require("events").EventEmitter.prototype.left = 1; cb()',
    'cb([typeof require("util").inspect, typeof require("events").EventEmitter.prototype.left])', ['function', 'undefined']],
  ['prototypes of the host', 'Object.getPrototypeOf(require("util")).left = 1; cb()', 'cb(typeof require("util").left)', 'undefined'],
  ['web globals', 'URL.prototype.left = 1; Buffer.left = 1; cb()', 'cb([typeof URL.prototype.left, typeof Buffer.left])', ['undefined', 'undefined']],
  ['memory of buffers', 'Buffer.from("secret".repeat(100)); cb()', 'cb(Buffer.allocUnsafe(600).every((byte) => byte === 0))', true],
]) {
  test(name, async () => {
    await agent.run(inFunction(leave));
    assert.deepEqual((await agent.run(inFunction(look))).value, want);
  });
}

test('timers end with their call', async () => {
  await agent.run(inFunction('setInterval(() => { throw new Error("left") }, 1); setTimeout(() => { throw new Error("left") }, 5); cb()'));
  assert.equal((await agent.run(inFunction('setTimeout(() => cb("clean"), 50)'))).value, 'clean');
});

test('what is not there', async () => {
  assert.deepEqual((await agent.run({ code: '[typeof process, typeof module, typeof exports, typeof __dirname]' })).value, Array(4).fill('undefined'));
  for (const name of ['fs', 'node:fs', 'child_process', '/etc/passwd', './worker.js', 'process', 'constructor', '__proto__', '']) {
    const { code, message } = await agent.run({ code: `require(${JSON.stringify(name)})` });
    assert.equal(code, 1000);
    assert.match(message, /^Cannot find module '.*': it is not in the list/);
  }
});

test('a script cannot change how its call ends', async () => {
  const { value } = await agent.run({
    code: 'JSON.stringify = JSON.parse = Promise.prototype.then = Reflect.apply = Object.keys = null; async function f() { return 1 }', call: 'f',
  });
  assert.equal(value, 1);
});
