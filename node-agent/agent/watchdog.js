'use strict';
// Finds running calls that use more memory or CPU time than they may. A container's own limit acts too, but the kernel
// kills the process that it chooses; and a plain process has no such limit.

const { codes } = require('../shared/failures.js');

const MIB = 1024 * 1024;
const INTERVAL = 20; // ms between two checks; shorter calls are not checked

class Watchdog {
  #workers;
  #memory;
  #onExceeded;
  #timer;

  // workers is the runner's set, which changes. memory is the container's limit in MiB. onExceeded(call, outcome) has
  // to end the call.
  constructor(workers, memory, onExceeded) {
    this.#workers = workers;
    this.#memory = memory * MIB;
    this.#onExceeded = onExceeded;
  }

  // start is called with each call whose evaluation starts. The checks stop by themselves when no call runs.
  start() {
    this.#timer ??= setInterval(() => this.#check(), INTERVAL);
  }

  #check() {
    const running = [...this.#workers].filter(({ call }) => call?.startedAt !== undefined);
    if (running.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const now = performance.now();
    for (const worker of running) {
      if (now - worker.call.startedAt < INTERVAL) continue;
      const outcome = this.#exceeded(worker, worker.call);
      if (outcome !== undefined) this.#onExceeded(worker.call, outcome);
    }
  }

  #exceeded(worker, call) {
    const memory = worker.memory();
    const ownLimit = call.memory > 0 && memory - call.memoryBefore > call.memory * MIB;
    if (memory > this.#memory || ownLimit) return { code: codes.limitExceeded, limit: 'memory' };
    if (call.cpuBefore !== undefined && worker.cpu() - call.cpuBefore > call.cpu) return { code: codes.timeout, limit: 'cpu' };
    return undefined;
  }
}

module.exports = { Watchdog };
