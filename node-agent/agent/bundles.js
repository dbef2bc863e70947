'use strict';
// The bundles that the agent has: source trees, in the parts in which they came from the daemon. A worker gets a bundle
// before its first call that names it. The daemon decides which bundles the agent forgets, the agent which a worker
// forgets.

const { KIND } = require('../shared/frames.js');

const WORKER_BYTES = 8 * 1024 * 1024; // of the bundles that a worker has besides the one that it gets

class Bundles {
  #parts = new Map(); // id → bodies of its frames

  add({ bundle, drop = [] }, body) {
    for (const id of drop) this.#parts.delete(id);
    if (!this.#parts.has(bundle)) this.#parts.set(bundle, []);
    this.#parts.get(bundle).push(body);
  }

  has(id) {
    return this.#parts.has(id);
  }

  // send sends a bundle to a worker that does not have it, and has the worker forget its least recently used ones. It
  // returns the number of bytes sent. id may be undefined.
  send(worker, id) {
    if (id === undefined) return 0;
    const bytes = worker.bundles.get(id);
    if (bytes !== undefined) {
      worker.bundles.delete(id);
      worker.bundles.set(id, bytes); // now the most recently used
      return 0;
    }
    const drop = this.#evict(worker.bundles);
    const parts = this.#parts.get(id) ?? [];
    parts.forEach((part, i) => worker.send(KIND.bundle, i === 0 ? { bundle: id, drop } : { bundle: id }, part));
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    worker.bundles.set(id, size);
    return size;
  }

  // #evict removes the least recently used of a worker's bundles until they fit, and returns their ids.
  #evict(bundles) {
    const evicted = [];
    let sum = bundles.values().reduce((total, size) => total + size, 0);
    for (const [id, size] of bundles) {
      if (sum <= WORKER_BYTES) break;
      bundles.delete(id);
      evicted.push(id);
      sum -= size;
    }
    return evicted;
  }
}

module.exports = { Bundles };
