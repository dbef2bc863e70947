'use strict';
// Bundles as the agent keeps them: folders of sources, in the parts they came in, for workers to be given
// when they first need them. The daemon says which the agent forgets, the agent which a worker does.

const { KIND } = require('./frames.js');

const OF_WORKER = 16 * 1024 * 1024; // bytes of bundles that a worker keeps, where one alone is not larger

class Bundles {
  #parts = new Map(); // id → bodies of its frames

  add({ bundle, drop = [] }, body) {
    for (const id of drop) this.#parts.delete(id);
    if (!this.#parts.has(bundle)) this.#parts.set(bundle, []);
    this.#parts.get(bundle).push(body);
  }

  // hand gives a worker a bundle that it has not; what it used least of late it forgets.
  hand(worker, id) {
    if (id === undefined) return;
    const size = worker.bundles.get(id);
    worker.bundles.delete(id);
    if (size !== undefined) {
      worker.bundles.set(id, size);
      return;
    }
    const parts = this.#parts.get(id) ?? [];
    let held = parts.reduce((sum, part) => sum + part.length, 0);
    worker.bundles.set(id, held);
    for (const other of worker.bundles.values()) held += other;
    held -= worker.bundles.get(id);
    const drop = [];
    for (const [oldest, bytes] of worker.bundles) {
      if (held <= OF_WORKER || oldest === id) break;
      drop.push(oldest);
      worker.bundles.delete(oldest);
      held -= bytes;
    }
    parts.forEach((part, i) => worker.send(KIND.bundle, i === 0 ? { bundle: id, drop } : { bundle: id }, part));
  }
}

module.exports = { Bundles };
