'use strict';
// Bundles as the agent keeps them: folders of sources, in the parts they came in, for workers to be given
// when they first need them. The daemon says which the agent forgets, the agent which a worker does.

const { KIND } = require('../shared/frames.js');

const OF_WORKER = 8 * 1024 * 1024; // bytes of bundles that a worker keeps beside the one it uses

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

  // hand sees to it that a worker has a bundle, and forgets what it used least of late. It gives the bytes
  // that were sent.
  hand(worker, id) {
    if (id === undefined) return 0;
    const had = worker.bundles.delete(id); // to the end of the line
    const parts = this.#parts.get(id) ?? [];
    if (!had) {
      const drop = [];
      for (let held = this.#size(worker.bundles); held > OF_WORKER; held = this.#size(worker.bundles)) {
        const [oldest] = worker.bundles.keys();
        worker.bundles.delete(oldest);
        drop.push(oldest);
      }
      parts.forEach((part, i) => worker.send(KIND.bundle, i === 0 ? { bundle: id, drop } : { bundle: id }, part));
    }
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    worker.bundles.set(id, size);
    return had ? 0 : size;
  }

  #size(sizes) {
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }
}

module.exports = { Bundles };
