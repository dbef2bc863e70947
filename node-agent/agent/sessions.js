'use strict';
// Sessions: contexts that live on between calls, each with a worker of its own.
//
//   open ─► the pool's queue ─► opening, on a worker taken out of the pool ─► open ─► its calls, one by one
//     └─ cancelled, not opened, overrun, closed, its worker gone ─► ended: said once, behind all answers

const { CODE } = require('../shared/failures.js');

// A Session is the owner of its worker, and the queue of its calls.
class Session {
  #runner;
  #onGone;
  #waiting = []; // calls, first come first
  keeps = true; // its worker holds what its calls left, on purpose
  opening; // the call that opens it
  worker; // from when that runs

  constructor(runner, opening, onGone) {
    this.#runner = runner;
    this.opening = opening;
    this.#onGone = onGone;
  }

  run(call) {
    call.queue = this.#waiting;
    this.#waiting.push(call);
    this.#next();
  }

  // take makes it the owner of a worker.
  take(worker) {
    worker.owner = this;
    this.worker = worker;
  }

  onIdle() {
    this.#next();
  }

  onGone() {
    this.#onGone();
  }

  // current is the call that it is at: for one that waits for its worker to come to rest, the first.
  get current() {
    return this.worker === undefined ? this.opening : (this.worker.call ?? this.#waiting[0]);
  }

  // rest takes the calls that wait out of the queue.
  rest() {
    return this.#waiting.splice(0);
  }

  // #next starts the call in front. The memory that a session may take is for all its calls together.
  #next() {
    if (this.worker?.state !== 'idle' || this.#waiting.length === 0) return;
    const { memory, memoryBefore } = this.opening;
    this.#runner.start(this.worker, Object.assign(this.#waiting.shift(), { memory, memoryBefore }));
  }
}

class Sessions {
  #runner;
  #finish;
  #onEnded;
  #open = new Map(); // number → Session

  // finish(call, outcome) is called for calls that no worker will run, onEnded(number) once for each session
  // that was opened, when it is gone and its calls are answered.
  constructor(runner, finish, onEnded) {
    this.#runner = runner;
    this.#finish = finish;
    this.#onEnded = onEnded;
  }

  // open makes session call.open the taker of the worker that will run the call. Where the call fails, end
  // has to be called.
  open(call) {
    if (this.#open.has(call.open)) throw new Error(`session ${call.open} was opened twice`);
    const session = new Session(this.#runner, call, () => this.end(call.open));
    this.#open.set(call.open, session);
    call.taker = session;
  }

  // run takes a call in session call.session.
  run(call) {
    const session = this.#open.get(call.session);
    if (session === undefined) return this.#finish(call, { code: CODE.notFound });
    return session.run(call);
  }

  // current gives the call that a session is at; undefined where it is at rest, or gone.
  current(number) {
    return this.#open.get(number)?.current;
  }

  // end ends a session that has no call running. One that is gone stays so.
  end(number) {
    const session = this.#open.get(number);
    if (session === undefined) return;
    this.#open.delete(number);
    if (session.worker !== undefined) this.#runner.discard(session.worker);
    for (const call of session.rest()) this.#finish(call, { code: CODE.notFound });
    this.#onEnded(number);
  }
}

module.exports = { Sessions };
