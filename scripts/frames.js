'use strict';
// Reads the bytes of one direction of a link from standard input, and prints a line for each frame: the text in front
// that was given as an argument, the kind, the header, and the first characters of the body.
//
//   $(scripts/node) scripts/frames.js [TEXT] <BYTES
//
// scripts/tap-node gets at the bytes.

const { KIND, FrameReader, decodeFrame } = require('../node-agent/shared/frames.js');

const SHOWN = 200; // characters of a body
const LONGEST = 2 ** 32; // bytes of a frame

const names = Object.fromEntries(Object.entries(KIND).map(([name, kind]) => [kind, name]));
const [text = ''] = process.argv.slice(2);

const reader = new FrameReader(LONGEST, (kind, payload) => {
  const { header, body } = decodeFrame(kind, payload);
  const shown = body === undefined ? '' : ` ${JSON.stringify(body.toString('utf8', 0, SHOWN))}${body.length > SHOWN ? ` … ${body.length} bytes` : ''}`;
  console.log(`${text} ${names[kind] ?? kind} ${JSON.stringify(header)}${shown}`.trimStart());
});
process.stdin.on('data', (chunk) => reader.push(chunk));
