'use strict';
// Golden frames, which the daemon's tests read too: both sides have to write them byte for byte.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { KIND, FrameReader, decodeFrame, encode, encodeData } = require('../shared/frames.js');

const frames = require('../../containers/testdata/frames/frames.json');

for (const { name, kind, header, body, hex } of frames) {
  test(`golden frame: ${name}`, () => {
    const frame = kind === KIND.data ? encodeData(header.stream, Buffer.from(body)) : encode(kind, header, body);
    assert.equal(frame.toString('hex'), hex);
    const seen = [];
    new FrameReader(1 << 20, (...frame) => seen.push(frame)).push(Buffer.from(hex, 'hex'));
    assert.equal(seen.length, 1);
    const read = decodeFrame(...seen[0]);
    assert.deepEqual([seen[0][0], read.header, read.body?.toString()], [kind, header, body]);
  });
}

test('every kind of the link has a golden frame with its number', () => {
  const { collect, started, idle, ...link } = KIND; // these are between agent and worker
  const golden = {
    hello: 'hello to agent', call: 'call with code', cancel: 'cancel', result: 'result', failure: 'exception', bundle: 'bundle, last part',
    print: 'print', callback: 'callback', reply: 'reply', close: 'close', ended: 'ended',
    ping: 'ping', pong: 'pong',
    open: 'open', opened: 'opened', data: 'data to agent', credit: 'credit to agent', finish: 'finish to agent', abort: 'abort', closed: 'closed',
  };
  const kindOf = (name) => frames.find((frame) => frame.name === name).kind;
  assert.deepEqual(Object.fromEntries(Object.entries(golden).map(([kind, name]) => [kind, kindOf(name)])), link);
});
