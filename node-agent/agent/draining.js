'use strict';
// A worker between its reply and its next call. The script may still run behind the reply, and may have left garbage:
//
//   start ─► draining ─► onIdle ─► it has not grown ──────────────────────────────► idle
//               │                   └─ it has grown: collect ─► draining ─► onIdle ─┘
//               └─ too late ─► discarded ◄─────────────────── it is still large ─┘

const { KIND } = require('../shared/frames.js');

const MIB = 1024 * 1024;
const TIMEOUT = 250; // ms for a worker to become idle; a script that still runs then does not end by itself
const STARVED_TIMEOUT = 4000; // ms for a worker with a session, as long as other processes use the processor
const FIRST_CHECK = 20; // ms before such a worker's CPU time is looked at; most are idle by then
const COLLECT_ABOVE = 1 / 8; // of the heap limit: a worker that has grown by more is asked to collect
const DISCARD_ABOVE = 1 / 2; // of the heap limit: a worker that has grown by more after that is discarded

class Draining {
  #heap;
  #discard;

  // heap is the limit of a worker's heap in MiB. discard(worker) has to kill the worker.
  constructor(heap, discard) {
    this.#heap = heap * MIB;
    this.#discard = discard;
  }

  // start is called when a worker has replied. mayHaveGrown says whether its call was large or long enough to leave
  // much garbage.
  start(worker, mayHaveGrown) {
    worker.state = 'draining';
    worker.mayHaveGrown = mayHaveGrown;
    this.#await(worker);
  }

  // onIdle is called when a worker says that it is idle; collected says that it did so behind a request to collect. It
  // returns whether the worker can take a call now.
  onIdle(worker, collected) {
    if (worker.collecting && !collected) return false; // it said so before it read the request
    if (worker.mayHaveGrown && !this.#isSmall(worker)) return false;
    worker.mayHaveGrown = false;
    clearTimeout(worker.timer);
    return true;
  }

  // #isSmall has a worker that has grown collect its garbage, which takes a tenth of the time of a new worker. A worker
  // that is still large after that is discarded.
  #isSmall(worker) {
    const grown = worker.grown() / this.#heap;
    if (worker.collecting) {
      worker.collecting = false;
      if (grown <= DISCARD_ABOVE) return true;
      this.#discard(worker);
      return false;
    }
    if (grown <= COLLECT_ABOVE) return true;
    worker.collecting = true;
    clearTimeout(worker.timer);
    this.#await(worker);
    worker.send(KIND.collect, {});
    return false;
  }

  // #await discards the worker if it does not become idle in time. The worker of a session would be a loss, so it gets
  // more time if it is only late because the machine is busy.
  #await(worker) {
    if (!worker.owner.keepsState) worker.timer = setTimeout(() => this.#discard(worker), TIMEOUT);
    else worker.timer = setTimeout(() => this.#awaitStarved(worker, performance.now() + STARVED_TIMEOUT), FIRST_CHECK);
  }

  #awaitStarved(worker, deadline) {
    const before = worker.cpu();
    worker.timer = setTimeout(() => {
      const isStarved = performance.now() < deadline && worker.cpu() - before < TIMEOUT / 2;
      if (isStarved) this.#awaitStarved(worker, deadline);
      else this.#discard(worker);
    }, TIMEOUT);
  }
}

module.exports = { Draining };
