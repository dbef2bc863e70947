'use strict';
// What holds for callbacks on both sides of a worker: how they are counted, and how many may wait.

const MOST = 1000; // callbacks of one call without an answer

// Unanswered are the callbacks of one call that wait for an answer.
class Unanswered {
  #bytes = 0;
  #last = 0;
  #mostBytes;
  #waiting = new Map(); // number → {bytes, settle}

  // mostBytes bounds the arguments of all that wait.
  constructor(mostBytes) {
    this.#mostBytes = mostBytes;
  }

  // refuses says why one more with so many bytes of arguments cannot wait; undefined where it can.
  refuses(bytes) {
    if (this.#waiting.size >= MOST) return `more than ${MOST} callbacks wait for an answer`;
    if (this.#bytes + bytes > this.#mostBytes) return `the arguments of callbacks that wait for an answer have more than ${this.#mostBytes} bytes`;
    return undefined;
  }

  // add gives the number under which take finds it again, counted from 1.
  add(bytes, settle) {
    this.#bytes += bytes;
    this.#waiting.set(++this.#last, { bytes, settle });
    return this.#last;
  }

  // take gives one that now has its answer; undefined where it has one already, or was never asked.
  take(number) {
    const taken = this.#waiting.get(number);
    if (taken === undefined) return undefined;
    this.#waiting.delete(number);
    this.#bytes -= taken.bytes;
    return taken;
  }
}

module.exports = { Unanswered };
