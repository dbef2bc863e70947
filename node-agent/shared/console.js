'use strict';
// What a call prints: formatted as Node does it, in lines of a level each, within the limits of a reply.

const { Console } = require('node:console');
const util = require('node:util');

const METHODS = Object.freeze(['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table', 'assert', 'count', 'countReset', 'time', 'timeEnd', 'timeLog', 'group', 'groupEnd']);
const LEVELS = new Set(['log', 'info', 'warn', 'error', 'debug']);
const FULL = 'console limit reached, the rest is dropped';

// levelOf is the level that a method has in Node, where it goes to stdout or stderr.
const levelOf = (method) => (LEVELS.has(method) ? method : method === 'trace' || method === 'assert' ? 'error' : 'log');

class CallConsole {
  #limits;
  #onLine;
  #lines = 0;
  #bytes = 0;
  #full = false;
  #console;
  #level = 'log';

  // limits are {lines, bytes}; onLine(text, level) is called for each line within them, and once for the
  // line that says that there were more.
  constructor(limits, onLine) {
    this.#limits = limits;
    this.#onLine = onLine;
  }

  // print is what console.METHOD(...args) comes to.
  print(method, args) {
    if (this.#full) return;
    if (LEVELS.has(method) && this.#console === undefined) return this.#line(util.format(...args), method);
    // Grouping, counting and tables are Node's; its Console keeps their state for this call.
    this.#console ??= new Console({ stdout: { write: (text) => this.#line(text.slice(0, -1), this.#level) }, ignoreErrors: false });
    const outer = this.#level; // what is printed may print, when it is inspected
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
    this.#onLine(this.#full ? FULL : text, level);
  }
}

module.exports = { CallConsole, LEVELS, METHODS };
