'use strict';
// The connections of all calls, between the workers that ask for them and the daemon that opens them. A worker
// knows its own by numbers of its own, so it can name nobody else's. What a worker does is judged here: the
// daemon ends a container that breaks the rules, and so one worker's tricks would cost all calls.
//
//	open ─► waiting for a place ─► asked ─► opened … ─► closed, which frees the place
//	          └─ too long, aborted, its call ended

const { CHUNK, CONNECTIONS, KIND, WINDOW } = require('../shared/frames.js');

const PATIENCE = 10_000; // ms that one waits for a place
const LAST = 2 ** 32 - 1;

// A Stream is one connection.
class Stream {
  number; // on the link; none while it waits
  timer; // while it waits
  room = 0; // bytes that its worker may send
  granted = WINDOW.in; // bytes that the daemon may send
  going = []; // {bytes, filled}: for the daemon
  opened = false;
  finished = false; // by its worker
  aborted = false; // likewise, and the daemon does not know yet
  ready = false; // in line for sending

  constructor(worker, call, local, host, port) {
    Object.assign(this, { worker, call, local, host, port });
  }

  // put takes bytes of the worker, in pieces as large as they may be sent: many small ones would take more
  // memory than they hold.
  put(bytes) {
    for (let at = 0; at < bytes.length;) {
      let last = this.going.at(-1);
      if (last === undefined || last.filled === CHUNK) {
        last = { bytes: Buffer.allocUnsafeSlow(CHUNK), filled: 0 };
        this.going.push(last);
      }
      const taken = bytes.copy(last.bytes, last.filled, at);
      last.filled += taken;
      at += taken;
    }
  }
}

const isCount = (value) => Number.isSafeInteger(value) && value > 0;

class Streams {
  #limits;
  #link;
  #asked = new Map(); // number → Stream: of all that the daemon has to end
  #last = 0;
  #waiting = [];
  #ready = []; // that have data for the daemon, each once

  // limits are {call, container}: connections at once. link has send(kind, header), sendData(number, bytes), and
  // busy(), which says whether data has to wait; when it need not any more, drained has to be called.
  constructor(limits, link) {
    this.#limits = limits;
    this.#link = link;
  }

  // fromWorker takes what a worker says while it runs call. It throws what a worker does not say.
  fromWorker(worker, call, kind, header, body) {
    worker.streams ??= { last: 0, open: new Map() };
    if (kind === KIND.open) return this.#open(worker, call, header);
    const stream = worker.streams.open.get(header.stream);
    if (stream === undefined) {
      if (!isCount(header.stream) || header.stream > worker.streams.last) throw new Error('a connection that was not opened');
      return undefined; // it has ended, which the worker did not know
    }
    switch (kind) {
      case KIND.data: return this.#data(stream, body);
      case KIND.credit: return this.#credit(stream, header.bytes);
      case KIND.finish: return this.#finish(stream);
      default: return this.#abort(stream);
    }
  }

  // fromDaemon takes what the daemon says of a connection.
  fromDaemon(kind, header, body) {
    const stream = this.#asked.get(header.stream);
    if (stream === undefined) throw new Error(`connection ${header.stream}, which is not open`);
    if (kind === KIND.closed) this.#free(stream);
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
        this.#forget(stream);
        return worker.send(kind, { stream: local, code: header.code, message: header.message });
      default:
        return worker.send(kind, { stream: local });
    }
  }

  drained() {
    this.#pump();
  }

  // endCall forgets the connections of a call that is about to be answered: the answer ends them.
  endCall(call) {
    for (const stream of call.worker.streams?.open.values() ?? []) this.#forget(stream);
  }

  #open(worker, call, { stream: local, host, port }) {
    const { streams } = worker;
    if (call === undefined || local !== streams.last + 1 || streams.open.size >= CONNECTIONS.most) throw new Error('a connection that may not be opened');
    if (typeof host !== 'string' || host === '' || host.length > CONNECTIONS.host || !isCount(port) || port > 65535) throw new Error('a connection to no place');
    streams.last = local;
    const stream = new Stream(worker, call, local, host, port);
    streams.open.set(local, stream);
    call.asked ??= 0;
    this.#waiting.push(stream);
    this.#ask();
    if (stream.number === undefined) stream.timer = setTimeout(() => this.#giveUp(stream), PATIENCE);
  }

  // #ask tells the daemon of those that wait and now have a place, first come first.
  #ask() {
    if (this.#asked.size >= this.#limits.container) return;
    this.#waiting = this.#waiting.filter((stream) => {
      const { call, host, port } = stream;
      if (this.#asked.size >= this.#limits.container || call.asked >= this.#limits.call || this.#last >= LAST) return true;
      clearTimeout(stream.timer);
      stream.number = ++this.#last;
      stream.counted = call;
      call.asked++;
      this.#asked.set(stream.number, stream);
      this.#link.send(KIND.open, { id: call.id, stream: stream.number, host, port });
      return false;
    });
  }

  #giveUp(stream) {
    const { worker, local, host, port } = stream;
    this.#forget(stream);
    const message = `connect to ${host}:${port} is not possible: at most ${this.#limits.call} connections of a call are open at once, and none of them ended in ${PATIENCE / 1000} s`;
    worker.send(KIND.closed, { stream: local, code: 'ETIMEDOUT', message });
  }

  #data(stream, bytes) {
    stream.room -= bytes.length;
    if (stream.room < 0 || stream.finished) throw new Error('data that was not granted');
    stream.put(bytes);
    this.#line(stream);
  }

  #credit(stream, bytes) {
    if (!isCount(bytes) || stream.granted + bytes > WINDOW.in) throw new Error('credit for what was not sent');
    stream.granted += bytes;
    this.#link.send(KIND.credit, { stream: stream.number, bytes });
  }

  #finish(stream) {
    if (!stream.opened || stream.finished) throw new Error('an end that has no place');
    stream.finished = true;
    this.#line(stream);
  }

  // #abort lets go first what its worker has sent.
  #abort(stream) {
    const { number, going } = stream;
    this.#forget(stream);
    if (number === undefined) return;
    Object.assign(stream, { going, aborted: true });
    this.#line(stream);
  }

  // #forget makes it one that nobody here waits for. Its place is free when the daemon has ended it.
  #forget(stream) {
    clearTimeout(stream.timer);
    stream.worker.streams.open.delete(stream.local);
    stream.call = undefined;
    stream.going = [];
    if (stream.number === undefined) this.#waiting.splice(this.#waiting.indexOf(stream), 1);
  }

  #free(stream) {
    Object.assign(stream, { going: [], aborted: false });
    this.#asked.delete(stream.number);
    stream.counted.asked--;
    if (this.#waiting.length > 0) this.#ask();
  }

  #line(stream) {
    if (!stream.ready) this.#ready.push(stream);
    stream.ready = true;
    this.#pump();
  }

  // #pump sends a frame of each in turn, as long as the link takes them at once: what has to wait does so here,
  // behind everything that is no data.
  #pump() {
    while (this.#ready.length > 0 && !this.#link.busy()) {
      const stream = this.#ready.shift();
      const piece = stream.going.shift();
      if (piece !== undefined) this.#link.sendData(stream.number, piece.bytes.subarray(0, piece.filled));
      if (stream.going.length > 0) {
        this.#ready.push(stream);
        continue;
      }
      stream.ready = false;
      if (stream.aborted) this.#link.send(KIND.abort, { stream: stream.number });
      else if (stream.finished && stream.call !== undefined) this.#link.send(KIND.finish, { stream: stream.number });
    }
  }
}

module.exports = { Streams };
