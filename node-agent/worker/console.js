'use strict';
// The console of one call. Node formats the lines; each line has a level; the lines stay within the limits of a reply.

const { Console } = require('node:console');
const util = require('node:util');
const { LEVELS } = require('../shared/frames.js');

const METHODS = Object.freeze(['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table', 'assert', 'count', 'countReset', 'time', 'timeEnd', 'timeLog', 'group', 'groupEnd']);
const LIMIT_REACHED = 'console limit reached, the rest is dropped';

// levelOf returns `error` for a method that writes to stderr in Node and has no level of its own.
const levelOf = (method) => (LEVELS.has(method) ? method : method === 'trace' || method === 'assert' ? 'error' : 'log');

class CallConsole {
  #limits;
  #onLine;
  #lines = 0;
  #bytes = 0;
  #full = false;
  #console;
  #level = 'log';

  // limits are {lines, bytes}. onLine(text, level) is called for each line within them, and once for the line that
  // says that the rest is dropped.
  constructor(limits, onLine) {
    this.#limits = limits;
    this.#onLine = onLine;
  }

  // print does what console.METHOD(...args) of a script asks for.
  print(method, args) {
    if (this.#full) return;
    if (LEVELS.has(method) && this.#console === undefined) return this.#line(util.format(...args), method);
    // Groups, counters and timers are state, which a Console of this call keeps.
    this.#console ??= new Console({ stdout: { write: (text) => this.#line(text.slice(0, -1), this.#level) }, ignoreErrors: false });
    const outer = this.#level; // a printed object may itself print while it is inspected
    this.#level = levelOf(method);
    try {
      this.#console[method](...args);
    } finally {
      this.#level = outer;
    }
  }

  #line(text, level) {
    if (this.#full) return;
    this.#lines++;
    this.#bytes += Buffer.byteLength(text);
    this.#full = this.#lines > this.#limits.lines || this.#bytes > this.#limits.bytes;
    this.#onLine(this.#full ? LIMIT_REACHED : text, level);
  }
}

module.exports = { CallConsole, METHODS };
