'use strict';
// Connections of scripts. gateway.js checks what the agent sends.

const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const net = require('node:net');
const { WINDOW } = require('../shared/frames.js');
const { start, inFunction } = require('./link.js');

let agent;
const servers = [];

// serve returns the port of a server that calls a function with each connection.
async function serve(onConnection) {
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
    onConnection(socket);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(() => { server.close(); for (const socket of sockets) socket.destroy(); });
  return server.address().port;
}

const until = async (is) => {
  for (const end = Date.now() + 10_000; !is();) {
    assert.ok(Date.now() < end, 'never');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

before(async () => {
  agent = await start({ network: { call: 4, container: 6 }, result: 1024 * 1024 });
  const { hosts } = agent.gateway;
  hosts['echo.test:80'] = await serve((socket) => socket.pipe(socket));
  hosts['endless.test:80'] = await serve((socket) => {
    const chunk = Buffer.alloc(65536);
    const go = () => { while (!socket.destroyed && socket.write(chunk)); };
    socket.on('drain', go);
    go();
  });
  hosts['deaf.test:80'] = await serve((socket) => socket.pause());
  hosts['late.test:80'] = 'never';
  hosts['reset.test:80'] = await serve((socket) => socket.once('data', () => socket.resetAndDestroy()));
  hosts['half.test:80'] = await serve((socket) => { let text = ''; socket.on('data', (c) => { text += c; }).on('end', () => socket.end(`got ${text}`)); });
  hosts['bye.test:80'] = await serve((socket) => socket.end('bye'));
});
after(async () => {
  servers.forEach((close) => close());
  await agent.close();
});

const CONNECT = `const net = require('net'); const connect = (host, options) => net.connect({ port: 80, host, ...options });`;

for (const [name, code, want] of [
  ['both ways', `const s = connect('echo.test'); s.write('a'); s.write(Buffer.from('b')); s.write('63', 'hex'); s.on('data', (d) => { t += d; if (t === 'abc') cb(t); });`, 'abc'],
  ['several at a time', `const s = connect('echo.test'); s.cork(); s.write('a'); s.write('b'); s.uncork(); s.end(); s.on('data', (d) => { t += d; }).on('end', () => cb(t));`, 'ab'],
  ['written before it is open, ended at once', `connect('half.test').end('x').on('data', (d) => { t += d; }).on('close', (failed) => cb([t, failed]));`, ['got x', false]],
  ['a server that has the first word', `connect('bye.test').on('data', (d) => { t += d; }).on('end', () => cb(t));`, 'bye'],
  ['read late', `const s = connect('bye.test'); setTimeout(() => { s.on('data', (d) => { t += d; }).on('end', () => cb(t)); }, 100);`, 'bye'],
  ['half open', `const s = connect('bye.test', { allowHalfOpen: true }).resume(); s.on('end', () => { cb([s.writable, s.readyState]); });`, [true, 'writeOnly']],
  ['reset', `const s = connect('reset.test'); s.on('error', (e) => cb(e.code)); s.write('x');`, 'ECONNRESET'],
  ['no such place', `connect('nowhere.test').on('error', (e) => { t += e.code; }).on('close', (failed) => cb([t, failed]));`, ['EACCES', true]],
  ['numbers for ports', `net.connect('80', 'bye.test', () => cb('yes'));`, 'yes'],
  ['no port', `try { net.connect({ host: 'x' }); } catch (e) { cb(e.code); }`, 'ERR_SOCKET_BAD_PORT'],
  ['a socket made before', `const s = new net.Socket(); s.setNoDelay(true).setKeepAlive(true); s.connect(80, 'bye.test').on('data', (d) => cb(String(d)));`, 'bye'],
  ['a socket used again', `const s = connect('bye.test').resume(); s.once('close', () => s.connect(80, 'bye.test').once('data', (d) => cb(String(d))));`, 'bye'],
  ['a timeout of its own', `const s = connect('deaf.test'); s.setTimeout(50, () => { s.destroy(); cb('quiet'); });`, 'quiet'],
  ['given up while it connects', `const s = connect('late.test'); setTimeout(() => { s.destroy(); }, 20); s.on('close', () => cb([s.destroyed, s.connecting]));`, [true, false]],
  ['a signal', `const c = new AbortController(); connect('late.test', { signal: c.signal }).on('error', (e) => cb(e.name)); setTimeout(() => c.abort(), 20);`, 'AbortError'],
  ['a write that never comes to be', `const s = connect('late.test'); s.write('x', (e) => cb(e.code)); setTimeout(() => s.destroy(), 20);`, 'ECONNRESET'],
  ['counted', `const s = connect('echo.test'); s.write('abc'); s.on('data', () => cb([s.bytesRead, s.bytesWritten]));`, [3, 3]],
  ['connected twice', `const s = connect('endless.test', { allowHalfOpen: true }).once('connect', () => { s.connect(80, 'bye.test').resume().on('end', () => cb('once')); });`, 'once'],
  ['a name of other letters', `connect('bücher.test').on('error', (e) => cb(e.host));`, 'xn--bcher-kva.test'],
  ['a name that is too long', `connect('x'.repeat(256)).on('error', (e) => cb(e.code));`, 'ENOTFOUND'],
  ['a buffer for what is read', `connect('bye.test', { onread: { buffer: Buffer.alloc(9), callback() {} } }).on('error', (e) => cb(e.message));`, 'connect with onread is not possible: listen to data'],
  ['more than a call may have, one after the other', `let n = 0; const next = () => { if (n++ === 1100) return cb(n); connect('echo.test').on('connect', function () { this.destroy(); }).on('close', next); }; next();`, 1101],
  ['more than may be at once', `let n = 0; for (let i = 0; i < 12; i++) connect('bye.test').resume().on('close', () => { if (++n === 12) cb(n); });`, 12],
]) {
  test(`net: ${name}`, async () => {
    const outcome = await agent.run(inFunction(`${CONNECT} let t = ''; ${code}`), { timeout: 10_000 });
    assert.deepEqual(outcome.value, want, JSON.stringify(outcome));
    await until(() => agent.gateway.open === 0);
    assert.ok(agent.gateway.most <= 4, 'more than a call may have');
  });
}

test('data that the script does not read is not sent', async () => {
  const { gateway } = agent;
  const sent = gateway.sent;
  const call = agent.start({ code: `${CONNECT} connect('endless.test').on('connect', () => {}); export default await host.wait();` }, { callbacks: ['wait'] });
  const { callback } = await call.nextCallback();
  await until(() => gateway.sent - sent >= WINDOW.in);
  await agent.ping();
  assert.ok(gateway.sent - sent <= WINDOW.in + 65536, 'more than was granted, and what a socket reads ahead');
  assert.equal((await agent.run({ code: '1' })).value, 1); // other calls are not blocked
  agent.send(12, { id: call.id, callback }, '2');
  assert.equal((await call.outcome).value, 2);
  await until(() => gateway.open === 0);
});

test('data that the server does not read waits in the worker', async () => {
  const { gateway } = agent;
  const received = gateway.received;
  const { value } = await agent.run(inFunction(`${CONNECT} const s = connect('deaf.test'); let n = 0;
    const go = () => { while (n < 64 << 20 && s.write(Buffer.alloc(1 << 20))) n += 1 << 20; }; s.on('drain', go); go(); setTimeout(() => cb(n), 500);`));
  assert.ok(value < 64 << 20, `${value} bytes were taken`);
  assert.ok(gateway.received - received < 64 << 20);
  await until(() => gateway.open === 0);
});

// The daemon is slow to read a large value.
test('data that waits for the link is sent when the link is free', async () => {
  const { child } = agent;
  const call = agent.start(inFunction(`${CONNECT} const s = connect('echo.test').on('data', (d) => cb(String(d))).on('connect', async () => {
    await host.wait(); setTimeout(() => s.write('late'), 200); });`), { callbacks: ['wait'] });
  const { callback } = await call.nextCallback();
  child.stdout.pause();
  const value = agent.run({ code: `'x'.repeat(1000000)` });
  agent.send(12, { id: call.id, callback }, '2');
  await new Promise((resolve) => setTimeout(resolve, 500));
  child.stdout.resume();
  assert.equal((await value).value.length, 1_000_000);
  assert.equal((await call.outcome).value, 'late');
});

test('the connections of a call end with it, and with its worker', async () => {
  const { gateway } = agent;
  const many = `${CONNECT} for (const host of ['echo.test', 'endless.test', 'late.test']) connect(host).on('error', () => {});`;
  for (const [script, code, timeout = 1500] of [
    [{ code: `${many} 1` }, undefined],
    [inFunction(`${many} setTimeout(() => { throw new Error('x'); }, 50);`), 1000],
    [inFunction(`${many} setTimeout(() => { for (;;); }, 50);`), 1002],
    [inFunction(`${many} setTimeout(() => { const a = []; for (;;) a.push(new Array(1e6).fill(1)); }, 50);`), 1004, 20_000],
  ]) {
    assert.equal((await agent.run(script, { timeout })).code, code);
    await until(() => gateway.open === 0);
  }
  const call = agent.start(inFunction(many));
  await until(() => gateway.open === 3);
  agent.send(3, { id: call.id });
  assert.equal((await call.outcome).code, 1003);
  await until(() => gateway.open === 0);
});

test('callbacks and connections at the same time', async () => {
  const { value } = await agent.run(inFunction(`${CONNECT} const s = connect('echo.test'); let n = 0, calls = 0;
    s.on('data', (d) => { n += d.length; if (n === 3000000) all.then(() => cb([n, calls])); });
    const all = Promise.all(Array.from({ length: 100 }, async (_, i) => { const one = await host.one(i); calls += one; }));
    for (let i = 0; i < 30; i++) s.write(Buffer.alloc(100000));`), { handlers: { one: () => 1 } });
  assert.deepEqual(value, [3_000_000, 100]);
});

test('in a session connections end with their call, and the next call can open new ones', async () => {
  const session = agent.open(1, { code: `${CONNECT} let kept;` });
  assert.equal((await session.opened).code, undefined);
  const first = await session.run({ code: `new Promise((ok) => { kept = connect('echo.test').on('connect', () => ok(kept.readyState)); })` });
  assert.equal(first.value, 'open');
  await until(() => agent.gateway.open === 0);
  assert.equal((await session.run({ code: 'kept.destroyed' })).value, true);
  const text = `new Promise((ok) => connect('bye.test').on('data', (d) => ok(String(d))))`;
  assert.equal((await session.run({ code: text })).value, 'bye');
  assert.equal((await session.run({ code: `fetch('http://nowhere.test').catch((e) => e.cause.code)` })).value, 'EACCES');
  session.close();
  await session.ended;
});

test('a call does not find changes of another call in the network modules', async () => {
  await agent.run({ code: `require('http').globalAgent.mine = 1; require('tls').DEFAULT_CIPHERS = 'x'; globalThis.fetch = 1; 1` });
  for (let i = 0; i < 4; i++) {
    assert.deepEqual((await agent.run({ code: `[require('http').globalAgent.mine, require('tls').DEFAULT_CIPHERS === 'x', typeof fetch]` })).value, [null, false, 'function']);
  }
});
