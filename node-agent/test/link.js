'use strict';
// A real agent, spoken with over its stdio as by the daemon.

const { spawn } = require('node:child_process');
const path = require('node:path');
const { KIND, FrameReader, decodeFrame, encode } = require('../shared/frames.js');
const { Gateway } = require('./gateway.js');

const LIMITS = { concurrency: 8, workers: 2, heap: 64, memory: 256, result: 1024 * 1024, console: { lines: 20, bytes: 4096 } };

// A Call is the daemon's side of one call. Prints and callbacks come before its outcome.
class Call {
  prints = []; // [level, text]
  callbacks = []; // {callback, name, args}
  #waiting = []; // functions that wait for a callback

  constructor(id, handlers = {}) {
    this.id = id;
    this.handlers = handlers;
    this.outcome = new Promise((resolve) => { this.resolve = resolve; });
  }

  onCallback(callback) {
    this.callbacks.push(callback);
    this.#waiting.shift()?.(callback);
  }

  // nextCallback returns a promise of the next callback.
  nextCallback() {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

// start returns an agent that can take calls. close() ends it.
async function start(limits = {}, env = {}) {
  const child = spawn(process.execPath, [path.join(__dirname, '..', 'agent', 'agent.js')], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  const exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
  const calls = new Map();
  let nextId = 0;
  let onHello;
  const hello = new Promise((resolve) => { onHello = resolve; });
  const strays = [];
  const ends = []; // sessions that ended and calls that were answered, in order
  const onEnd = new Map();
  const onPong = [];
  child.stdin.on('error', () => {});
  const send = (kind, header, body) => child.stdin.write(encode(kind, header, body));

  const gateway = new Gateway((frame) => child.stdin.write(frame));

  async function answer(call, { id, callback, name, args }) {
    call.onCallback({ callback, name, args });
    if (call.handlers[name] === undefined) return;
    let value;
    try {
      value = await call.handlers[name](...args);
    } catch (error) {
      return send(KIND.reply, { id, callback, error: { message: error.message, code: error.code, data: error.data } });
    }
    send(KIND.reply, { id, callback }, JSON.stringify(value));
  }

  const reader = new FrameReader(32 * 1024 * 1024, (kind, payload) => {
    const { header, body } = decodeFrame(kind, payload);
    if (gateway.frame(kind, header, body)) return undefined;
    if (kind === KIND.hello) return onHello(header);
    if (kind === KIND.pong) return onPong.shift()();
    if (kind === KIND.ended) {
      ends.push(`session ${header.session}`);
      return onEnd.get(header.session)?.();
    }
    const { id, ...rest } = header;
    const call = calls.get(id);
    if (call === undefined) return strays.push(header);
    if (kind === KIND.print) return call.prints.push([rest.level, body.toString()]);
    if (kind === KIND.callback) return answer(call, { ...header, args: JSON.parse(body) });
    calls.delete(id);
    gateway.endCall(id);
    ends.push(`call ${id}`);
    return call.resolve(body === undefined ? rest : { ...rest, value: JSON.parse(body) });
  });
  child.stdout.on('data', (chunk) => reader.push(chunk));
  send(KIND.hello, { version: 5, ...LIMITS, ...limits });

  const agent = {
    hello: await hello,
    child,
    exited,
    strays,
    gateway,
    ends,
    send,
    // ping returns a promise of the pong.
    ping() {
      const pong = new Promise((resolve) => onPong.push(resolve));
      send(KIND.ping, {});
      return pong;
    },
    // start starts a call. handlers is an object of functions, which the script may call as host.NAME.
    start(script, { timeout = 3000, cpu = timeout, handlers, callbacks = handlers && Object.keys(handlers), ...more } = {}) {
      const call = new Call(++nextId, handlers);
      calls.set(call.id, call);
      send(KIND.call, { id: call.id, timeout, cpu, callbacks, ...more }, JSON.stringify(script));
      return call;
    },
    // run returns a promise of the call's outcome.
    run(script, options) {
      return agent.start(script, options).outcome;
    },
    // open opens a session. opened is a promise of the opening call's outcome, ended one of the session's end; start and
    // run start calls in the session.
    open(session, script, options) {
      const ended = new Promise((resolve) => onEnd.set(session, resolve));
      const opened = agent.run(script, { ...options, open: session });
      return {
        opened,
        ended,
        start: (next, more) => agent.start(next, { ...more, session }),
        run: (next, more) => agent.run(next, { ...more, session }),
        close: () => send(KIND.close, { session }),
      };
    },
    async close() {
      gateway.close();
      child.stdin.end();
      return exited;
    },
  };
  return agent;
}

// inFunction wraps statements that end in cb(...).
const inFunction = (body) => ({ code: `function f(cb) { ${body} }`, call: 'f' });

module.exports = { start, inFunction };
