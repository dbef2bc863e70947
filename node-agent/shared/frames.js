'use strict';
// Frames, as the link and the pipes to the workers use them: 4 bytes of payload length (big-endian),
// 1 byte of kind, the payload. A payload is one line of JSON, the header; a body, if any, stands
// behind the first newline.

const KIND = Object.freeze({
  hello: 1,
  call: 2,
  cancel: 3,
  result: 4,
  failure: 5,
  bundle: 9, // a part of a folder of sources
  print: 10, // a line of the console; a worker names its level only for calls with stream
  callback: 11, // host.NAME(...args); a worker leaves the number out, which both sides count
  reply: 12, // to a callback
  close: 13, // ends a session
  ended: 14, // a session is gone
  ping: 15, // asks for a pong
  pong: 16,
  open: 17, // a connection to a host
  opened: 18,
  data: 19, // of a connection: 4 bytes with its number, and no header
  credit: 20, // how many bytes more the other side may send
  finish: 21, // no more data from this side
  abort: 22, // to the daemon: ends a connection
  closed: 23, // to the agent: a connection is gone, and why
  // Between agent and worker only:
  collect: 6, // asks the worker to collect its garbage, and to say idle again, with {"collected": true}
  started: 7, // evaluation begins, for calls that asked to be told
  idle: 8, // the worker takes a call; {"ready": contexts made ahead, "refilling": true while making more}
});

const LARGE = 64 * 1024;
const CHUNK = 16 * 1024; // bytes in a frame of data, at most
const WINDOW = Object.freeze({ in: 256 * 1024, out: 64 * 1024 }); // bytes of a connection that need no credit yet, as the worker sees it
const CONNECTIONS = Object.freeze({ most: 1000, host: 255 }); // of a worker at once, those that wait among them; characters of a host
const NUMBER = 4; // bytes of a connection's number in front of its data
const HEAD = 5;
const NEWLINE = 0x0a;

// encode returns the frame as one Buffer. header is plain JSON data made here, never a script's
// object; body is a Buffer, a string or undefined.
function encode(kind, header, body) {
  const line = JSON.stringify(header);
  const lineLength = Buffer.byteLength(line);
  const bodyLength = body === undefined ? 0 : 1 + (typeof body === 'string' ? Buffer.byteLength(body) : body.length);
  const frame = Buffer.allocUnsafe(HEAD + lineLength + bodyLength);
  frame.writeUInt32BE(lineLength + bodyLength, 0);
  frame[4] = kind;
  frame.write(line, HEAD);
  if (body !== undefined) {
    const at = HEAD + lineLength;
    frame[at] = NEWLINE;
    if (typeof body === 'string') frame.write(body, at + 1);
    else body.copy(frame, at + 1);
  }
  return frame;
}

// decode parses a payload's header and leaves its body as bytes. It throws on anything that is not a
// JSON object.
function decode(payload) {
  const newline = payload.indexOf(NEWLINE);
  const line = newline < 0 ? payload : payload.subarray(0, newline);
  const header = JSON.parse(line.toString());
  if (header === null || typeof header !== 'object' || Array.isArray(header)) throw new Error('a header has to be an object');
  return { header, body: newline < 0 ? undefined : payload.subarray(newline + 1) };
}

// encodeData is encode for bytes of a connection.
function encodeData(stream, bytes) {
  const frame = Buffer.allocUnsafe(HEAD + NUMBER + bytes.length);
  frame.writeUInt32BE(NUMBER + bytes.length, 0);
  frame[4] = KIND.data;
  frame.writeUInt32BE(stream, HEAD);
  frame.set(bytes, HEAD + NUMBER);
  return frame;
}

// decodeFrame is decode for a frame of any kind: the header of data says its stream.
function decodeFrame(kind, payload) {
  if (kind !== KIND.data) return decode(payload);
  if (payload.length <= NUMBER || payload.length > NUMBER + CHUNK) throw new Error(`data of ${payload.length} bytes`);
  return { header: { stream: payload.readUInt32BE(0) }, body: payload.subarray(NUMBER) };
}

// FrameReader cuts a byte stream into frames. push calls onFrame(kind, payload) for each whole one
// and throws when a frame says it is longer than max bytes: the stream cannot be trusted after that.
class FrameReader {
  #max;
  #onFrame;
  // Of a frame that comes in several chunks: its memory is taken once, as large as it says it is, so that a
  // large one is not copied anew for each piece, and leaves nothing else behind.
  #head = Buffer.alloc(HEAD);
  #headFilled = 0;
  #payload;
  #filled = 0;

  constructor(max, onFrame) {
    this.#max = max;
    this.#onFrame = onFrame;
  }

  push(chunk) {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headFilled === 0 && chunk.length - at >= HEAD) {
        const end = at + HEAD + this.#allowed(chunk.readUInt32BE(at));
        if (end <= chunk.length) {
          this.#onFrame(chunk[at + 4], chunk.subarray(at + HEAD, end));
          at = end;
          continue;
        }
      }
      at = this.#collect(chunk, at);
    }
  }

  #allowed(length) {
    if (length > this.#max) throw new Error(`a frame of ${length} bytes, at most ${this.#max} are allowed`);
    return length;
  }

  // #collect takes what the chunk has of the frame that has begun, and says where it stopped.
  #collect(chunk, from) {
    let at = from;
    if (this.#payload === undefined) {
      const taken = chunk.copy(this.#head, this.#headFilled, at, at + HEAD - this.#headFilled);
      this.#headFilled += taken;
      at += taken;
      if (this.#headFilled < HEAD) return at;
      this.#payload = Buffer.allocUnsafeSlow(this.#allowed(this.#head.readUInt32BE(0)));
      this.#filled = 0;
    }
    const taken = chunk.copy(this.#payload, this.#filled, at);
    this.#filled += taken;
    if (this.#filled === this.#payload.length) {
      const payload = this.#payload;
      this.#payload = undefined;
      this.#headFilled = 0;
      this.#onFrame(this.#head[4], payload);
    }
    return at + taken;
  }
}

// writeFrame writes a frame to a stream. A large body is not copied for it.
function writeFrame(stream, kind, header, body, written) {
  if (!Buffer.isBuffer(body) || body.length < LARGE) {
    stream.write(encode(kind, header, body), written);
    return;
  }
  const head = Buffer.from(`\0\0\0\0\0${JSON.stringify(header)}\n`);
  head.writeUInt32BE(head.length - HEAD + body.length, 0);
  head[4] = kind;
  stream.write(head);
  stream.write(body, written);
}

module.exports = { CHUNK, CONNECTIONS, KIND, WINDOW, FrameReader, decode, decodeFrame, encode, encodeData, writeFrame };
