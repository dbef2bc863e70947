'use strict';
// The callbacks of one call that have no reply yet. The agent and the worker both count them in the order in which they
// are sent, so that the worker need not send a number. Both enforce the same bounds.

const MOST = 1_000; // callbacks of a call without a reply

class PendingCallbacks {
  #bytes = 0;
  #last = 0;
  #mostBytes;
  #pending = new Map(); // number → {bytes, complete}

  // mostBytes bounds the arguments of all pending callbacks together.
  constructor(mostBytes) {
    this.#mostBytes = mostBytes;
  }

  // refusal says why a callback with so many bytes of arguments cannot be added. It returns undefined if it can.
  refusal(bytes) {
    if (this.#pending.size >= MOST) return `more than ${MOST} callbacks wait for an answer`;
    if (this.#bytes + bytes > this.#mostBytes) return `the arguments of callbacks that wait for an answer have more than ${this.#mostBytes} bytes`;
    return undefined;
  }

  // add returns the callback's number, counted from 1. complete is kept for the one who removes the callback.
  add(bytes, complete) {
    this.#bytes += bytes;
    this.#pending.set(++this.#last, { bytes, complete });
    return this.#last;
  }

  // remove returns the callback of that number, whose reply has come. It returns undefined for a callback that has its
  // reply already, or was never added.
  remove(number) {
    const callback = this.#pending.get(number);
    if (callback === undefined) return undefined;
    this.#pending.delete(number);
    this.#bytes -= callback.bytes;
    return callback;
  }
}

module.exports = { PendingCallbacks };
