'use strict';
// The pool: the workers that all calls without a session share, and the queue of calls that wait for one of them.
//
//   run(call)                    adds the call to the queue
//     #dispatch                  starts the first call of the queue, as long as a worker is idle
//       #pick                    chooses the idle worker that can start soonest
//       #pin                     gives the worker away to a session, if the call opens one
//       runner.start
//   onIdle(worker)               a worker can take a call again: #dispatch
//   onGone(worker)               a worker has ended: another one is started in its place
//   #scaleUp                     by timer, while calls wait: adds a worker if long calls hold the others
//
// The pool has `limits.workers` workers as its base, one for each core, and up to `limits.concurrency` in all. Short
// calls do not add workers, however many wait: more workers than cores would only make them slower, and take memory.

const { codes } = require('../shared/failures.js');

const MIB = 1024 * 1024;
const SCALE_UP_DELAY = 10; // ms that a call waits before the pool looks whether to add a worker
const LONG_COMPUTATION = 200; // ms after which a call that computes counts as long; one that waits does so sooner, see isLong
const RESERVE = 64; // MiB that stay free for one more worker and the agent; a quarter of the memory, if that is less
const IDLE_TTL = 10_000; // ms without need after which a worker above the base is discarded
const RESTART_DELAY = 200; // ms from a start that failed to the next one
const MAX_FAILED_STARTS = 5; // in a row; then the calls that wait are completed

// observe notes whether a worker's call waits for something else than a processor. #scaleUp calls it at each check.
function observe(worker, now) {
  const { call } = worker;
  call.wasWaiting = call.isWaiting;
  call.isWaiting = now - call.sentAt > SCALE_UP_DELAY && !worker.isRunnable();
}

// isLong says whether a call holds its worker for long. A call has to be seen waiting twice, since a worker may wait
// for a moment for something that has nothing to do with its call.
const isLong = (call, now) => now - call.sentAt > LONG_COMPUTATION || (call.isWaiting && call.wasWaiting);

class Pool {
  #limits;
  #runner;
  #complete;
  #onReady;
  #workers = new Set(); // in the order in which they last became idle
  #queue = []; // calls, first come first served
  #scaleUpTimer;
  #lastNeeded = 0; // when a long call last held a worker while others waited
  #failedStarts = 0;
  keepsState = false; // see Runner.spawn

  // complete(call, outcome) is called for a call that no worker will run. onReady(error) is called once: when the first
  // worker can take a call, or when none could be started.
  constructor(limits, runner, complete, onReady) {
    this.#limits = limits;
    this.#runner = runner;
    this.#complete = complete;
    this.#onReady = onReady;
    for (let i = 0; i < limits.workers; i++) this.#spawn();
  }

  run(call) {
    call.queue = this;
    this.#queue.push(call);
    this.#dispatch();
  }

  // remove takes a call that waits out of the queue.
  remove(call) {
    this.#queue.splice(this.#queue.indexOf(call), 1);
  }

  // onIdle and onGone are for the runner; see Runner.spawn.
  onIdle(worker) {
    this.#workers.delete(worker);
    this.#workers.add(worker);
    if (!worker.hasBeenIdle) {
      worker.markIdle();
      this.#failedStarts = 0;
      this.#reportReady();
    }
    if (this.#isUnneeded()) return this.#runner.discard(worker);
    this.#dispatch();
    if (worker.state === 'idle' && this.#isAboveBase()) {
      worker.timer = setTimeout(() => this.#runner.discard(worker), IDLE_TTL);
    }
  }

  onGone(worker, how) {
    this.#workers.delete(worker);
    if (worker.hasBeenIdle) return this.#restore();
    if (++this.#failedStarts >= MAX_FAILED_STARTS) this.#failAll(how);
    setTimeout(() => this.#restore(), RESTART_DELAY);
  }

  #dispatch() {
    while (this.#queue.length > 0) {
      const worker = this.#pick();
      if (worker === undefined) break;
      const call = this.#queue.shift();
      if (call.sessionToOpen !== undefined) this.#pin(worker, call.sessionToOpen);
      this.#runner.start(worker, call);
    }
    // The check comes behind the frames that have arrived meanwhile: if the agent is late, they free workers.
    if (this.#queue.length > 0) this.#scaleUpTimer ??= setTimeout(() => setImmediate(() => this.#scaleUp()), SCALE_UP_DELAY);
  }

  // #pick prefers a worker with a context that is ready, and among these the one that became idle last. A worker that
  // has been making contexts for long may be collecting garbage.
  #pick() {
    const mustWait = (worker) => worker.refilling || worker.readyContexts === 0;
    let best;
    for (const worker of this.#workers) {
      if (worker.state === 'idle' && (best === undefined || !mustWait(worker) || mustWait(best))) best = worker;
    }
    return best;
  }

  #pin(worker, session) {
    this.#workers.delete(worker);
    session.pin(worker);
    this.#fillBase();
  }

  // #scaleUp adds a worker for one that a long call holds. It adds none where memory is short: a call that waits is
  // better than a call that loses its worker.
  #scaleUp() {
    this.#scaleUpTimer = undefined;
    const now = performance.now();
    let long = 0;
    for (const worker of this.#workers) {
      if (worker.call === undefined) continue;
      observe(worker, now);
      if (isLong(worker.call, now)) long++;
    }
    if (long > 0) this.#lastNeeded = now;
    const wanted = Math.min(this.#limits.concurrency, this.#limits.workers + long);
    if (this.#queue.length > 0 && this.#workers.size < wanted && this.#hasMemory()) this.#spawn();
    this.#dispatch();
  }

  #hasMemory() {
    const { memory } = this.#limits;
    return this.#runner.memory() <= (memory - Math.min(RESERVE, memory / 4)) * MIB;
  }

  #isAboveBase() {
    return this.#workers.size > this.#limits.workers;
  }

  // #isUnneeded is true for a worker above the base that no long call has needed for IDLE_TTL, although calls wait.
  #isUnneeded() {
    return this.#queue.length > 0 && this.#isAboveBase() && performance.now() - this.#lastNeeded > IDLE_TTL;
  }

  // #failAll is for workers that cannot be started. If there are others, which only are busy, calls go on waiting.
  #failAll({ code, signal, error }) {
    this.#reportReady(error ?? new Error(`workers end at once (code ${code}, signal ${signal})`));
    if ([...this.#workers].some((worker) => worker.hasBeenIdle)) return;
    for (const call of this.#queue.splice(0)) this.#complete(call, { code: codes.lost, started: false });
  }

  #restore() {
    this.#fillBase();
    this.#dispatch();
  }

  #fillBase() {
    if (this.#workers.size < this.#limits.workers) this.#spawn();
  }

  #spawn() {
    this.#workers.add(this.#runner.spawn(this));
  }

  #reportReady(error) {
    const onReady = this.#onReady;
    this.#onReady = undefined;
    onReady?.(error);
  }
}

module.exports = { Pool };
