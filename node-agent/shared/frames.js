'use strict';
// The frames of the link between daemon and agent, and of the sockets between agent and workers. A frame is 4 bytes of
// payload length (big-endian), 1 byte of kind, and the payload. A payload is one line of JSON, the header; after the
// first newline comes the body, if there is one. containers/doc.go in the daemon describes each kind.

const KIND = Object.freeze({
  hello: 1,
  call: 2,
  cancel: 3,
  result: 4,
  failure: 5,
  bundle: 9, // a part of a source tree that calls name
  print: 10, // a line of the console; a worker sends its level only for calls with `stream`
  callback: 11, // host.NAME(...args); a worker sends no number, since both sides count
  reply: 12, // the reply to a callback
  close: 13, // ends a session
  ended: 14, // a session has ended
  ping: 15, // asks for a pong
  pong: 16,
  open: 17, // asks for a connection to a host
  opened: 18,
  data: 19, // bytes of a connection: 4 bytes with the connection's number stand in place of a header
  credit: 20, // how many more bytes the other side may send
  finish: 21, // no more data comes from this side
  abort: 22, // to the daemon: ends a connection
  closed: 23, // to the agent: a connection has ended, and why
  // Between agent and worker only:
  collect: 6, // asks the worker to collect its garbage, and to send idle with {"collected": true}
  started: 7, // the evaluation starts; for calls with `tell`
  idle: 8, // the worker takes a call; {"ready": contexts made ahead, "refilling": whether it makes more}
});

const LEVELS = new Set(['log', 'info', 'warn', 'error', 'debug']); // of a printed line

const CHUNK = 16 * 1024; // bytes of data in a frame, at most

// WINDOW is the bytes that may come in and go out of a worker's connection before credit is granted.
const WINDOW = Object.freeze({ in: 256 * 1024, out: 64 * 1024 });

// CONNECTIONS are limits of a worker: its connections at once, waiting ones included, and the characters of a host name.
const CONNECTIONS = Object.freeze({ most: 1_000, host: 255 });

const HEAD = 5; // bytes before the payload
const STREAM = 4; // bytes of a connection's number before its data
const NEWLINE = 0x0a;
const LARGE = 64 * 1024; // bytes of a body that is not copied into one Buffer with its header

// encode returns the frame as one Buffer. header is plain JSON data made by this program, never a script's object;
// body is a Buffer, a string or undefined.
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

// encodeData returns the frame of a connection's bytes.
function encodeData(stream, bytes) {
  const frame = Buffer.allocUnsafe(HEAD + STREAM + bytes.length);
  frame.writeUInt32BE(STREAM + bytes.length, 0);
  frame[4] = KIND.data;
  frame.writeUInt32BE(stream, HEAD);
  frame.set(bytes, HEAD + STREAM);
  return frame;
}

// writeFrame writes a frame to a socket without copying a large body. written is called when the socket has taken
// all of it.
function writeFrame(socket, kind, header, body, written) {
  if (!Buffer.isBuffer(body) || body.length < LARGE) {
    socket.write(encode(kind, header, body), written);
    return;
  }
  const head = Buffer.from(`\0\0\0\0\0${JSON.stringify(header)}\n`);
  head.writeUInt32BE(head.length - HEAD + body.length, 0);
  head[4] = kind;
  socket.write(head);
  socket.write(body, written);
}

// decode parses a payload's header and leaves the body as bytes. It throws if the header is no JSON object.
function decode(payload) {
  const newline = payload.indexOf(NEWLINE);
  const line = newline < 0 ? payload : payload.subarray(0, newline);
  const header = JSON.parse(line.toString());
  if (header === null || typeof header !== 'object' || Array.isArray(header)) throw new Error('a header has to be an object');
  return { header, body: newline < 0 ? undefined : payload.subarray(newline + 1) };
}

// decodeFrame decodes the payload of any kind of frame: data has the header {stream}.
function decodeFrame(kind, payload) {
  if (kind !== KIND.data) return decode(payload);
  if (payload.length <= STREAM || payload.length > STREAM + CHUNK) throw new Error(`data of ${payload.length} bytes`);
  return { header: { stream: payload.readUInt32BE(0) }, body: payload.subarray(STREAM) };
}

// FrameReader cuts a byte stream into frames.
class FrameReader {
  #max;
  #onFrame;
  // A frame that comes in several chunks. Its payload is allocated once, in the length that the frame says, so that a
  // large payload is not copied again with each chunk.
  #head = Buffer.alloc(HEAD);
  #headFilled = 0;
  #payload;
  #filled = 0;

  // onFrame(kind, payload) is called for each whole frame. max is the length in bytes of the longest payload.
  constructor(max, onFrame) {
    this.#max = max;
    this.#onFrame = onFrame;
  }

  // push takes the next chunk of the stream. It throws if a frame is longer than max, and what onFrame throws; after
  // either the stream cannot be trusted.
  push(chunk) {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headFilled === 0 && chunk.length - at >= HEAD) {
        const end = at + HEAD + this.#checked(chunk.readUInt32BE(at));
        if (end <= chunk.length) {
          this.#onFrame(chunk[at + 4], chunk.subarray(at + HEAD, end));
          at = end;
          continue;
        }
      }
      at = this.#collect(chunk, at);
    }
  }

  #checked(length) {
    if (length > this.#max) throw new Error(`a frame of ${length} bytes, at most ${this.#max} are allowed`);
    return length;
  }

  // #collect copies the chunk's part of a frame in pieces, and returns the position behind that part.
  #collect(chunk, from) {
    let at = from;
    if (this.#payload === undefined) {
      const copied = chunk.copy(this.#head, this.#headFilled, at, at + HEAD - this.#headFilled);
      this.#headFilled += copied;
      at += copied;
      if (this.#headFilled < HEAD) return at;
      this.#payload = Buffer.allocUnsafeSlow(this.#checked(this.#head.readUInt32BE(0)));
      this.#filled = 0;
    }
    const copied = chunk.copy(this.#payload, this.#filled, at);
    this.#filled += copied;
    if (this.#filled === this.#payload.length) {
      const payload = this.#payload;
      this.#payload = undefined;
      this.#headFilled = 0;
      this.#onFrame(this.#head[4], payload);
    }
    return at + copied;
  }
}

module.exports = { CHUNK, CONNECTIONS, KIND, LEVELS, WINDOW, FrameReader, decode, decodeFrame, encode, encodeData, writeFrame };
