'use strict';
// Baseline (a): the plainest daemon that does the job, one Node process behind a WebSocket that makes a
// fresh vm context for each call. It has no tenants, no containers and no way to stop an endless loop.
// It takes the same requests as jsd and prints its address once it listens.

const { performance } = require('node:perf_hooks');
const { format } = require('node:util');
const vm = require('node:vm');
const { WebSocketServer } = require('ws');

const LEVELS = ['log', 'info', 'warn', 'error', 'debug'];
const DEFAULT_TIMEOUT = 3000;

// makeContext gives a fresh context and the lines that are printed in it.
function makeContext(globals) {
  const lines = [];
  const print = (...args) => { lines.push(format(...args)); };
  const console = Object.fromEntries(LEVELS.map((level) => [level, print]));
  const context = vm.createContext({
    ...globals, console, Buffer, setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate,
  });
  return { context, lines };
}

// execute runs a script and calls back once, with {result} or {error}.
function execute({ code, globals, call, caller, timeout = DEFAULT_TIMEOUT }, done) {
  const { context, lines } = makeContext(globals);
  const started = performance.now();
  const timer = setTimeout(() => done({ error: { code: 1002, message: 'Timeout' } }), timeout);
  const finish = (outcome) => {
    clearTimeout(timer);
    done(outcome);
  };
  const cb = (value = null) => {
    finish({ result: { value, console: lines, time: Math.floor(performance.now() - started) } });
  };
  try {
    vm.runInContext(code, context);
    const callee = vm.runInContext(`typeof ${call} === 'function' ? ${call} : undefined`, context);
    if (callee === undefined) return finish({ error: { code: 1001, message: 'Not implemented' } });
    if (caller === undefined) return callee(cb);
    return vm.runInContext(`(${caller})`, context)(callee, cb);
  } catch (error) {
    return finish({ error: { code: 1000, message: String(error?.name ?? error), data: { stack: error?.stack } } });
  }
}

function serve(socket) {
  socket.on('message', (text) => {
    const { id, params } = JSON.parse(text);
    let answered = false;
    execute(params, (outcome) => {
      if (answered) return;
      answered = true;
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, ...outcome }));
    });
  });
}

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('connection', serve);
server.on('listening', () => console.log(`ws://127.0.0.1:${server.address().port}`));
