'use strict';
// The frames that the daemon's tests know too: both sides write them to the byte.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { FrameReader, encode, decode } = require('../frames.js');

const frames = require('../../containers/testdata/frames/frames.json');

for (const { name, kind, header, body, hex } of frames) {
  test(`golden frame: ${name}`, () => {
    assert.equal(encode(kind, header, body).toString('hex'), hex);
    const seen = [];
    new FrameReader(1 << 20, (...frame) => seen.push(frame)).push(Buffer.from(hex, 'hex'));
    assert.equal(seen.length, 1);
    const read = decode(seen[0][1]);
    assert.deepEqual([seen[0][0], read.header, read.body?.toString()], [kind, header, body]);
  });
}
