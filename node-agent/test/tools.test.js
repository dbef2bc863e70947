'use strict';
// The tools for those who work on the agent: scripts/debug.js, scripts/frames.js.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { text } = require('node:stream/consumers');
const { KIND, encode, encodeData } = require('../shared/frames.js');

const tool = (name) => path.join(__dirname, '../../scripts', name);

test('a script stops at its debugger statement', { timeout: 30_000 }, async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'jsd-test-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const file = path.join(dir, 'sum.js');
  fs.writeFileSync(file, 'function sum(a, b) {\n  debugger;\n  return a + b;\n}');
  const debug = spawn(process.execPath, ['--inspect-port=0', tool('debug.js'), file, 'sum', '[40, 2]'], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => debug.kill());
  const [output, exited] = [text(debug.stdout), new Promise((resolve) => debug.on('exit', resolve))];
  let said = '';
  const url = await new Promise((resolve) => debug.stderr.on('data', (chunk) => {
    said += chunk;
    const found = /ws:\S+/.exec(said);
    if (found !== null) resolve(found[0]);
  }));
  const socket = new WebSocket(url);
  t.after(() => socket.close());
  const send = (method) => socket.send(JSON.stringify({ id: 1, method }));
  socket.onopen = () => ['Debugger.enable', 'Runtime.runIfWaitingForDebugger'].forEach(send);
  const place = await new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      const { method, params } = JSON.parse(data);
      if (method === 'Debugger.paused') resolve(params.callFrames[0]);
    };
  });
  assert.deepEqual([place.functionName, place.location.lineNumber], ['sum', 1]);
  send('Debugger.resume');
  assert.equal(await output, '42\n');
  assert.equal(await exited, 0);
});

test('frames are printed one a line', () => {
  const bytes = Buffer.concat([encode(KIND.call, { id: 1 }, '{"code":"1"}'), encodeData(7, Buffer.from('x'.repeat(300))), encode(99, {})]);
  const lines = execFileSync(process.execPath, [tool('frames.js'), '>'], { input: bytes, encoding: 'utf8' });
  assert.equal(lines, `> call {"id":1} "{\\"code\\":\\"1\\"}"\n> data {"stream":7} "${'x'.repeat(200)}" … 300 bytes\n> 99 {}\n`);
});
