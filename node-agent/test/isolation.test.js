'use strict';
// Isolation of calls from each other. The agent has one worker, so that all calls run in the same process.

const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { flags } = require('../agent/worker-process.js');
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
  ['settings behind accessors', 'require("events").defaultMaxListeners = 77; require("util").inspect.defaultOptions.depth = 0; cb()',
    'cb([require("events").defaultMaxListeners, require("util").inspect.defaultOptions.depth])', [10, 2]],
  ['settings behind functions', 'require("stream").setDefaultHighWaterMark(false, 3); cb()', 'cb(require("stream").getDefaultHighWaterMark(false) > 3)', true],
  ['performance marks', 'performance.mark("secret"); cb()', 'cb(performance.getEntries().length)', 0],
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

for (const [name, body] of [
  ['a job of crypto', 'require("crypto").pbkdf2("a", "b", 200000, 32, "sha256", () => { throw new Error("left") })'],
  ['a job of zlib', 'require("zlib").deflate("x".repeat(1e7), () => { throw new Error("left") })'],
  ['a timer that keeps nothing alive', 'AbortSignal.timeout(30).addEventListener("abort", () => { throw new Error("left") })'],
  ['a message port', 'const { port1, port2 } = new MessageChannel(); port2.onmessage = () => { throw new Error("left") }; port1.postMessage(1)'],
]) {
  test(`nothing of a call reaches the next one: ${name}`, async () => {
    assert.equal((await agent.run(inFunction(`${body}; cb(1)`))).value, 1);
    assert.equal((await agent.run(inFunction('setTimeout(() => cb("clean"), 300)'))).value, 'clean');
  });
}

for (const [name, body] of [['clean', ''], ['dirty', 'Buffer.left = 1;']]) {
  test(`the large value of a ${name} call that used modules arrives`, async () => {
    const { value } = await agent.run(inFunction(`${body} require("util"); new URL("http://a"); cb("x".repeat(1e6))`));
    assert.equal(value?.length, 1e6);
  });
}

test('harmless use of modules keeps the worker', async () => {
  const pid = 'require("util").inspect.constructor("return process.pid")()';
  const body = `new URL("http://a"); require("crypto").createHash("md5"); crypto.randomUUID(); Buffer.from("a"); structuredClone({}); cb(${pid})`;
  assert.equal((await agent.run(inFunction(body))).value, (await agent.run(inFunction(body))).value);
});

// A script that has reached its worker's realm writes frames to the agent.
const escape = (frames) => `
  const process = require("util").inspect.constructor("return process")();
  const { encode } = process.mainModule.require("../shared/frames.js");
  const fs = process.getBuiltinModule("fs");
  ${frames}`;
for (const [name, frames, want] of [
  ['a time that is none', 'fs.writeSync(3, encode(4, { time: "x" }, "1"))', { value: 1, time: 0 }],
  ['another id', 'fs.writeSync(3, encode(4, { id: 1, time: 1 }, "1"))', { value: 1, time: 1 }],
  ['a code that is not a worker\'s', 'fs.writeSync(3, encode(5, { code: 1005, started: false }))', { code: 1005, started: true }],
  ['texts that are none', 'fs.writeSync(3, encode(5, { code: 1000, name: {}, stack: 1 }))', { code: 1000 }],
  ['an unknown kind', 'fs.writeSync(3, encode(77, {}))', { code: 1005, started: true }],
  ['no frame at all', 'fs.writeSync(3, "GET / HTTP/1.1")', { code: 1005, started: true }],
]) {
  test(`a forged frame costs its own call only: ${name}`, async () => {
    const outcome = await agent.run(inFunction(`${escape(frames)}; for (;;);`));
    assert.deepEqual(outcome, want);
    assert.equal((await agent.run({ code: '1' })).value, 1);
    assert.deepEqual(agent.strays, []);
  });
}

test('globals and modules that scripts do not have', async () => {
  assert.deepEqual((await agent.run({ code: '[typeof process, typeof module, typeof exports, typeof __dirname]' })).value, Array(4).fill('undefined'));
  for (const name of ['fs', 'node:fs', 'child_process', '/etc/passwd', './worker.js', 'process', 'constructor', '__proto__', '']) {
    const { code, message } = await agent.run({ code: `require(${JSON.stringify(name)})` });
    assert.equal(code, 1000);
    assert.ok(message.startsWith(`Cannot find module '${name.replace('node:', '')}': `), message);
  }
});

test('work that would outlast its call does not', async () => {
  const late = (body) => `const i = new Int32Array(new SharedArrayBuffer(4)); Atomics.waitAsync(i, 0, 0, 60).value.then(async () => { ${body} }); 1`;
  for (const body of ['(await import("util")).default.left = 1', 'for (;;);', 'throw 1', 'URL.prototype.left = 1']) {
    assert.equal((await agent.run({ code: late(body) })).value, 1);
    for (let i = 0; i < 3; i++) {
      const got = await agent.run({ code: 'const u = require("util"); new Promise((r) => setTimeout(() => r([typeof u.left, typeof URL.prototype.left]), 100))' });
      assert.deepEqual(got.value, ['undefined', 'undefined'], body);
    }
  }
  assert.equal((await agent.run({ code: 'const f = new FinalizationRegistry(() => { throw 1 }); for (let i = 0; i < 1000; i++) f.register({}, 1); 1' })).value, 1);
  for (let i = 0; i < 4; i++) assert.equal((await agent.run({ code: 'const a = []; for (let i = 0; i < 1e6; i++) a.push({ i }); a.length' })).value, 1_000_000);
});

test('a script sees only its own stack frames', async () => {
  const { value } = await agent.run({ code: 'function f() { return new Error("x").stack }\nf()' });
  assert.equal(value, 'Error: x\n    at f (script.js:1:23)\n    at script.js:2:1');
});

test('contexts with ES modules are collected like others', () => {
  const program = `
    const vm = require('node:vm');
    const made = () => {
      const context = vm.createContext(vm.constants.DONT_CONTEXTIFY);
      const module = new vm.SourceTextModule('export const a = 1', { context });
      module.linkRequests([]);
      module.instantiate();
      return module.evaluate();
    };
    (async () => {
      for (let i = 0; i < 100; i++) await made();
      for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); }
      console.log(require('node:v8').getHeapStatistics().number_of_native_contexts);
    })();`;
  const options = flags({ heap: 64, memory: 256 }).filter((flag) => !/^--(?:permission|allow)/.test(flag));
  const contexts = Number(execFileSync(process.execPath, [...options, '--expose-gc', '-e', program], { encoding: 'utf8' }));
  assert.ok(contexts < 20, `${contexts} contexts`);
});

test('a script cannot change how its call ends', async () => {
  const { value } = await agent.run({
    code: 'JSON.stringify = JSON.parse = Promise.prototype.then = Reflect.apply = Object.keys = null; async function f() { return 1 }', call: 'f',
  });
  assert.equal(value, 1);
});

test('the worker has no node:sqlite, whose files the permission model does not see', async () => {
  const { value } = await agent.run({ code: 'typeof Buffer.constructor("return process")().getBuiltinModule("node:sqlite")' });
  assert.equal(value, 'undefined');
});
