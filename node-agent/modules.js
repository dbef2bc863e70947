'use strict';
// The host's modules and classes that scripts may use. They live in the worker's own realm and outlast
// a call, so what a call borrowed is compared with how it looked before, and a worker whose modules were
// changed is not used again: no call sees another's state.

const BUILT_INS = Object.freeze([
  'assert', 'assert/strict', 'buffer', 'crypto', 'events', 'path', 'path/posix', 'path/win32', 'punycode', 'querystring',
  'stream', 'stream/promises', 'stream/web', 'string_decoder', 'timers', 'timers/promises', 'url', 'util', 'util/types', 'zlib',
]);

const LAZY_GLOBALS = Object.freeze([
  'AbortController', 'AbortSignal', 'Blob', 'Buffer', 'CompressionStream', 'CustomEvent', 'DOMException', 'DecompressionStream',
  'Event', 'EventTarget', 'MessageChannel', 'ReadableStream', 'TextDecoder', 'TextDecoderStream', 'TextEncoder', 'TextEncoderStream',
  'TransformStream', 'URL', 'URLSearchParams', 'WritableStream', 'atob', 'btoa', 'crypto', 'performance', 'structuredClone',
]);

const INTRINSICS = [
  Object, Function, Array, String, Number, Boolean, Symbol, Error, TypeError, RangeError, Promise, Map, Set, WeakMap,
  RegExp, Date, ArrayBuffer, Uint8Array, Object.getPrototypeOf(Uint8Array), JSON, Math, Reflect,
];

const MAX_DEPTH = 4;
const MAX_OBJECTS = 4000;

// Seal remembers the properties of objects and what they hold, down to a few levels.
class Seal {
  #looks = new Map();

  add(root) {
    const queue = [[root, 0]];
    while (queue.length > 0 && this.#looks.size < MAX_OBJECTS) {
      const [object, depth] = queue.shift();
      if (object === process || object === globalThis || this.#looks.has(object)) continue;
      const look = Object.getOwnPropertyDescriptors(object);
      const names = Reflect.ownKeys(look);
      this.#looks.set(object, { look, names, prototype: Object.getPrototypeOf(object) });
      if (depth === MAX_DEPTH) continue;
      for (const name of names) {
        const { value } = look[name];
        if ((typeof value === 'object' && value !== null) || typeof value === 'function') queue.push([value, depth + 1]);
      }
    }
  }

  intact() {
    for (const [object, { look, names, prototype }] of this.#looks) {
      if (Object.getPrototypeOf(object) !== prototype || Reflect.ownKeys(object).length !== names.length) return false;
      for (const name of names) {
        const now = Reflect.getOwnPropertyDescriptor(object, name);
        const then = look[name];
        if (now === undefined || !Object.is(now.value, then.value) || now.get !== then.get || now.set !== then.set) return false;
      }
    }
    return true;
  }
}

// Modules hands things out and says afterwards whether they came back as they were.
class Modules {
  #allowed;
  #seals = new Map(); // name → Seal of what it gives
  #borrowed = new Set(); // names given to the call that runs

  constructor(allowed = BUILT_INS) {
    this.#allowed = new Set(allowed);
  }

  allows(name) {
    return this.#allowed.has(name);
  }

  // require gives {module} or {refused: why}; it never throws.
  require(name) {
    if (this.#allowed.has(name)) return { module: this.#lend(name, () => require(`node:${name}`)) };
    return { refused: `Cannot find module '${name.slice(0, 200)}': it is not in the list of modules that scripts may use` };
  }

  // borrow gives a global of the host.
  borrow(name) {
    return this.#lend(`global ${name}`, () => globalThis[name]);
  }

  // settle ends a call: true when everything it borrowed is as it was.
  settle() {
    if (this.#borrowed.size === 0) return true;
    const names = [...this.#borrowed];
    this.#borrowed.clear();
    return names.every((name) => this.#seals.get(name).intact());
  }

  get inUse() {
    return this.#borrowed.size > 0;
  }

  #lend(name, make) {
    const value = make();
    for (const key of ['intrinsics', name]) {
      if (!this.#seals.has(key)) {
        const seal = new Seal();
        if (key === name) seal.add(value);
        else INTRINSICS.forEach((intrinsic) => seal.add(intrinsic));
        this.#seals.set(key, seal);
      }
      this.#borrowed.add(key);
    }
    return value;
  }
}

module.exports = { Modules, BUILT_INS, LAZY_GLOBALS };
