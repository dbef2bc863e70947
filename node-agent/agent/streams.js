'use strict';
// The connections of all calls, between the workers that ask for them and the daemon that opens them. A worker numbers
// its connections by itself, so it can name no other worker's. This file checks what a worker sends: the daemon ends a
// container that breaks the link's rules, so the tricks of one worker must not get as far as the link.
//
//   open ─► waiting for a place ─► open is sent ─► opened, data, credit, finish … ─► closed, which frees the place
//             └─ after WAIT_LIMIT, aborted, or its call ended: closed at once
//
//   fromWorker    a worker's frame      #open, #onData, #onCredit, #onFinish, #onAbort
//   fromDaemon    the daemon's frame    passed on to the worker
//   endCall       the call is completed, which ends its connections
//   #flush        sends data and what follows it, as long as the link takes them

const { CHUNK, CONNECTIONS, KIND, WINDOW } = require('../shared/frames.js');

const WAIT_LIMIT = 10_000; // ms that a connection waits for a place
const LAST_NUMBER = 2 ** 32 - 1;

// A Stream is one connection.
class Stream {
  number; // on the link; undefined while it waits for a place
  chargedTo; // the call whose place it takes, also when that has ended
  timer; // while it waits
  room = 0; // bytes that its worker may send
  granted = WINDOW.in; // bytes that the daemon may send
  outgoing = []; // {bytes, filled}: data for the daemon
  opened = false;
  finished = false; // the worker has sent finish
  aborted = false; // the worker has sent abort, which the daemon does not know yet
  queued = false; // it is in the queue for sending

  // local is the number that the worker gave. call becomes undefined when nobody waits for the connection any more.
  constructor(worker, call, local, host, port) {
    Object.assign(this, { worker, call, local, host, port });
  }

  // put adds data, in pieces as large as a frame may have. Many small pieces would take more memory than their bytes.
  put(bytes) {
    for (let at = 0; at < bytes.length;) {
      let last = this.outgoing.at(-1);
      if (last === undefined || last.filled === CHUNK) {
        last = { bytes: Buffer.allocUnsafeSlow(CHUNK), filled: 0 };
        this.outgoing.push(last);
      }
      const copied = bytes.copy(last.bytes, last.filled, at);
      last.filled += copied;
      at += copied;
    }
  }
}

const isCount = (value) => Number.isSafeInteger(value) && value > 0;

class Streams {
  #limits;
  #link;
  #onLink = new Map(); // number → Stream that the daemon has not closed yet
  #lastNumber = 0;
  #waiting = []; // Streams, first come first served
  #sendQueue = []; // Streams with data for the daemon, each once

  // limits are {call, container}: connections at once. link has send(kind, header), sendData(number, bytes) and
  // isBusy(), which says whether data has to wait. When it need not wait any more, onDrain has to be called.
  constructor(limits, link) {
    this.#limits = limits;
    this.#link = link;
  }

  // fromWorker takes a frame of a worker that runs call. It throws if no worker would send the frame.
  fromWorker(worker, call, kind, header, body) {
    worker.streams ??= { last: 0, open: new Map() };
    if (kind === KIND.open) return this.#open(worker, call, header);
    const stream = worker.streams.open.get(header.stream);
    if (stream === undefined) {
      if (!isCount(header.stream) || header.stream > worker.streams.last) throw new Error('a connection that was not opened');
      return undefined; // it has ended, which the worker did not know yet
    }
    switch (kind) {
      case KIND.data: return this.#onData(stream, body);
      case KIND.credit: return this.#onCredit(stream, header.bytes);
      case KIND.finish: return this.#onFinish(stream);
      default: return this.#onAbort(stream);
    }
  }

  // fromDaemon takes a frame of the daemon. It throws for a connection that the daemon does not have.
  fromDaemon(kind, header, body) {
    const stream = this.#onLink.get(header.stream);
    if (stream === undefined) throw new Error(`connection ${header.stream}, which is not open`);
    if (kind === KIND.closed) this.#removeFromLink(stream);
    const { worker, local, call } = stream;
    if (call === undefined) return; // it was aborted, or its call has ended
    switch (kind) {
      case KIND.opened:
        stream.opened = true;
        stream.room = WINDOW.out;
        return worker.send(kind, { stream: local, address: header.address });
      case KIND.data:
        stream.granted -= body.length;
        return worker.sendData(local, body);
      case KIND.credit:
        stream.room += header.bytes;
        return worker.send(kind, { stream: local, bytes: header.bytes });
      case KIND.closed:
        this.#detach(stream);
        return worker.send(kind, { stream: local, code: header.code, message: header.message });
      default:
        return worker.send(kind, { stream: local });
    }
  }

