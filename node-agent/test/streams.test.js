'use strict';
// The agent's part in connections: what it accepts of a worker, and how workers and calls share the link.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { CHUNK, KIND, WINDOW } = require('../shared/frames.js');
const { Streams } = require('../agent/streams.js');

// rig returns Streams whose link and workers record what they get.
function rig(limits = { call: 2, container: 3 }) {
  const sent = [];
  const link = {
    blocked: false,
    send: (kind, header) => sent.push([kind, header]),
    sendData: (stream, bytes) => sent.push([KIND.data, stream, bytes.length]),
    isBusy: () => link.blocked,
  };
  const streams = new Streams(limits, link);
  let calls = 0;
  const worker = () => {
    const got = [];
    const one = { got, send: (kind, header) => got.push([kind, header]), sendData: (stream, bytes) => got.push([KIND.data, stream, bytes.length]) };
    one.call = { id: ++calls, worker: one };
    one.say = (kind, header, body) => streams.fromWorker(one, one.call, kind, header, body);
    one.open = (stream, more) => one.say(KIND.open, { stream, host: 'api.test', port: 80, ...more });
    return one;
  };
  const opened = (...numbers) => numbers.forEach((stream) => streams.fromDaemon(KIND.opened, { stream }));
  return { streams, link, sent, worker, opened };
}

test('a frame that no worker would send throws', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] }); // of connections that wait
  const lies = {
    'not the next': (w) => w.open(3),
    'one again': (w) => w.open(1),
    'no number': (w) => w.open(undefined),
    'no host': (w) => w.open(2, { host: '' }),
    'a host that is no text': (w) => w.open(2, { host: ['x'] }),
    'an endless host': (w) => w.open(2, { host: 'x'.repeat(256) }),
    'port 0': (w) => w.open(2, { port: 0 }),
    'port 65536': (w) => w.open(2, { port: 65536 }),
    'a port that is no number': (w) => w.open(2, { port: '80' }),
    'between calls': (w) => { w.call = undefined; w.open(2); },
    'more than wait': (w) => { for (let i = 2; i < 2000; i++) w.open(i); },
    'data of one that is not open': (w) => w.say(KIND.data, { stream: 2 }, Buffer.alloc(1)),
    'data of one without a number': (w) => w.say(KIND.data, {}, Buffer.alloc(1)),
    'data of one that waits': (w) => { w.open(2); w.open(3); w.say(KIND.data, { stream: 3 }, Buffer.alloc(1)); },
    'data that was not granted': (w) => { for (let i = 0; i <= WINDOW.out / CHUNK; i++) w.say(KIND.data, { stream: 1 }, Buffer.alloc(CHUNK)); },
    'data behind the last': (w) => { w.say(KIND.finish, { stream: 1 }); w.say(KIND.data, { stream: 1 }, Buffer.alloc(1)); },
    'the end twice': (w) => { w.say(KIND.finish, { stream: 1 }); w.say(KIND.finish, { stream: 1 }); },
    'the end of one that is not open yet': (w) => { w.open(2); w.say(KIND.finish, { stream: 2 }); },
    'credit for what was not sent': (w) => w.say(KIND.credit, { stream: 1, bytes: 1 }),
    'credit that is no number': (w) => w.say(KIND.credit, { stream: 1, bytes: '1' }),
    'credit below 0': (w) => w.say(KIND.credit, { stream: 1, bytes: -1 }),
  };
  for (const [name, lie] of Object.entries(lies)) {
    const { worker, opened } = rig();
    const one = worker();
    one.open(1);
    opened(1);
    assert.throws(() => lie(one), Error, name);
  }
});

test('numbers of one worker mean nothing to another', () => {
  const { sent, worker, opened } = rig();
  const [one, two] = [worker(), worker()];
  one.open(1);
  two.open(1);
  opened(1, 2);
  two.say(KIND.data, { stream: 1 }, Buffer.alloc(5));
  two.say(KIND.abort, { stream: 1 });
  assert.throws(() => two.say(KIND.abort, { stream: 2 }));
  assert.deepEqual(sent.slice(2), [[KIND.data, 2, 5], [KIND.abort, { stream: 2 }]]);
  assert.deepEqual(one.got, [[KIND.opened, { stream: 1, address: undefined }]]);
});

