'use strict';
// The pool of workers: which one runs which call, and how many there are.
//
//   run(call) ─► waiting ─► an idle worker ─► runner ─► idle again, or gone and replaced
//                                              └─ a call with a taker: the worker is the taker's, and replaced

const { CODE } = require('../shared/failures.js');

const MIB = 1024 * 1024;
const GROW = 10; // ms a call holds its worker before another is started for those that wait
const COMPUTES = 200; // the same, for a call that does not wait for anything but its processor
const ROOM = 64; // MiB that another worker and the agent itself may come to; less where there is little in all
const SHRINK = 10_000; // ms that a worker above the base stays without work
const RETRY = 200; // ms before a worker that did not start is tried again
const GIVE_UP = 5; // starts that fail one behind the other before calls that wait are answered

// holds tells whether a worker's call has it for long. One that waits for something has to be found so twice, since
// a worker may wait for a moment that has nothing to do with its call.
function holds(worker, now) {
  const { call } = worker;
  if (call === undefined) return false;
  const took = now - call.sentAt;
  const waited = call.waits;
  call.waits = took > GROW && !worker.computes();
  return took > COMPUTES || (waited && call.waits);
}

class Pool {
  #limits;
  #runner;
  #finish;
  #onReady;
  #workers = new Set(); // in the order in which they last spoke
  #waiting = []; // calls, first come first
  #growTimer;
  #grewFor = 0; // when calls held workers last while others waited
  #failedStarts = 0;

  // finish(call, outcome) is called for calls that no worker will run. onReady(error) is called once, when
  // the first worker takes calls or when none could be started.
  constructor(limits, runner, finish, onReady) {
    this.#limits = limits;
    this.#runner = runner;
    this.#finish = finish;
    this.#onReady = onReady;
    for (let i = 0; i < limits.workers; i++) this.#spawn();
  }

  // run takes a call as the runner does. One with a taker gives its worker away: taker.take(worker) is
  // called before it starts.
  run(call) {
    call.queue = this.#waiting;
    this.#waiting.push(call);
    this.#dispatch();
  }

  // onIdle is called by the runner, as onGone is, for workers of the pool.
  onIdle(worker) {
    this.#workers.delete(worker);
    this.#workers.add(worker);
    if (!worker.proven) {
      worker.prove();
      this.#failedStarts = 0;
      this.#tellReady();
    }
    if (this.#isTooMany()) return this.#runner.discard(worker);
    this.#dispatch();
    if (worker.state === 'idle' && this.#workers.size > this.#limits.workers) {
      worker.timer = setTimeout(() => this.#runner.discard(worker), SHRINK);
    }
  }

  onGone(worker, how) {
    this.#workers.delete(worker);
    if (worker.proven) return this.#replace();
    const { code, signal, error } = how;
    if (++this.#failedStarts >= GIVE_UP) {
      this.#tellReady(error ?? new Error(`workers end at once (code ${code}, signal ${signal})`));
      // Calls go on waiting for workers that are only busy.
      const proven = [...this.#workers].some((other) => other.proven);
      if (!proven) for (const waiting of this.#waiting.splice(0)) this.#finish(waiting, { code: CODE.lost, started: false });
    }
    setTimeout(() => this.#replace(), RETRY);
  }

  #dispatch() {
    while (this.#waiting.length > 0) {
      const worker = this.#pick();
      if (worker === undefined) break;
      const call = this.#waiting.shift();
      if (call.taker !== undefined) this.#giveAway(worker, call.taker);
      this.#runner.start(worker, call);
    }
    // Judged behind the frames that have come meanwhile: where the agent was late, they free workers.
    if (this.#waiting.length > 0) this.#growTimer ??= setTimeout(() => setImmediate(() => this.#grow()), GROW);
  }

  // #grow starts a worker for each one that a long call holds: soon for one that waits for something, late for
  // one that computes. Calls that only have to take turns are no reason: more workers than cores make them
  // slower, and take memory. Where that is short, calls wait: they would lose their workers otherwise.
  #grow() {
    this.#growTimer = undefined;
    const now = performance.now();
    const held = [...this.#workers].filter((worker) => holds(worker, now)).length;
    if (held > 0) this.#grewFor = now;
    const wanted = Math.min(this.#limits.concurrency, this.#limits.workers + held);
    if (this.#waiting.length > 0 && this.#workers.size < wanted && this.#hasRoom()) this.#spawn();
    this.#dispatch();
  }

  // #isTooMany tells of a worker above the base that nobody has needed for long, although calls wait.
  #isTooMany() {
    return this.#waiting.length > 0 && this.#workers.size > this.#limits.workers && performance.now() - this.#grewFor > SHRINK;
  }

  #hasRoom() {
    const { memory } = this.#limits;
    return this.#runner.memory() <= (memory - Math.min(ROOM, memory / 4)) * MIB;
  }

  // #pick prefers a worker that is not busy making contexts, and then the one that spoke last: a call there
  // begins at once. One that has been making contexts for long may be collecting garbage.
  #pick() {
    const waits = (worker) => worker.refilling || worker.ready === 0;
    let best;
    for (const worker of this.#workers) {
      if (worker.state === 'idle' && (best === undefined || !waits(worker) || waits(best))) best = worker;
    }
    return best;
  }

  #giveAway(worker, taker) {
    this.#workers.delete(worker);
    taker.take(worker);
    this.#refill();
  }

  #replace() {
    this.#refill();
    this.#dispatch();
  }

  #refill() {
    if (this.#workers.size < this.#limits.workers) this.#spawn();
  }

  #spawn() {
    this.#workers.add(this.#runner.spawn(this));
  }

  #tellReady(error) {
    const onReady = this.#onReady;
    this.#onReady = undefined;
    onReady?.(error);
  }
}

module.exports = { Pool };
