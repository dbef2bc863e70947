'use strict';
// Web globals: they exist, work, belong to the script's realm, and are new for each call.

const assert = require('node:assert/strict');
const { test, before, after } = require('node:test');
const { start } = require('./link.js');

let agent;
before(async () => { agent = await start(); });
after(() => agent.close());

// Each row: a use of a global, and the value that it has to give.
const uses = {
  AbortController: ['const a = new AbortController(); a.abort(); a.signal.aborted', true],
  AbortSignal: ['AbortSignal.abort().aborted', true],
  Blob: ['new Blob(["abc"]).text()', 'abc'],
  Buffer: ['Buffer.from("ü").toString("hex")', 'c3bc'],
  CompressionStream: ['typeof new CompressionStream("gzip").readable', 'object'],
  CustomEvent: ['new CustomEvent("x", { detail: 1 }).detail', 1],
  DOMException: ['new DOMException("m", "AbortError").name', 'AbortError'],
  DecompressionStream: ['typeof new DecompressionStream("gzip").readable', 'object'],
  Event: ['new Event("x").type', 'x'],
  EventTarget: ['let n = 0; const t = new EventTarget(); t.addEventListener("x", () => n++); t.dispatchEvent(new Event("x")); n', 1],
  MessageChannel: ['new Promise((r) => { const c = new MessageChannel(); c.port1.onmessage = (e) => { r(e.data); c.port1.close() }; c.port2.postMessage(5) })', 5],
  ReadableStream: ['(async () => { let all = ""; for await (const c of new ReadableStream({ start(c) { c.enqueue("a"); c.enqueue("b"); c.close() } })) all += c; return all })()', 'ab'],
  ByteLengthQueuingStrategy: ['new ByteLengthQueuingStrategy({ highWaterMark: 5 }).highWaterMark', 5],
  CountQueuingStrategy: ['new CountQueuingStrategy({ highWaterMark: 5 }).highWaterMark', 5],
  CryptoKey: ['crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-1" }, true, ["sign"]).then((k) => k instanceof CryptoKey)', true],
  File: ['new File(["a"], "b.txt").name', 'b.txt'],
  MessageEvent: ['new MessageEvent("x", { data: 1 }).data', 1],
  MessagePort: ['new MessageChannel().port1 instanceof MessagePort', true],
  ReadableByteStreamController: ['typeof ReadableByteStreamController', 'function'],
  ReadableStreamBYOBReader: ['typeof ReadableStreamBYOBReader', 'function'],
  ReadableStreamBYOBRequest: ['typeof ReadableStreamBYOBRequest', 'function'],
  ReadableStreamDefaultController: ['typeof ReadableStreamDefaultController', 'function'],
  ReadableStreamDefaultReader: ['new ReadableStream().getReader() instanceof ReadableStreamDefaultReader', true],
  SubtleCrypto: ['crypto.subtle instanceof SubtleCrypto', true],
  TransformStreamDefaultController: ['typeof TransformStreamDefaultController', 'function'],
  URLPattern: ['new URLPattern({ pathname: "/a/:b" }).exec({ pathname: "/a/c" }).pathname.groups.b', 'c'],
  WritableStreamDefaultController: ['typeof WritableStreamDefaultController', 'function'],
  WritableStreamDefaultWriter: ['new WritableStream().getWriter() instanceof WritableStreamDefaultWriter', true],
  TextDecoder: ['new TextDecoder().decode(new Uint8Array([195, 188]))', 'ü'],
  TextEncoder: ['[...new TextEncoder().encode("ü")]', [195, 188]],
  TransformStream: ['typeof new TransformStream().writable', 'object'],
  URL: ['new URL("../b?c=1", "http://x.test/a/").href', 'http://x.test/b?c=1'],
  URLSearchParams: ['new URLSearchParams({ a: "1 2" }).toString()', 'a=1+2'],
  WritableStream: ['typeof new WritableStream().getWriter', 'function'],
  atob: ['atob("YQ==")', 'a'],
  btoa: ['btoa("a")', 'YQ=='],
  clearImmediate: ['clearImmediate(setImmediate(() => { throw 1 })); 1', 1],
  clearInterval: ['clearInterval(setInterval(() => { throw 1 }, 1)); 1', 1],
  clearTimeout: ['clearTimeout(setTimeout(() => { throw 1 }, 1)); 1', 1],
  console: ['typeof console.log', 'function'],
  crypto: ['[crypto.randomUUID().length, crypto.getRandomValues(new Uint8Array(4)).length]', [36, 4]],
  global: ['global === globalThis', true],
  performance: ['performance.now() > 0', true],
  queueMicrotask: ['new Promise((r) => queueMicrotask(() => r(1)))', 1],
  setImmediate: ['new Promise((r) => setImmediate(r, 2))', 2],
  setInterval: ['new Promise((r) => { const i = setInterval(() => { clearInterval(i); r(3) }, 1) })', 3],
  setTimeout: ['new Promise((r) => setTimeout(r, 1, 4))', 4],
  structuredClone: ['const m = structuredClone(new Map([[1, { a: [1] }]])); [m.get(1).a[0], m instanceof Map]', [1, true]],
};

