'use strict';
// Fresh contexts. Making one is most of a call's cost, so a few are made ahead.

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const KEEP = 4;
const NO_ARROWS = Object.freeze({ displayErrors: false }); // else Node puts source lines, also its own, before stacks

const bootstrap = new vm.Script(fs.readFileSync(path.join(__dirname, 'realm.js'), 'utf8'), { filename: 'jsd:realm' });

// A Context is a fresh global object and what realm.js returned for it. Its host answers to the call
// that takes the context, and to nothing before and after; in a session, to the call that runs.
class Context {
  folder; // the sources that came with the call, if any did
  loader; // of modules, made when one is first needed
  lastTimer = 0;
  session; // where it is kept for calls to come: {language, exports}, exports of what it was opened with

  constructor(prepareHost) {
    // A global that is V8's own, without the interceptors of a contextified object: half the cost to
    // make, and as fast as any other to use.
    this.global = vm.createContext(vm.constants.DONT_CONTEXTIFY);
    this.host = prepareHost();
    this.realm = bootstrap.runInContext(this.global)(this.host);
  }

  // evaluate runs a compiled script and returns its completion value, or throws what the script throws.
  evaluate(script) {
    return script.runInContext(this.global, NO_ARROWS);
  }
}

// Contexts keeps up to KEEP of them.
class Contexts {
  #ready = [];
  #prepareHost;

  constructor(prepareHost) {
    this.#prepareHost = prepareHost;
  }

  get ready() {
    return this.#ready.length;
  }

  // take gives one, made now if none is ready.
  take() {
    return this.#ready.pop() ?? new Context(this.#prepareHost);
  }

  // Half empty is the time to refill: making several in one go keeps a worker away once, not at every call.
  get wanting() {
    return this.#ready.length <= KEEP / 2;
  }

  get full() {
    return this.#ready.length >= KEEP;
  }

  clear() {
    this.#ready = [];
  }

  add() {
    this.#ready.push(new Context(this.#prepareHost));
  }
}

module.exports = { Contexts };