  onDrain() {
    this.#flush();
  }

  // endCall forgets the connections of a call whose outcome is about to be sent: the outcome ends them in the daemon.
  endCall(call) {
    for (const stream of call.worker.streams?.open.values() ?? []) this.#detach(stream);
  }

  #open(worker, call, { stream: local, host, port }) {
    const { streams } = worker;
    if (call === undefined || local !== streams.last + 1 || streams.open.size >= CONNECTIONS.most) throw new Error('a connection that may not be opened');
    if (typeof host !== 'string' || host === '' || host.length > CONNECTIONS.host || !isCount(port) || port > 65535) throw new Error('a connection to no place');
    streams.last = local;
    const stream = new Stream(worker, call, local, host, port);
    streams.open.set(local, stream);
    call.streams ??= 0;
    this.#waiting.push(stream);
    this.#openWaiting();
    if (stream.number === undefined) stream.timer = setTimeout(() => this.#onWaitLimit(stream), WAIT_LIMIT);
  }

  // #openWaiting has the daemon open the connections that wait and now have a place.
  #openWaiting() {
    if (this.#onLink.size >= this.#limits.container) return;
    this.#waiting = this.#waiting.filter((stream) => {
      const { call, host, port } = stream;
      if (this.#onLink.size >= this.#limits.container || call.streams >= this.#limits.call || this.#lastNumber >= LAST_NUMBER) return true;
      clearTimeout(stream.timer);
      stream.number = ++this.#lastNumber;
      stream.chargedTo = call;
      call.streams++;
      this.#onLink.set(stream.number, stream);
      this.#link.send(KIND.open, { id: call.id, stream: stream.number, host, port });
      return false;
    });
  }

  #onWaitLimit(stream) {
    const { worker, local, host, port } = stream;
    this.#detach(stream);
    const message = `connect to ${host}:${port} is not possible: at most ${this.#limits.call} connections of a call are open at once, and none of them ended in ${WAIT_LIMIT / 1e3} s`;
    worker.send(KIND.closed, { stream: local, code: 'ETIMEDOUT', message });
  }

  #onData(stream, bytes) {
    stream.room -= bytes.length;
    if (stream.room < 0 || stream.finished) throw new Error('data that was not granted');
    stream.put(bytes);
    this.#enqueue(stream);
  }

  #onCredit(stream, bytes) {
    if (!isCount(bytes) || stream.granted + bytes > WINDOW.in) throw new Error('credit for what was not sent');
    stream.granted += bytes;
    this.#link.send(KIND.credit, { stream: stream.number, bytes });
  }

  #onFinish(stream) {
    if (!stream.opened || stream.finished) throw new Error('an end that has no place');
    stream.finished = true;
    this.#enqueue(stream);
  }

  // #onAbort lets the data that its worker has sent go out first.
  #onAbort(stream) {
    const { number, outgoing } = stream;
    this.#detach(stream);
    if (number === undefined) return;
    stream.outgoing = outgoing;
    stream.aborted = true;
    this.#enqueue(stream);
  }

  // #detach separates a connection from its worker and its call. Its place is free when the daemon has closed it.
  #detach(stream) {
    clearTimeout(stream.timer);
    stream.worker.streams.open.delete(stream.local);
    stream.call = undefined;
    stream.outgoing = [];
    if (stream.number === undefined) this.#waiting.splice(this.#waiting.indexOf(stream), 1);
  }

  #removeFromLink(stream) {
    stream.outgoing = [];
    stream.aborted = false;
    this.#onLink.delete(stream.number);
    stream.chargedTo.streams--;
    if (this.#waiting.length > 0) this.#openWaiting();
  }

  #enqueue(stream) {
    if (!stream.queued) this.#sendQueue.push(stream);
    stream.queued = true;
    this.#flush();
  }

  // #flush sends a frame of each connection in turn, as long as the link takes them at once. Data waits here, so all
  // other frames overtake it.
  #flush() {
    while (this.#sendQueue.length > 0 && !this.#link.isBusy()) {
      const stream = this.#sendQueue.shift();
      const piece = stream.outgoing.shift();
      if (piece !== undefined) this.#link.sendData(stream.number, piece.bytes.subarray(0, piece.filled));
      if (stream.outgoing.length > 0) {
        this.#sendQueue.push(stream);
        continue;
      }
      stream.queued = false;
      if (stream.aborted) this.#link.send(KIND.abort, { stream: stream.number });
      else if (stream.finished && stream.call !== undefined) this.#link.send(KIND.finish, { stream: stream.number });
    }
  }
}

module.exports = { Streams };
