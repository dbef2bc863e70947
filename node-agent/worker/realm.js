// What a script finds in its fresh context. This file is evaluated inside of each context, so that everything that a
// script can touch belongs to the script's own realm. `bridge` (bridge.js) never leaves the closure. The object that is
// returned is for the worker. Intrinsics are read at the start, because the script may change them.
(function (bridge) {
  'use strict';
  const global = globalThis;
  const { isPromise } = bridge;
  const { parse, stringify } = JSON;
  const { apply, defineProperty: tryDefine, set: trySet } = Reflect; // which return false where others throw
  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, keys } = Object;
  const globalEval = eval;
  const RealmPromise = Promise;
  const PromisePrototype = Promise.prototype;
  const PromiseThen = Promise.prototype.then;
  const resolved = Promise.resolve();
  const ObjectPrototype = Object.prototype;
  const FIXED = { __proto__: null, undefined: true, NaN: true, Infinity: true };
  const RealmError = Error;
  const RealmTypeError = TypeError;

  const define = (name, value) => defineProperty(global, name, { value, writable: true, enumerable: false, configurable: true });

  // guard calls a function of the script. What it throws fails the call, since no caller is there to catch it.
  const guard = (callback, receiver, args) => {
    try {
      apply(callback, receiver, args);
    } catch (error) {
      bridge.fail(error);
    }
  };

  const needFunction = (value, name) => {
    if (typeof value === 'function') return;
    const error = new RealmTypeError(`The "${name}" argument must be of type function`);
    error.code = 'ERR_INVALID_ARG_TYPE';
    throw error;
  };

  // defineLazily defines a global that is made on its first use. Making all of them would cost more than most scripts.
  // All share one descriptor, since each context has some forty of them.
  const lazy = { __proto__: null, get: undefined, set: undefined, enumerable: false, configurable: true };
  const defineLazily = (name, make) => {
    lazy.get = () => {
      const value = make(name);
      define(name, value);
      return value;
    };
    lazy.set = (value) => { define(name, value); };
    defineProperty(global, name, lazy);
  };

  // The console. Node formats the lines in the worker.
  defineLazily('console', () => {
    const console = {};
    for (const method of bridge.consoleMethods) {
      console[method] = { [method](...args) { bridge.print(method, args); } }[method];
    }
    return console;
  });

  // Timers. Each belongs to the call that sets it, and is stopped when the call ends.
  class Timer {
    #id; #kind; #delay; #callback; #args; #live = true; #ref = true;

    constructor(kind, callback, delay, args) {
      needFunction(callback, 'callback');
      this.#kind = kind;
      this.#callback = callback;
      this.#delay = +delay;
      this.#args = args;
      this.#arm();
    }

    #arm() {
      this.#id = bridge.setTimer(this.#kind, this.#delay, () => {
        if (this.#kind !== 'interval') this.#live = false;
        guard(this.#callback, this, this.#args);
      });
    }

    static clear(timer) {
      if (typeof timer === 'object' && timer !== null && #id in timer) {
        timer.#live = false;
        bridge.clearTimer(timer.#id);
      } else if (typeof timer === 'number' || typeof timer === 'string') {
        bridge.clearTimer(+timer);
      }
    }

    ref() { this.#ref = true; return this; }
    unref() { this.#ref = false; return this; }
    hasRef() { return this.#ref; }
    close() { Timer.clear(this); return this; }
    refresh() {
      if (this.#live) {
        bridge.clearTimer(this.#id);
        this.#arm();
      }
      return this;
    }
    [Symbol.toPrimitive]() { return this.#id; }
    [Symbol.dispose]() { Timer.clear(this); }
  }
  class Timeout extends Timer {}
  class Immediate extends Timer {}

  const timers = {
    setTimeout(callback, delay, ...args) { return new Timeout('timeout', callback, delay, args); },
    setInterval(callback, delay, ...args) { return new Timeout('interval', callback, delay, args); },
    setImmediate(callback, ...args) { return new Immediate('immediate', callback, 0, args); },
    clearTimeout(timer) { Timer.clear(timer); },
    clearInterval(timer) { Timer.clear(timer); },
    clearImmediate(timer) { Timer.clear(timer); },
  };
  for (const name of keys(timers)) define(name, timers[name]);
  define('queueMicrotask', function queueMicrotask(callback) {
    needFunction(callback, 'callback');
    apply(PromiseThen, resolved, [() => guard(callback, undefined, [])]);
  });

  const delayed = (kind) => (delay, value) => new Promise((resolve) => { new Timeout(kind, resolve, delay, [value]); });
  const ownModules = {
    __proto__: null,
    timers: { ...timers },
    'timers/promises': { setTimeout: delayed('timeout'), setImmediate: (value) => delayed('immediate')(0, value) },
  };

  // Objects of built-in modules and web globals belong to the worker's realm. A script should not have to know: from
  // when it first gets one, `instanceof` of the script's classes accepts objects of the worker's classes too.
  const ordinary = Function.prototype[Symbol.hasInstance];
  const { hasInstance } = Symbol;
  const shared = { __proto__: null };
  for (const name of bridge.sharedClasses) shared[name] = global[name];
  let extended = false;
  const extendInstanceof = () => {
    if (extended) return;
    extended = true;
    for (const name of keys(shared)) {
      const own = shared[name];
      defineProperty(own, hasInstance, {
        value(object) { return apply(ordinary, this, [object]) || (this === own && bridge.isInstance(name, object)); },
        writable: true,
        configurable: true,
      });
    }
  };

  // builtIn returns {module}, or {refused: why}.
  const builtIn = (name) => {
    if (name in ownModules && bridge.allows(name)) return { module: ownModules[name] };
    const found = bridge.require(name);
    if (found.refused === undefined) extendInstanceof();
    return found;
  };

  // require is a function that can be constructed, since scripts for javascriptd may say `new require("x")`.
  define('require', function require(name) {
    if (typeof name !== 'string') throw new RealmTypeError('The "id" argument must be of type string');
    if (!bridge.isBuiltIn(name)) return bridge.requireModule(name);
    const found = builtIn(name.startsWith('node:') ? name.slice(5) : name);
    if (found.refused === undefined) return found.module;
    const error = new RealmError(found.refused);
    error.code = 'MODULE_NOT_FOUND';
    throw error;
  });

  // Web globals.
  const webGlobal = (name) => {
    extendInstanceof();
    return bridge.builtInGlobal(name);
  };
  for (const name of bridge.webGlobals) defineLazily(name, webGlobal);
  define('global', global);

  const isThenable = (value) => {
    if (isPromise(value)) return true;
    if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false;
    return typeof value.then === 'function';
  };

  // completeWith completes a call with the value of a promise. With waitsForCallback, undefined completes nothing, since
  // `cb` is still to be called. In a session another call may run by then, so the call is an argument. The intrinsics
  // are those of the start, so that a script that changes Promise still gets its reply.
  const completeWith = (call, promise, waitsForCallback) => {
    const native = isPromise(promise) ? promise : new RealmPromise((resolve) => resolve(promise));
    apply(PromiseThen, native, [
      (value) => { if (value !== undefined || !waitsForCallback) call.complete(value); },
      (error) => call.fail(error),
    ]);
  };

  // rejection is the error that a callback rejects with. The stack is that of caller, an error that was made where the
  // script called back.
  const rejection = (caller, { message = '', code, data }) => {
    const error = new RealmError(message);
    if (code !== undefined) error.code = code;
    if (data !== undefined) error.data = data;
    const { stack } = caller;
    if (typeof stack === 'string') error.stack = `Error: ${message}${stack.slice('Error'.length)}`;
    return error;
  };

  // callback makes the function host.NAME, which calls the client back.
  const callback = (name) => ({
    [name](...args) {
      const caller = new RealmError();
      return new RealmPromise((resolve, reject) => {
        const text = stringify(args);
        if (typeof text !== 'string' || text[0] !== '[') throw new RealmTypeError(`host.${name}: the arguments have no JSON form`);
        bridge.callback(name, text, (refused, value) => {
          if (refused === undefined) resolve(parse(value));
          else reject(rejection(caller, parse(refused)));
        });
      });
    },
  })[name];
  let scriptHost; // the script's `host`

  // These start work that may outlast the call and that no resource of Node shows: a script that uses them taints its
  // worker.
  const { construct } = Reflect;
  for (const [owner, names] of [[Atomics, ['waitAsync']], [WebAssembly, ['compile', 'instantiate', 'compileStreaming', 'instantiateStreaming']]]) {
    for (const name of names) {
      const own = owner[name];
      if (own === undefined) continue;
      owner[name] = { [name](...args) { bridge.taint(); return apply(own, this, args); } }[name];
    }
  }
  const Registry = FinalizationRegistry;
  const Tainting = new Proxy(Registry, { construct(target, args, newTarget) { bridge.taint(); return construct(target, args, newTarget); } });
  Registry.prototype.constructor = Tainting;
  define('FinalizationRegistry', Tainting);

  // A stack that a script reads shows no frames of the agent, as in a reply.
  const errorToString = Error.prototype.toString;
  defineProperty(Error, 'prepareStackTrace', {
    value(error, sites) {
      let text = apply(errorToString, error, []);
      for (let i = 0; i < sites.length; i++) {
        if (!bridge.isAgentFile(sites[i].getFileName())) text += `\n    at ${sites[i]}`;
      }
      return text;
    },
    writable: true, enumerable: false, configurable: true,
  });

  return {
    // For realm-modules.js.
    intrinsics: {
      apply, create: Object.create, defineProperty, freeze: Object.freeze, parse, Proxy,
      errors: { __proto__: null, Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError },
    },
    parse,
    builtIn,
    owns: (promise) => getPrototypeOf(promise) === PromisePrototype,

    setGlobals(globals) {
      for (const name of keys(globals)) {
        if (FIXED[name]) throw new RealmTypeError(`globals: ${name} cannot be set`);
        defineProperty(global, name, { value: globals[name], writable: true, enumerable: true, configurable: true });
      }
    },

    // stringify returns the JSON text of a value. A value without one (undefined, a function) becomes null.
    stringify: (value) => stringify(value) ?? 'null',

    // setCallbacks defines the script's `host`, with a function for each name, in place of an earlier one.
    setCallbacks(names) {
      if (scriptHost !== undefined && getOwnPropertyDescriptor(global, 'host')?.value === scriptHost) delete global.host;
      scriptHost = undefined;
      if (!names?.length) return;
      scriptHost = {};
      for (const name of names) defineProperty(scriptHost, name, { value: callback(name), writable: true, enumerable: true, configurable: true });
      define('host', scriptHost);
    },

    // shareNames defines the names of a module as globals. names is an object of accessors. A name that an earlier script
    // declared by let, const or class throws, as it would in a script. A name that it declared by var or function keeps
    // its property: the function that is returned copies the value, and has to be called when the module is evaluated.
    shareNames(names) {
      globalEval(`var ${keys(names)}`);
      const copied = [];
      for (const name of keys(names)) {
        if (!tryDefine(global, name, getOwnPropertyDescriptor(names, name))) copied[copied.length] = name;
      }
      return () => { for (const name of copied) trySet(global, name, names[name]); };
    },

    // complete completes the call with a value, or with the value of a promise.
    complete(value) {
      const { call } = bridge;
      try {
        if (isThenable(value)) completeWith(call, value, false);
        else call.complete(value);
      } catch (error) {
        call.fail(error);
      }
    },

    // invoke calls callee by caller, or by the default caller, and completes the call. args is undefined or an array.
    invoke(callee, caller, args) {
      const { call } = bridge;
      const cb = (value) => call.complete(value);
      try {
        let returned;
        if (caller !== undefined) returned = caller(callee, cb, args);
        else if (args !== undefined) returned = (async () => { cb(await callee(...args)); })();
        else returned = callee(cb);
        const { length } = caller ?? callee;
        if (isThenable(returned)) completeWith(call, returned, (caller === undefined && args !== undefined) || length > 0);
        // A function without parameters calls no `cb`.
        else if ((caller !== undefined || args === undefined) && length === 0 && returned !== undefined) call.complete(returned);
      } catch (error) {
        call.fail(error);
      }
    },

    // member follows a dotted path from a value. A function at its end is called with the right `this`.
    member(value, path) {
      let owner;
      for (let i = 0; i < path.length; i++) {
        if (value === null || value === undefined) return undefined;
        owner = value;
        value = owner[path[i]];
        if (value === ObjectPrototype[path[i]]) return undefined; // every object has it, so the script does not mean it
      }
      if (typeof value !== 'function' || path.length === 0) return value;
      return new Proxy(value, { apply: (target, receiver, args) => apply(target, owner, args) });
    },
  };
})
