'use strict';
// Node's modules and web globals that scripts may use. They are objects of the worker's own realm and outlast a call.
// So that no call sees another's state, each object that a call got is compared with a snapshot when the call has
// ended, and a worker with a changed object is not used again.

const { AsyncLocalStorage, AsyncResource } = require('node:async_hooks');
const stream = require('node:stream');
const { NETWORK_MODULES } = require('../shared/allowed-modules.js');
const { AsyncActivity, Snapshot } = require('./snapshot.js');

// WEB_GLOBALS are the globals of Node that each script has.
const WEB_GLOBALS = Object.freeze([
  'AbortController', 'AbortSignal', 'Blob', 'Buffer', 'ByteLengthQueuingStrategy', 'CompressionStream', 'CountQueuingStrategy', 'CryptoKey', 'SubtleCrypto',
  'ReadableByteStreamController', 'ReadableStreamBYOBReader', 'ReadableStreamBYOBRequest', 'ReadableStreamDefaultController', 'ReadableStreamDefaultReader',
  'TransformStreamDefaultController', 'URLPattern', 'WritableStreamDefaultController', 'WritableStreamDefaultWriter', 'CustomEvent', 'DOMException', 'DecompressionStream',
  'Event', 'EventTarget', 'File', 'MessageChannel', 'MessageEvent', 'MessagePort', 'ReadableStream', 'TextDecoder', 'TextDecoderStream', 'TextEncoder', 'TextEncoderStream',
  'TransformStream', 'URL', 'URLSearchParams', 'WritableStream', 'atob', 'btoa', 'crypto', 'performance', 'structuredClone',
]);

// NETWORK_GLOBALS are those that a script has besides where there are hosts that it may reach.
const NETWORK_GLOBALS = Object.freeze(['fetch', 'FormData', 'Headers', 'Request', 'Response', 'WebSocket', 'CloseEvent']);

const ASYNC_HOOKS = Object.freeze({ AsyncLocalStorage, AsyncResource });

const INTRINSICS = [
  Object, Function, Array, String, Number, Boolean, Symbol, Error, TypeError, RangeError, Promise, Map, Set, WeakMap,
  RegExp.prototype, Date, ArrayBuffer, Uint8Array, Object.getPrototypeOf(Uint8Array), JSON, Math, Reflect,
];

// SHARED_CLASSES exist in the worker's realm and in each context, under the same names. An object that a script gets
// of Node is an instance of the worker's class.
const SHARED_CLASSES = Object.freeze([
  'Object', 'Function', 'Array', 'Promise', 'Map', 'Set', 'WeakMap', 'WeakSet', 'Date', 'RegExp', 'ArrayBuffer', 'SharedArrayBuffer', 'DataView',
  'Error', 'TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'EvalError', 'URIError', 'AggregateError',
  'Uint8Array', 'Int8Array', 'Uint8ClampedArray', 'Uint16Array', 'Int16Array', 'Uint32Array', 'Int32Array', 'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array',
]);

// isInstance reports whether an object is an instance of the worker's own class of that name.
const isInstance = (name, object) => SHARED_CLASSES.includes(name) && object instanceof globalThis[name];

// highWaterMarks is a setting of node:stream that no property shows.
const highWaterMarks = () => [stream.getDefaultHighWaterMark(true), stream.getDefaultHighWaterMark(false)].join();

class BuiltIns {
  #allowed; // AllowedModules
  #tainted = false;
  #snapshots = new Map(); // name → Snapshot of the object, made when a call first got it
  #used = new Set(); // names that the current call got
  #activity = new AsyncActivity();
  #highWaterMarks = highWaterMarks();
  #connect;
  #connected = false;
  #tracks = true;

  // connect() is called once, before a script gets a module or global that opens connections.
  constructor(allowed, connect) {
    this.#allowed = allowed;
    this.#connect = connect;
  }

  allows(name) {
    return this.#allowed.has(name);
  }

  // require returns {module}, or {refused: why}. It never throws.
  require(name) {
    if (!this.#allowed.has(name)) return { refused: `Cannot find module '${name.slice(0, 200)}': ${this.#allowed.refusal(name)}` };
    if (NETWORK_MODULES.includes(name)) return { module: this.#useNetwork(() => require(`node:${name}`)) };
    return { module: this.#use(name, () => require(`node:${name}`)) };
  }

  // asyncHooks is the part of node:async_hooks that packages get, whether scripts may load it or not: classes whose
  // instances belong to whoever makes them.
  asyncHooks() {
    return this.#use('async_hooks', () => ASYNC_HOOKS);
  }

  // global returns one of WEB_GLOBALS or NETWORK_GLOBALS.
  global(name) {
    if (NETWORK_GLOBALS.includes(name)) return this.#useNetwork(() => globalThis[name]);
    return this.#use(`global ${name}`, () => globalThis[name]);
  }

  // taint notes that the call did something that may outlast it: its worker must not be used again.
  taint() {
    this.#tainted = true;
  }

  // reset is for the end of a call. It returns whether everything that the call got is unchanged, and nothing that
  // the call started goes on; else the worker must not be used again.
  reset() {
    if (this.#tainted) return false;
    if (this.#used.size === 0) return true;
    const quiet = this.#activity.stop();
    performance.clearMarks();
    performance.clearMeasures();
    const names = [...this.#used];
    this.#used.clear();
    return quiet && highWaterMarks() === this.#highWaterMarks && names.every((name) => this.#snapshots.get(name).isUnchanged());
  }

  // stopTracking is for the worker of a session: all calls to come belong to the session, and so do their changes.
  stopTracking() {
    this.#activity.stop();
    this.#used.clear();
    this.#tracks = false;
  }

  // #useNetwork returns an object that holds connections, TLS sessions and the like, which no property shows. It
  // cannot be compared, so the worker is tainted.
  #useNetwork(get) {
    if (!this.#connected) this.#connect();
    this.#connected = true;
    if (this.#tracks) this.taint();
    return get();
  }

  #use(name, get) {
    const value = get();
    if (!this.#tracks) return value;
    this.#track('intrinsics', INTRINSICS);
    this.#track(name, [value]);
    this.#activity.start(); // after the snapshots, which start resources of their own
    return value;
  }

  #track(name, objects) {
    this.#used.add(name);
    if (this.#snapshots.has(name)) return;
    const snapshot = new Snapshot();
    objects.forEach((object) => snapshot.add(object));
    this.#snapshots.set(name, snapshot);
  }
}

module.exports = { BuiltIns, NETWORK_GLOBALS, SHARED_CLASSES, WEB_GLOBALS, isInstance };
