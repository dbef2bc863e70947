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
  // Between agent and worker only:
  print: 6, // a line of the console: header {}, body the text
  started: 7, // evaluation begins, for calls that asked to be told
  idle: 8, // the worker takes a call; {"ready": contexts made ahead, "refilling": true while making more}
});

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

// FrameReader cuts a byte stream into frames. push calls onFrame(kind, payload) for each whole one
// and throws when a frame says it is longer than max bytes: the stream cannot be trusted after that.
class FrameReader {
  #chunks = [];
  #length = 0;
  #max;
  #onFrame;

  constructor(max, onFrame) {
    this.#max = max;
    this.#onFrame = onFrame;
  }

  push(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= HEAD) {
      const size = HEAD + this.#payloadLength();
      if (this.#length < size) return;
      const bytes = this.#take(size);
      this.#onFrame(bytes[4], bytes.subarray(HEAD));
    }
  }

  #payloadLength() {
    // Only the first five bytes are joined, so that a large frame coming in small pieces is not
    // copied anew for each of them.
    while (this.#chunks[0].length < HEAD) this.#chunks.splice(0, 2, Buffer.concat(this.#chunks.slice(0, 2)));
    const length = this.#chunks[0].readUInt32BE(0);
    if (length > this.#max) throw new Error(`a frame of ${length} bytes, at most ${this.#max} are allowed`);
    return length;
  }

  #take(size) {
    let joined = this.#chunks[0];
    if (joined.length < size) joined = Buffer.concat(this.#chunks, this.#length);
    if (joined === this.#chunks[0]) this.#chunks.shift();
    else this.#chunks.length = 0;
    if (joined.length > size) this.#chunks.unshift(joined.subarray(size));
    this.#length -= size;
    return joined.subarray(0, size);
  }
}

module.exports = { KIND, FrameReader, encode, decode };
