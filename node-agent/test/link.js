'use strict';
// A real agent on its stdio, as the daemon would speak with it.

const { spawn } = require('node:child_process');
const path = require('node:path');
const { KIND, FrameReader, encode, decode } = require('../frames.js');

const LIMITS = { concurrency: 8, workers: 2, heap: 64, memory: 256, result: 1024 * 1024, console: { lines: 20, bytes: 4096 } };

// start returns a ready agent: run(script, {timeout, cpu}) gives its outcome, close() ends it.
async function start(limits = {}, env = {}) {
  const child = spawn(process.execPath, [path.join(__dirname, '..', 'agent.js')], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  const exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
  const waiting = new Map();
  let nextId = 0;
  let onHello;
  const hello = new Promise((resolve) => { onHello = resolve; });
  const strays = [];
  const reader = new FrameReader(32 * 1024 * 1024, (kind, payload) => {
    const { header, body } = decode(payload);
    if (kind === KIND.hello) return onHello(header);
    const { id, ...rest } = header;
    const resolve = waiting.get(id);
    waiting.delete(id);
    if (resolve === undefined) return strays.push(header);
    return resolve(body === undefined ? rest : { ...rest, value: JSON.parse(body) });
  });
  child.stdout.on('data', (chunk) => reader.push(chunk));
  child.stdin.on('error', () => {});
  const send = (kind, header, body) => child.stdin.write(encode(kind, header, body));
  send(KIND.hello, { version: 2, ...LIMITS, ...limits });
  return {
    hello: await hello,
    child,
    exited,
    strays,
    send,
    start(script, { timeout = 3000, cpu = timeout, ...more } = {}) {
      const id = ++nextId;
      const outcome = new Promise((resolve) => waiting.set(id, resolve));
      send(KIND.call, { id, timeout, cpu, ...more }, JSON.stringify(script));
      return { id, outcome };
    },
    run(script, options) {
      return this.start(script, options).outcome;
    },
    async close() {
      child.stdin.end();
      return exited;
    },
  };
}

// inFunction wraps statements that end in cb(...).
const inFunction = (body) => ({ code: `function f(cb) { ${body} }`, call: 'f' });

module.exports = { start, inFunction };
