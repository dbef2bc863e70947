'use strict';
// Runs one script in a worker, without an agent and a daemon, and waits until a debugger is attached to the worker.
//
//   $(scripts/node) scripts/debug.js FILE [CALL [ARGS]]
//
// FILE is evaluated as `code`; CALL names a function in it, ARGS is a JSON array. The worker has the flags and limits
// that it has in a container, but no deadline. Attach with "node inspect 127.0.0.1:9229", with chrome://inspect, or with
// an editor. The script stops at each "debugger" statement; its file is script.js.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { flags } = require('../node-agent/agent/worker-process.js');
const { KIND, FrameReader, decodeFrame, encode } = require('../node-agent/shared/frames.js');

const LIMITS = { concurrency: 1, workers: 1, heap: 64, memory: 256, result: 8 << 20, frame: 17 << 20, console: { lines: 1e6, bytes: 1 << 26 } };
const INSPECTOR = [`--inspect-wait=127.0.0.1:${process.debugPort}`, '--allow-inspector']; // 9229, unless Node got --inspect-port
const WORKER = path.join(__dirname, '../node-agent/worker/worker.js');

const [file, call, args] = process.argv.slice(2);
if (file === undefined) {
  console.error('usage: $(scripts/node) scripts/debug.js FILE [CALL [ARGS]]');
  process.exit(2);
}
const script = {
  code: fs.readFileSync(file, 'utf8'),
  language: /\.[cm]?ts$/.test(file) ? 'typescript' : undefined,
  call,
  args: args && JSON.parse(args),
};

const worker = spawn(process.execPath, [...INSPECTOR, ...flags(LIMITS), WORKER, JSON.stringify(LIMITS)], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
const socket = worker.stdio[3];
let sent = false;
let status = 1;
const reader = new FrameReader(LIMITS.frame, (kind, payload) => {
  const { header, body } = decodeFrame(kind, payload);
  if (kind === KIND.idle && !sent) {
    sent = true;
    socket.write(encode(KIND.call, {}, JSON.stringify(script)));
  } else if (kind === KIND.print) {
    console.error(body === undefined ? '' : body.toString());
  } else if (kind === KIND.result || kind === KIND.failure) {
    console.log(kind === KIND.result ? body.toString() : header);
    status = kind === KIND.result ? 0 : 1;
    worker.kill();
  }
});
socket.on('data', (chunk) => reader.push(chunk));
worker.on('exit', () => process.exit(status));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => worker.kill());