test('connections over the limit of a call, and of all calls, wait in line', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { streams, sent, worker } = rig({ call: 2, container: 3 });
  const [one, two] = [worker(), worker()];
  for (let i = 1; i <= 4; i++) one.open(i);
  for (let i = 1; i <= 2; i++) two.open(i);
  const asked = () => sent.filter(([kind]) => kind === KIND.open).map(([, { id, stream }]) => `${id}:${stream}`).join();
  assert.equal(asked(), '1:1,1:2,2:3');
  one.say(KIND.abort, { stream: 1 }); // the daemon has not seen it yet
  assert.equal(asked(), '1:1,1:2,2:3');
  streams.fromDaemon(KIND.closed, { stream: 1 });
  assert.equal(asked(), '1:1,1:2,2:3,1:4');
  streams.fromDaemon(KIND.closed, { stream: 2 });
  assert.equal(asked(), '1:1,1:2,2:3,1:4,1:5');
  streams.endCall(one.call);
  streams.fromDaemon(KIND.closed, { stream: 4 });
  assert.equal(asked(), '1:1,1:2,2:3,1:4,1:5,2:6');
  assert.throws(() => streams.fromDaemon(KIND.closed, { stream: 4 }));
});

test('a connection that waits too long is closed with the reason', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { sent, worker, opened } = rig({ call: 1, container: 1 });
  const one = worker();
  one.open(1);
  opened(1);
  one.open(2);
  t.mock.timers.tick(10_000);
  assert.equal(sent.length, 1);
  const [kind, { stream, code, message }] = one.got.at(-1);
  assert.deepEqual([kind, stream, code], [KIND.closed, 2, 'ETIMEDOUT']);
  assert.match(message, /^connect to api\.test:80 is not possible: at most 1 connections of a call/);
});

test('data waits while the link is busy, takes turns, and is joined to full frames', () => {
  const { streams, link, sent, worker, opened } = rig();
  const one = worker();
  one.open(1);
  one.open(2);
  opened(1, 2);
  link.blocked = true;
  for (let i = 0; i < 10; i++) one.say(KIND.data, { stream: 1 }, Buffer.alloc(2000));
  one.say(KIND.data, { stream: 2 }, Buffer.alloc(7));
  one.say(KIND.finish, { stream: 2 });
  assert.equal(sent.length, 2);
  link.blocked = false;
  streams.onDrain();
  assert.deepEqual(sent.slice(2), [[KIND.data, 1, CHUNK], [KIND.data, 2, 7], [KIND.finish, { stream: 2 }], [KIND.data, 1, 20_000 - CHUNK]]);
});

test('data that was written before an abort is sent first', () => {
  const { streams, link, sent, worker, opened } = rig();
  const one = worker();
  one.open(1);
  one.open(2);
  opened(1, 2);
  link.blocked = true;
  for (const stream of [1, 2]) {
    one.say(KIND.data, { stream }, Buffer.alloc(CHUNK + 1));
    one.say(KIND.abort, { stream });
  }
  streams.fromDaemon(KIND.closed, { stream: 2 });
  link.blocked = false;
  streams.onDrain();
  assert.deepEqual(sent.slice(2), [[KIND.data, 1, CHUNK], [KIND.data, 1, 1], [KIND.abort, { stream: 1 }]]);
});

test('frames of the daemon for an aborted connection are dropped, except closed', () => {
  const { streams, worker, opened } = rig();
  const one = worker();
  one.open(1);
  opened(1);
  one.say(KIND.abort, { stream: 1 });
  const before = one.got.length;
  streams.fromDaemon(KIND.data, { stream: 1 }, Buffer.alloc(5));
  streams.fromDaemon(KIND.credit, { stream: 1, bytes: 5 });
  streams.fromDaemon(KIND.closed, { stream: 1 });
  one.say(KIND.abort, { stream: 1 }); // the worker may not know that it is closed
  assert.equal(one.got.length, before);
});
