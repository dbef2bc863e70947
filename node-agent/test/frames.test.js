'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { FrameReader, encode, decode } = require('../shared/frames.js');

const frames = Buffer.concat([encode(2, { id: 1 }, 'é\n{}'), encode(3, {}), encode(4, { id: 2 }, Buffer.alloc(300, 'x'))]);

for (const size of [1, 2, 4, 5, 7, 64, 1000]) {
  test(`frames in chunks of ${size} bytes`, () => {
    const seen = [];
    const reader = new FrameReader(1000, (kind, payload) => {
      const { header, body } = decode(payload);
      seen.push([kind, header, body?.toString()]);
    });
    for (let at = 0; at < frames.length; at += size) reader.push(frames.subarray(at, at + size));
    assert.deepEqual(seen, [[2, { id: 1 }, 'é\n{}'], [3, {}, undefined], [4, { id: 2 }, 'x'.repeat(300)]]);
  });
}

test('a frame over the limit and a malformed header throw', () => {
  const reader = new FrameReader(10, () => {});
  assert.throws(() => reader.push(Buffer.from([0, 0, 0, 11, 1])), /at most 10/);
  for (const text of ['', '[]', 'null', '1', '{']) assert.throws(() => decode(Buffer.from(text)));
});
