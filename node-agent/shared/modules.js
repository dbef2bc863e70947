'use strict';
// The host's modules and classes that scripts may use. They live in the worker's own realm and outlast
// a call, so what a call borrowed is compared with how it looked before, and a worker whose modules were
// changed is not used again: no call sees another's state.

const { AsyncLocalStorage, AsyncResource, createHook } = require('node:async_hooks');
const stream = require('node:stream');

const BUILT_INS = Object.freeze([
  'assert', 'assert/strict', 'buffer', 'crypto', 'events', 'path', 'path/posix', 'path/win32', 'punycode', 'querystring',
  'stream', 'stream/promises', 'stream/web', 'string_decoder', 'timers', 'timers/promises', 'url', 'util', 'util/types', 'zlib',
]);

// What scripts may load besides, and find as globals, where there are hosts to reach.
const NETWORK = Object.freeze({
  modules: Object.freeze(['http', 'https', 'net', 'tls']),
  globals: Object.freeze(['fetch', 'FormData', 'Headers', 'Request', 'Response', 'WebSocket', 'CloseEvent']),
});

const LAZY_GLOBALS = Object.freeze([
  'AbortController', 'AbortSignal', 'Blob', 'Buffer', 'ByteLengthQueuingStrategy', 'CompressionStream', 'CountQueuingStrategy', 'CryptoKey', 'SubtleCrypto',
  'ReadableByteStreamController', 'ReadableStreamBYOBReader', 'ReadableStreamBYOBRequest', 'ReadableStreamDefaultController', 'ReadableStreamDefaultReader',
  'TransformStreamDefaultController', 'URLPattern', 'WritableStreamDefaultController', 'WritableStreamDefaultWriter', 'CustomEvent', 'DOMException', 'DecompressionStream',
  'Event', 'EventTarget', 'File', 'MessageChannel', 'MessageEvent', 'MessagePort', 'ReadableStream', 'TextDecoder', 'TextDecoderStream', 'TextEncoder', 'TextEncoderStream',
  'TransformStream', 'URL', 'URLSearchParams', 'WritableStream', 'atob', 'btoa', 'crypto', 'performance', 'structuredClone',
]);

const ASYNC_HOOKS = Object.freeze({ AsyncLocalStorage, AsyncResource });

const INTRINSICS = [
  Object, Function, Array, String, Number, Boolean, Symbol, Error, TypeError, RangeError, Promise, Map, Set, WeakMap,
  RegExp.prototype, Date, ArrayBuffer, Uint8Array, Object.getPrototypeOf(Uint8Array), JSON, Math, Reflect,
];

// What changes by itself: RegExp shows the last match.
const UNSEALED = new Set([process, globalThis, RegExp]);

// How realms name the same classes; what a script gets from the host may be of any of these.
const SHARED_CLASSES = Object.freeze([
  'Object', 'Function', 'Array', 'Promise', 'Map', 'Set', 'WeakMap', 'WeakSet', 'Date', 'RegExp', 'ArrayBuffer', 'SharedArrayBuffer', 'DataView',
  'Error', 'TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'EvalError', 'URIError', 'AggregateError',
  'Uint8Array', 'Int8Array', 'Uint8ClampedArray', 'Uint16Array', 'Int16Array', 'Uint32Array', 'Int32Array', 'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array',
]);

const NOT_LISTED = 'it is not in the list of modules that scripts may use (jsd serve --modules)';
const NO_HOSTS = 'there are no hosts that scripts may reach (jsd serve --hosts)';

const MAX_DEPTH = 4;
const MAX_OBJECTS = 4000;

const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

// read is what a property gives, also behind a getter; undefined where it needs another receiver.
function read(object, name, look) {
  if (look.get === undefined) return look.value;
  try {
    return object[name];
  } catch {
    return undefined;
  }
}

// Seal remembers the properties of objects and what they hold, down to a few levels. Settings behind
// accessors (events.defaultMaxListeners) count as what they give.
class Seal {
  #looks = new Map();

  add(root) {
    const queue = [[root, 0]];
    while (queue.length > 0 && this.#looks.size < MAX_OBJECTS) {
      const [object, depth] = queue.shift();
      if (UNSEALED.has(object) || this.#looks.has(object)) continue;
      const before = Object.getOwnPropertyDescriptors(object);
      const names = Reflect.ownKeys(before);
      const values = names.map((name) => read(object, name, before[name]));
      const look = Object.getOwnPropertyDescriptors(object); // some getters turn into a value when read
      this.#looks.set(object, { look, names, values, prototype: Object.getPrototypeOf(object) });
      if (depth < MAX_DEPTH) values.filter(isObject).forEach((value) => queue.push([value, depth + 1]));
    }
  }

  intact() {
    for (const [object, { look, names, values, prototype }] of this.#looks) {
      if (Object.getPrototypeOf(object) !== prototype || Reflect.ownKeys(object).length !== names.length) return false;
      for (let i = 0; i < names.length; i++) {
        const now = Reflect.getOwnPropertyDescriptor(object, names[i]);
        const then = look[names[i]];
        if (now === undefined || now.get !== then.get || now.set !== then.set) return false;
        // An object that a getter makes anew each time tells nothing by its identity.
        if (now.get !== undefined && isObject(values[i])) continue;
        if (!Object.is(read(object, names[i], now), values[i])) return false;
      }
    }
    return true;
  }
}

// Activity sees what a call starts in the host that may outlast it: jobs on other threads, timers that
// keep nothing alive, message ports. It looks only while something is borrowed, since it costs.
class Activity {
  #live = new Map(); // id → the resource
  #hook = createHook({
    init: (id, type, trigger, resource) => { if (!Activity.#HARMLESS.has(type)) this.#live.set(id, resource); },
    after: (id) => this.#live.delete(id),
    destroy: (id) => this.#live.delete(id),
    trackPromises: false,
  });
  static #HARMLESS = new Set(['PROMISE', 'TickObject', 'Microtask', 'Immediate', 'WRITEWRAP', 'PIPEWRAP']);

