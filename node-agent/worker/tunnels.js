'use strict';
// The worker's end of the connections that a call has through the daemon. Bytes go both ways with credit: each side
// sends no more than the other one has granted.
//
//	open ─► opened ─► data, credit … ─► finish from each side ─► closed
//	  └──────────────── abort ────────────────────────────────┘

const { CHUNK, CONNECTIONS, KIND, WINDOW } = require('../shared/frames.js');

// connectError returns the error that a script gets about a connection.
function connectError(code, message, { host, port }) {
  return Object.assign(new Error(message), { code, syscall: 'connect', host, port });
}

// A Tunnel is one connection. Its user has onOpened(address); onData(chunk), which returns whether more is wanted now;
// onEnd(), for the last byte of the other side; and onClosed(error), called at most once, for the end of both.
class Tunnel {
  #number;
  #place; // {host, port}
  #user;
  #agent;
  #received = []; // chunks that the user did not want yet
  #wanted = false;
  #consumed = 0; // bytes that the user took and that were not granted again yet
  #ended = false; // the other side has sent its last byte
  #room = WINDOW.out; // bytes that may be sent
  #outgoing = []; // {bytes, done}
  #finishing = false;
  #gone = false; // the agent does not know the connection any more
  opened = false;
  closed = false;
  bytesRead = 0;
  bytesWritten = 0;

  // agent has send(kind, header), sendData(number, bytes), and forget(number), after which nothing more is sent.
  constructor(number, place, user, agent) {
    this.#number = number;
    this.#place = place;
    this.#user = user;
    this.#agent = agent;
  }

  // read says that the user wants data, until onData returns false.
  read() {
    this.#wanted = true;
    this.#deliver();
  }

  // write sends bytes. done(error) is called when they are on their way, or never will be.
  write(bytes, done) {
    if (this.closed) return done(connectError('EPIPE', 'write EPIPE', this.#place));
    this.bytesWritten += bytes.length;
    this.#outgoing.push({ bytes, done });
    return this.#flush();
  }

  // finish says that nothing follows the bytes that were written.
  finish() {
    this.#finishing = true;
    this.#flush();
  }

  // abort ends the connection. onClosed is not called.
  abort() {
    if (this.closed) return;
    this.#send(KIND.abort);
    this.#agent.forget(this.#number);
    this.#close();
  }

  // onCallEnded is called when the call has its outcome, by which the agent has ended the connection.
  onCallEnded() {
    this.#gone = true;
    if (!this.closed) this.#user.onClosed();
    this.#close();
  }

  onFrame(kind, header, body) {
    if (this.closed) return;
    switch (kind) {
      case KIND.opened:
        this.opened = true;
        this.#user.onOpened(header.address);
        this.#flush();
        break;
      case KIND.data:
        this.#received.push(Buffer.from(body)); // a copy, since the chunk holds other frames too
        this.#deliver();
        break;
      case KIND.credit:
        this.#room += header.bytes;
        this.#flush();
        break;
      case KIND.finish:
        this.#ended = true;
        this.#deliver();
        break;
      case KIND.closed:
        this.#onClosed(header);
        break;
    }
  }

  // #onClosed comes when both sides have finished, or with an error. After an orderly end the received data can still be
  // read.
  #onClosed({ code, message }) {
    this.#gone = true;
    if (code === undefined) return;
    this.#user.onClosed(connectError(code, message, this.#place));
    this.#close();
  }

  #close() {
    this.closed = true;
    this.#received = [];
    for (const { done } of this.#outgoing.splice(0)) done(connectError('ECONNRESET', 'the connection has ended', this.#place));
  }

  #send(kind, header) {
    if (!this.#gone) this.#agent.send(kind, { stream: this.#number, ...header });
  }

  #deliver() {
    while (this.#wanted && this.#received.length > 0) {
      const chunk = this.#received.shift();
      this.bytesRead += chunk.length;
      this.#grant(chunk.length);
      this.#wanted = false; // read, called by onData, sets it again
      if (this.#user.onData(chunk)) this.#wanted = true;
    }
    if (this.#ended && this.#received.length === 0 && !this.closed) {
      this.#ended = false;
      this.#user.onEnd();
    }
  }

  #grant(bytes) {
    this.#consumed += bytes;
    if (this.#consumed < WINDOW.in / 4) return;
    this.#send(KIND.credit, { bytes: this.#consumed });
    this.#consumed = 0;
  }

  #flush() {
    while (this.opened && this.#room > 0 && this.#outgoing.length > 0) {
      const first = this.#outgoing[0];
      const part = first.bytes.subarray(0, Math.min(CHUNK, this.#room));
      if (part.length > 0) this.#agent.sendData(this.#number, part);
      this.#room -= part.length;
      first.bytes = first.bytes.subarray(part.length);
      if (first.bytes.length === 0) this.#outgoing.shift().done();
    }
    if (this.opened && this.#finishing && this.#outgoing.length === 0) {
      this.#finishing = false;
      this.#send(KIND.finish);
    }
  }
}

// Tunnels are the connections of one worker.
class Tunnels {
  #isCallRunning;
  #agent;
  #open = new Map(); // number → Tunnel
  #last = 0;

  // isCallRunning() says whether there is a call for which a connection may be opened. send(kind, header) and
  // sendData(number, bytes) send to the agent.
  constructor(isCallRunning, send, sendData) {
    this.#isCallRunning = isCallRunning;
    this.#agent = { send, sendData, forget: (number) => this.#open.delete(number) };
  }

  // open asks for a connection. It throws between calls, for more connections than a call may have, and for a name that
  // is too long for a host.
  open(host, port, user) {
    const place = { host, port };
    if (!this.#isCallRunning()) throw connectError('ECONNABORTED', `connect to ${host}:${port} is not possible: the call has ended`, place);
    if (host.length > CONNECTIONS.host) throw connectError('ENOTFOUND', `getaddrinfo ENOTFOUND ${host.slice(0, 100)}…`, place);
    if (this.#open.size >= CONNECTIONS.most) throw connectError('EMFILE', `connect to ${host}:${port} is not possible: the call has ${CONNECTIONS.most} connections`, place);
    const number = ++this.#last;
    const tunnel = new Tunnel(number, place, user, this.#agent);
    this.#open.set(number, tunnel);
    this.#agent.send(KIND.open, { stream: number, host, port });
    return tunnel;
  }

  onFrame(kind, header, body) {
    const tunnel = this.#open.get(header.stream);
    if (kind === KIND.closed) this.#open.delete(header.stream);
    tunnel?.onFrame(kind, header, body);
  }

  // endAll ends all connections, as the agent does by itself when the call has its outcome.
  endAll() {
    const all = [...this.#open.values()];
    this.#open.clear();
    for (const tunnel of all) tunnel.onCallEnded();
  }
}

module.exports = { Tunnels };
