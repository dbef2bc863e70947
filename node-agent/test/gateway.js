'use strict';
// A small stand-in for the daemon's side of connections. It connects to the ports of this machine that `hosts` names,
// and fails the test if the agent breaks a rule of the link.

const assert = require('node:assert');
const net = require('node:net');
const { CHUNK, KIND, WINDOW, encode, encodeData } = require('../shared/frames.js');

class Gateway {
  hosts = {}; // `name:port` → port on loopback
  opens = []; // {id, host, port}, in the order of arrival
  most = 0; // connections at once
  sent = 0; // bytes to the agent
  received = 0;
  #write;
  #streams = new Map();
  #last = 0;

  constructor(write) {
    this.#write = write;
  }

  get open() {
    return this.#streams.size;
  }

  // frame returns whether the frame was about a connection.
  frame(kind, header, body) {
    if (kind === KIND.open) this.#open(header);
    else if (kind >= KIND.open && kind <= KIND.closed) this.#streamed(this.#streams.get(header.stream), kind, header, body);
    else return false;
    return true;
  }

  // endCall is called when a call is answered.
  endCall(id) {
    for (const stream of this.#streams.values()) if (stream.id === id) this.#close(stream);
  }

  close() {
    for (const { socket } of this.#streams.values()) socket?.destroy();
  }

  #open({ id, stream: number, host, port }) {
    assert.strictEqual(number, ++this.#last);
    this.opens.push({ id, host, port });
    const stream = { id, number, room: WINDOW.in, granted: 0, written: 0, finished: false, ended: false };
    this.#streams.set(number, stream);
    this.most = Math.max(this.most, this.#streams.size);
    const to = this.hosts[`${host}:${port}`];
    if (to === undefined) return this.#close(stream, { code: 'EACCES', message: `connect to ${host}:${port} is not allowed: it is not in hosts of tenant test` });
    if (to === 'never') return undefined;
    const socket = net.connect({ port: to, host: '127.0.0.1', allowHalfOpen: true });
    stream.socket = socket;
    socket.on('connect', () => {
      stream.granted = WINDOW.out;
      this.#send(KIND.opened, stream, { address: '203.0.113.7' });
    });
    socket.on('readable', () => this.#read(stream));
    socket.on('end', () => {
      stream.ended = true;
      this.#send(KIND.finish, stream);
      this.#settle(stream);
    });
    socket.on('error', ({ code }) => this.#close(stream, { code, message: `read ${code}` }));
  }

  #streamed(stream, kind, { stream: number, bytes }, body) {
    assert.ok(number <= this.#last, 'a connection that was not opened');
    if (stream === undefined) return;
    if (kind === KIND.data) {
      assert.ok(!stream.finished && body.length <= CHUNK && body.length <= stream.granted, 'data that was not granted');
      stream.granted -= body.length;
      this.received += body.length;
      stream.socket.write(Buffer.from(body), () => {
        stream.granted += body.length;
        this.#send(KIND.credit, stream, { bytes: body.length });
      });
    } else if (kind === KIND.credit) {
      stream.room += bytes;
      assert.ok(bytes > 0 && stream.room <= WINDOW.in, 'credit for what was not sent');
      this.#read(stream);
    } else if (kind === KIND.finish) {
      assert.ok(!stream.finished);
      stream.finished = true;
      stream.socket.end(() => this.#settle(stream));
    } else {
      assert.strictEqual(kind, KIND.abort);
      this.#close(stream);
    }
  }

  #read(stream) {
    for (;;) {
      const most = Math.min(CHUNK, stream.room, stream.socket.readableLength);
      if (most === 0 && stream.room === 0) return;
      const chunk = most === 0 ? stream.socket.read() : stream.socket.read(most); // the first also makes it end
      if (chunk === null) return;
      stream.room -= chunk.length;
      this.sent += chunk.length;
      if (this.#streams.has(stream.number)) this.#write(encodeData(stream.number, chunk));
    }
  }

  #settle(stream) {
    if (stream.finished && stream.ended) this.#close(stream);
  }

  #close(stream, why = {}) {
    stream.socket?.destroy();
    if (this.#streams.has(stream.number)) this.#send(KIND.closed, stream, why);
    this.#streams.delete(stream.number);
  }

  #send(kind, { number }, header) {
    if (this.#streams.has(number)) this.#write(encode(kind, { stream: number, ...header }));
  }
}

module.exports = { Gateway };
