'use strict';
// What the baselines do is what makes their figures comparable.

const assert = require('node:assert/strict');
const { execFile, spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { promisify } = require('node:util');
const { WebSocket } = require('ws');

let daemon;
let socket;

before(async () => {
  daemon = spawn(process.execPath, [path.join(__dirname, 'baseline.js')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(daemon.stdout, 'data');
  socket = new WebSocket(String(line).trim());
  await once(socket, 'open');
});

after(() => {
  socket?.terminate();
  daemon.kill();
});

async function execute(params) {
  socket.send(JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'runtime.execute', params }));
  const [text] = await once(socket, 'message');
  const { id, result, error } = JSON.parse(text);
  assert.equal(id, 7);
  return error ? { error: error.code } : { value: result.value, console: result.console };
}

const cases = [
  ['the benchmarked script', { code: 'function run(cb){ cb(a + 1) }', globals: { a: 1 }, call: 'run' }, { value: 2, console: [] }],
  ['a caller', { code: 'function f(x, cb){ cb(x) }', call: 'f', caller: 'function (f, cb) { f("x", cb) }' }, { value: 'x', console: [] }],
  ['a line printed', { code: 'function f(cb){ console.log("a", {b: 1}); cb() }', call: 'f' }, { value: null, console: ['a { b: 1 }'] }],
  ['a second cb', { code: 'function f(cb){ cb(1); cb(2) }', call: 'f' }, { value: 1, console: [] }],
  ['a missing function', { code: '', call: 'f' }, { error: 1001 }],
  ['a throw', { code: 'throw new TypeError("x")', call: 'f' }, { error: 1000 }],
  ['a cb that is never called', { code: 'function f(){}', call: 'f', timeout: 20 }, { error: 1002 }],
];
for (const [name, script, expected] of cases) {
  test(`the baseline answers ${name}`, async () => assert.deepEqual(await execute(script), expected));
}

test('the baseline makes a fresh context for each call', async () => {
  await execute({ code: 'var kept = 1; Array.prototype.kept = 1; function f(cb){ cb() }', call: 'f' });
  const seen = await execute({ code: 'function f(cb){ cb([typeof kept, [].kept === undefined]) }', call: 'f' });
  assert.deepEqual(seen.value, ['undefined', true]);
});

test('the floor counts the runs of all its processes', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(__dirname, 'floor.js'), '50']);
  const { processes, runs, perSecond } = JSON.parse(stdout);
  assert.ok(processes >= 1 && runs >= processes && perSecond > 0, stdout);
});
