'use strict';
// Sessions: contexts that live on between calls. A session pins a worker of its own, and runs its calls one by one.
//
//   open(call)      the call waits in the pool's queue; the worker that runs it is pinned by the session
//   run(call)       waits until the session's worker is idle, then runs on it
//   close(number)   discards the worker and completes the calls that wait. Called when the daemon closes the session,
//                   when the call that opens it fails, and when its worker has ended; only the first one counts

const { codes } = require('../shared/failures.js');

// A Session is the owner of its worker (see Runner.spawn), and the queue of its calls.
class Session {
  #runner;
  #opening;
  #onGone;
  #queue = []; // calls, first come first served
  keepsState = true;
  worker; // from when the opening call runs

  constructor(runner, opening, onGone) {
    this.#runner = runner;
    this.#opening = opening;
    this.#onGone = onGone;
  }

  run(call) {
    call.queue = this;
    this.#queue.push(call);
    this.#next();
  }

  // remove takes a call that waits out of the queue.
  remove(call) {
    this.#queue.splice(this.#queue.indexOf(call), 1);
  }

  // removeAll empties the queue and returns its calls.
  removeAll() {
    return this.#queue.splice(0);
  }

  // pin is called by the pool, before the opening call starts on the worker.
  pin(worker) {
    worker.owner = this;
    this.worker = worker;
  }

  onIdle() {
    this.#next();
  }

  onGone() {
    this.#onGone();
  }

  // current is the call that a close cancels: the opening call, the running call, or the first call that waits for the
  // worker to become idle. It is undefined for a session without calls.
  get current() {
    return this.worker === undefined ? this.#opening : (this.worker.call ?? this.#queue[0]);
  }

  // #next starts the first call of the queue. The memory limit of the opening call is for all calls together.
  #next() {
    if (this.worker?.state !== 'idle' || this.#queue.length === 0) return;
    const call = this.#queue.shift();
    call.memory = this.#opening.memory;
    call.memoryBefore = this.#opening.memoryBefore;
    this.#runner.start(this.worker, call);
  }
}

class Sessions {
  #runner;
  #complete;
  #onClosed;
  #open = new Map(); // number → Session

  // complete(call, outcome) is called for a call that no worker will run. onClosed(number) is called once for each
  // session that was opened, when its worker is discarded and its calls are completed.
  constructor(runner, complete, onClosed) {
    this.#runner = runner;
    this.#complete = complete;
    this.#onClosed = onClosed;
  }

  // open adds session call.open. The pool has to run the call; if it fails, close has to be called.
  open(call) {
    if (this.#open.has(call.open)) throw new Error(`session ${call.open} was opened twice`);
    const session = new Session(this.#runner, call, () => this.close(call.open));
    this.#open.set(call.open, session);
    call.sessionToOpen = session;
  }

  // run runs a call in session call.session.
  run(call) {
    const session = this.#open.get(call.session);
    if (session === undefined) return this.#complete(call, { code: codes.notFound });
    return session.run(call);
  }

  // current is the call that a close of the session cancels; undefined if there is none.
  current(number) {
    return this.#open.get(number)?.current;
  }

  // close ends a session whose current call is completed. A session that is closed already is ignored.
  close(number) {
    const session = this.#open.get(number);
    if (session === undefined) return;
    this.#open.delete(number);
    if (session.worker !== undefined) this.#runner.discard(session.worker);
    for (const call of session.removeAll()) this.#complete(call, { code: codes.notFound });
    this.#onClosed(number);
  }
}

module.exports = { Sessions };
