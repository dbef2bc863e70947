'use strict';
// Contexts: fresh global objects for calls. Making one is most of a call's cost, so a worker makes a few ahead.

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const AHEAD = 4;
const NO_ARROWS = Object.freeze({ displayErrors: false }); // else Node puts source lines before stacks, its own too

const realmScript = new vm.Script(fs.readFileSync(path.join(__dirname, 'realm.js'), 'utf8'), { filename: 'jsd:realm' });

// A Context is a fresh global object, with the object that realm.js returned for it.
class Context {
  tree; // the sources that came with the call, if any did
  loader; // of modules; made when one is first needed
  lastTimer = 0;
  session; // {language, module} in the context of a session: what the session was opened with

  constructor(makeBridge) {
    // A global without the interceptors of a contextified object: half the cost to make, and as fast as any other.
    this.global = vm.createContext(vm.constants.DONT_CONTEXTIFY);
    this.bridge = makeBridge();
    this.realm = realmScript.runInContext(this.global)(this.bridge);
  }

  // evaluate runs a compiled script and returns its completion value. It throws what the script throws.
  evaluate(script) {
    return script.runInContext(this.global, NO_ARROWS);
  }
}

// Contexts keeps up to AHEAD contexts ready.
class Contexts {
  #ready = [];
  #makeBridge;

  constructor(makeBridge) {
    this.#makeBridge = makeBridge;
  }

  get ready() {
    return this.#ready.length;
  }

  get isFull() {
    return this.#ready.length >= AHEAD;
  }

  // isLow says that it is time to make more. Making several in a row keeps the worker from calls once, not behind each
  // call.
  get isLow() {
    return this.#ready.length <= AHEAD / 2;
  }

  // acquire returns a context that nobody else gets. It makes one if none is ready.
  acquire() {
    return this.#ready.pop() ?? new Context(this.#makeBridge);
  }

  add() {
    this.#ready.push(new Context(this.#makeBridge));
  }

  clear() {
    this.#ready = [];
  }
}

module.exports = { Contexts };