for (const [name, [code, want]] of Object.entries(uses)) {
  test(name, async () => {
    const got = await agent.run({ code });
    assert.deepEqual(got.value, want, JSON.stringify(got));
  });

  test(`a change of ${name} is not visible to the next call`, async () => {
    for (let i = 0; i < 3; i++) {
      const got = await agent.run({ code: `const was = typeof ${name}.left; ${name}.left = 1; if (${name}.prototype) ${name}.prototype.left = 1; [was, typeof ({}).left]` });
      assert.deepEqual(got.value, ['undefined', 'undefined'], JSON.stringify(got));
      assert.deepEqual((await agent.run({ code: `[typeof ${name}.left, typeof ${name}.prototype?.left]` })).value, ['undefined', 'undefined']);
    }
  });

  test(`a replacement of ${name} is not visible to the next call`, async () => {
    await agent.run({ code: `globalThis.${name} = 1` });
    assert.notEqual((await agent.run({ code: `typeof ${name}` })).value, 'number');
  });
}

// Globals of Node that a script does not have, and why.
const WITHHELD = new Set([
  'process', // packages get one of their own
  'fetch', 'FormData', 'Headers', 'Request', 'Response', 'WebSocket', 'CloseEvent', 'EventSource', // the network
  'BroadcastChannel', 'Navigator', 'navigator', 'Storage', 'localStorage', 'sessionStorage', // what outlasts a call, or is the machine's
  'Performance', 'PerformanceEntry', 'PerformanceMark', 'PerformanceMeasure', 'PerformanceObserver', 'PerformanceObserverEntryList', 'PerformanceResourceTiming', // beyond `performance`
  'Crypto', 'QuotaExceededError', 'ErrorEvent',
]);

test('every global of Node exists for scripts or is withheld on purpose', async () => {
  const { value } = await agent.run({ code: 'Object.getOwnPropertyNames(globalThis)' });
  const missing = Object.getOwnPropertyNames(globalThis).filter((name) => !value.includes(name) && !WITHHELD.has(name));
  assert.deepEqual(missing, []);
});

test('instanceof of the script\'s classes accepts objects of built-in modules', async () => {
  const cases = {
    'new TextEncoder().encode("") instanceof Uint8Array': true,
    'Buffer.from("a") instanceof Uint8Array': true,
    'Buffer.from("a") instanceof Object': true,
    'Buffer.from("a").buffer instanceof ArrayBuffer': true,
    '(() => { try { new URL("x") } catch (e) { return [e instanceof TypeError, e instanceof Error, e instanceof RangeError] } })()': [true, true, false],
    'structuredClone([1]) instanceof Array': true,
    'structuredClone(new Date(0)) instanceof Date': true,
    'crypto.subtle.digest("SHA-1", new Uint8Array()) instanceof Promise': true,
    'class A extends Error {}; Buffer.from("a"); [new A() instanceof Error, new Error() instanceof A, [] instanceof Array, {} instanceof Array]': [true, false, true, false],
  };
  for (const [code, want] of Object.entries(cases)) assert.deepEqual((await agent.run({ code })).value, want, code);
});

for (const name of ['process', 'fetch', 'WebSocket', 'module', 'exports', '__dirname', 'localStorage', 'navigator', 'Worker', 'BroadcastChannel', 'EventSource', 'XMLHttpRequest']) {
  test(`no ${name}`, async () => assert.equal((await agent.run({ code: `typeof ${name}` })).value, 'undefined'));
}

test('work that a call started ends with the call', async () => {
  const leave = 'setInterval(() => console.log("late"), 1); setTimeout(() => { throw new Error("late") }, 5); setImmediate(() => { throw 1 }); (async () => { for (let i = 0; i < 50; i++) await new Promise((r) => setTimeout(r, 1)); throw 2 })(); new MessageChannel().port1.onmessage = () => {}; "left"';
  for (let i = 0; i < 5; i++) assert.equal((await agent.run({ code: leave })).value, 'left');
  const got = await agent.run({ code: 'new Promise((r) => setTimeout(r, 30, "quiet"))' });
  assert.deepEqual([got.value, got.console], ['quiet', undefined]);
  assert.deepEqual(agent.strays, []);
});
