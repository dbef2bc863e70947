'use strict';
// The worker's end of the connections that a call has through the daemon. Bytes go both ways with credit: the
// daemon sends no more than was granted here, and gets no more than it granted.
//
//	open ─► opened ─► data, credit … ─► finish, each way ─► closed
//	  └──────────────── abort ────────────────────────────────┘

const { CHUNK, CONNECTIONS, KIND, WINDOW } = require('../shared/frames.js');

// failure is the error that a script gets of a connection.
function failure({ code, message }, { host, port }) {
  const error = new Error(message);
  return Object.assign(error, { code, syscall: 'connect', host, port });
}

// A Tunnel is one connection. Whoever opened it has onOpened(address), onData(chunk), which says whether more is
// wanted now, onEnd() for the other side's last byte, and onClosed(error) once for the end of all.
class Tunnel {
  #number;
  #send;
  #sendData;
  #forget;
  #user;
  #place;
  #received = []; // chunks that were not wanted yet
  #wanted = false;
  #owed = 0; // bytes that were taken and not granted anew
  #ended = false; // the other side has sent its last byte
  #room = WINDOW.out; // bytes that may go out
  #going = []; // {bytes, done}, from what is to go out
  #finishing = false;
  #gone = false; // the other side knows it no more
  opened = false;
  closed = false;
  bytesRead = 0;
  bytesWritten = 0;

  // agent has send(kind, header) and sendData(number, bytes), and forget(), after which it says nothing more.
  constructor(number, place, user, { send, sendData, forget }) {
    this.#number = number;
    this.#place = place;
    this.#user = user;
    this.#send = send;
    this.#sendData = sendData;
    this.#forget = forget;
  }

  // read says that onData may be called, until it says no.
  read() {
    this.#wanted = true;
    this.#deliver();
  }

  // write takes bytes; done(error) is called when they are on their way, or never will be.
  write(bytes, done) {
    if (this.closed) return done(failure({ code: 'EPIPE', message: 'write EPIPE' }, this.#place));
    this.bytesWritten += bytes.length;
    this.#going.push({ bytes, done });
    return this.#flush();
  }

  // finish says that nothing follows what was written.
  finish() {
    this.#finishing = true;
    this.#flush();
  }

  // abort ends it; onClosed is not called any more.
  abort() {
    if (this.closed) return;
    this.#tell(KIND.abort);
    this.#forget();
    this.#drop();
  }

  // end is abort where the other side knows already, and tells its user.
  end() {
    this.#gone = true;
    if (!this.closed) this.#user.onClosed();
    this.#drop();
  }

  #drop() {
    this.closed = true;
    this.#received = [];
    for (const { done } of this.#going.splice(0)) done(failure({ code: 'ECONNRESET', message: 'the connection has ended' }, this.#place));
  }

  #tell(kind, header) {
    if (!this.#gone) this.#send(kind, { stream: this.#number, ...header });
  }

  // frame takes what the agent says.
  frame(kind, header, body) {
    if (this.closed) return;
    switch (kind) {
      case KIND.opened:
        this.opened = true;
        this.#user.onOpened(header.address);
        this.#flush();
        break;
      case KIND.data:
        this.#received.push(Buffer.from(body)); // a copy: what it is a part of has other frames
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
        this.#close(header);
        break;
    }
  }

  #deliver() {
    while (this.#wanted && this.#received.length > 0) {
      const chunk = this.#received.shift();
      this.bytesRead += chunk.length;
      this.#grant(chunk.length);
      this.#wanted = false;
      if (this.#user.onData(chunk)) this.#wanted = true; // or it was asked for meanwhile
    }
    if (this.#ended && this.#received.length === 0 && !this.closed) {
      this.#ended = false;
      this.#user.onEnd();
    }
  }

  #grant(bytes) {
    this.#owed += bytes;
    if (this.#owed < WINDOW.in / 4) return;
    this.#tell(KIND.credit, { bytes: this.#owed });
    this.#owed = 0;
  }

  #flush() {
    while (this.opened && this.#room > 0 && this.#going.length > 0) {
      const first = this.#going[0];
      const part = first.bytes.subarray(0, Math.min(CHUNK, this.#room));
      if (part.length > 0) this.#sendData(this.#number, part);
      this.#room -= part.length;
      first.bytes = first.bytes.subarray(part.length);
      if (first.bytes.length === 0) this.#going.shift().done();
    }
    if (this.opened && this.#finishing && this.#going.length === 0) {
      this.#finishing = false;
      this.#tell(KIND.finish);
    }
  }

  // #close comes when both sides have finished, or by force. What came before an orderly end can still be read.
  #close({ code, message }) {
    this.#gone = true;
    if (code === undefined) return;
    this.#user.onClosed(failure({ code, message }, this.#place));
    this.#drop();
  }
}

// Tunnels are those of one worker.
class Tunnels {
  #send;
  #sendData;
  #open = new Map(); // number → Tunnel
  #last = 0;
  #running;

  // running() says whether there is a call for which one may be opened. send(kind, header) and
  // sendData(number, bytes) go to the agent.
  constructor(running, send, sendData) {
    this.#running = running;
    this.#send = send;
    this.#sendData = sendData;
  }

  // open asks for a connection, and throws where it may not: between calls, beyond what may be, and to what
  // is too long for a host.
  open(host, port, user) {
    const place = { host, port };
    if (!this.#running()) throw failure({ code: 'ECONNABORTED', message: `connect to ${host}:${port} is not possible: the call has ended` }, place);
    if (host.length > CONNECTIONS.host) throw failure({ code: 'ENOTFOUND', message: `getaddrinfo ENOTFOUND ${host.slice(0, 100)}…` }, place);
    if (this.#open.size >= CONNECTIONS.most) throw failure({ code: 'EMFILE', message: `connect to ${host}:${port} is not possible: the call has ${CONNECTIONS.most} connections` }, place);
    const number = ++this.#last;
    const tunnel = new Tunnel(number, place, user, { send: this.#send, sendData: this.#sendData, forget: () => this.#open.delete(number) });
    this.#open.set(number, tunnel);
    this.#send(KIND.open, { stream: number, host, port });
    return tunnel;
  }

  frame(kind, header, body) {
    const tunnel = this.#open.get(header.stream);
    if (kind === KIND.closed) this.#open.delete(header.stream);
    tunnel?.frame(kind, header, body);
  }

  // end ends all, as the agent does by itself when the call has its outcome.
  end() {
    const all = [...this.#open.values()];
    this.#open.clear();
    for (const tunnel of all) tunnel.end();
  }
}

module.exports = { Tunnels };