  watch() {
    this.#hook.enable();
  }

  // rest stops looking, and says whether nothing goes on.
  rest() {
    this.#hook.disable();
    // A job of crypto that was run at once (randomUUID) was never given anyone to call when done.
    const goesOn = (resource) => !(/Job$/.test(resource.constructor?.name) && resource.ondone === undefined);
    const quiet = ![...this.#live.values()].some(goesOn);
    this.#live.clear();
    return quiet;
  }
}

// What modules keep where no property shows it.
const hidden = () => [stream.getDefaultHighWaterMark(true), stream.getDefaultHighWaterMark(false)].join();

// Modules hands things out and says afterwards whether they came back as they were.
class Modules {
  #allowed;
  #allPackages;
  #tainted = false;
  #seals = new Map(); // name → Seal of what it gives
  #borrowed = new Set(); // names given to the call that runs
  #activity = new Activity();
  #hidden = hidden();
  #network;
  #connect;
  #connected = false;
  #released = false;

  // allowed are names of built-ins and packages; undefined stands for the default list and all packages.
  // network says whether there are hosts to reach, connect() makes the modules for that reach them.
  constructor(allowed, network = false, connect = () => {}) {
    this.#allowed = new Set(allowed ?? [...BUILT_INS, ...(network ? NETWORK.modules : [])]);
    if (!network) for (const name of NETWORK.modules) this.#allowed.delete(name);
    this.#network = network;
    this.#connect = connect;
    this.#allPackages = allowed === undefined;
  }

  allows(name) {
    return this.#allowed.has(name);
  }

  // names are those that may be loaded, as far as a list says them.
  names() {
    return [...this.#allowed];
  }

  // refusal says why a name may not be loaded.
  refusal(name) {
    return NETWORK.modules.includes(name) && !this.#network ? NO_HOSTS : NOT_LISTED;
  }

  allowsPackage(name) {
    return this.#allPackages || this.#allowed.has(name);
  }

  // asyncHooks is what packages get of node:async_hooks, allowed or not: what belongs to the one who makes it.
  asyncHooks() {
    return this.#lend('async_hooks', () => ASYNC_HOOKS);
  }

  // require gives {module} or {refused: why}; it never throws.
  require(name) {
    if (NETWORK.modules.includes(name) && this.#allowed.has(name)) return { module: this.#lendNetwork(() => require(`node:${name}`)) };
    if (this.#allowed.has(name)) return { module: this.#lend(name, () => require(`node:${name}`)) };
    return { refused: `Cannot find module '${name.slice(0, 200)}': ${this.refusal(name)}` };
  }

  // borrow gives a global of the host.
  borrow(name) {
    if (NETWORK.globals.includes(name)) return this.#lendNetwork(() => globalThis[name]);
    return this.#lend(`global ${name}`, () => globalThis[name]);
  }

  // #lendNetwork gives what has pools of connections, caches of TLS sessions and the like in it, where no
  // property shows them: a worker that gave it is not used again.
  #lendNetwork(make) {
    if (!this.#connected) this.#connect();
    this.#connected = true;
    if (!this.#released) this.taint();
    return make();
  }

  // taint says that the call does what may outlast it.
  taint() {
    this.#tainted = true;
  }

  // settle ends a call: true when everything it borrowed is as it was, and nothing of it goes on.
  settle() {
    if (this.#tainted) return false;
    if (this.#borrowed.size === 0) return true;
    const quiet = this.#activity.rest();
    performance.clearMarks();
    performance.clearMeasures();
    const names = [...this.#borrowed];
    this.#borrowed.clear();
    return quiet && hidden() === this.#hidden && names.every((name) => this.#seals.get(name).intact());
  }

  // release lends for good from now on: what a session changes is its own.
  release() {
    this.#activity.rest();
    this.#borrowed.clear();
    this.#released = true;
  }

  #lend(name, make) {
    const value = make();
    if (this.#released) return value;
    for (const key of ['intrinsics', name]) {
      if (!this.#seals.has(key)) {
        const seal = new Seal();
        if (key === name) seal.add(value);
        else INTRINSICS.forEach((intrinsic) => seal.add(intrinsic));
        this.#seals.set(key, seal);
      }
      this.#borrowed.add(key);
    }
    this.#activity.watch(); // behind the sealing, which starts things of its own
    return value;
  }
}

// isInstance says whether an object is of the worker's own class of that name.
const isInstance = (name, object) => SHARED_CLASSES.includes(name) && object instanceof globalThis[name];

module.exports = { Modules, LAZY_GLOBALS, NETWORK, NOT_LISTED, SHARED_CLASSES, isInstance };
