// What a script finds in its fresh context. This file is evaluated inside that context, once for each,
// so everything a script can touch belongs to its own realm; `host` never leaves the closure. It returns
// what the worker needs of the context. Intrinsics are taken at the start, because the script may
// change them.
(function (host) {
  'use strict';
  const global = globalThis;
  const { isPromise } = host;
  const { parse, stringify } = JSON;
  const { apply, defineProperty: tryDefine, set: trySet } = Reflect; // which give false where others throw
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

  // guard runs a callback of the script where nobody above would catch what it throws.
  const guard = (callback, receiver, args) => {
    try {
      apply(callback, receiver, args);
    } catch (error) {
      host.fail(error);
    }
  };

  const needFunction = (value, name) => {
    if (typeof value === 'function') return;
    const error = new RealmTypeError(`The "${name}" argument must be of type function`);
    error.code = 'ERR_INVALID_ARG_TYPE';
    throw error;
  };

  // What most scripts do not use is made on first use: making all of it costs more than the script. One descriptor
  // and arrows do for some forty of them in each context.
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

  // Console. Formatting is Node's own; the lines go to the call's reply.
  defineLazily('console', () => {
    const console = {};
    for (const method of host.consoleMethods) {
      console[method] = { [method](...args) { host.print(method, args); } }[method];
    }
    return console;
  });

  // Timers. Each belongs to the call and is stopped with it.
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
      this.#id = host.setTimer(this.#kind, this.#delay, () => {
        if (this.#kind !== 'interval') this.#live = false;
        guard(this.#callback, this, this.#args);
      });
    }

    static clear(timer) {
      if (typeof timer === 'object' && timer !== null && #id in timer) {
        timer.#live = false;
        host.clearTimer(timer.#id);
      } else if (typeof timer === 'number' || typeof timer === 'string') {
        host.clearTimer(+timer);
      }
    }

    ref() { this.#ref = true; return this; }
    unref() { this.#ref = false; return this; }
    hasRef() { return this.#ref; }
    close() { Timer.clear(this); return this; }
    refresh() {
      if (this.#live) {
        host.clearTimer(this.#id);
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

  // Objects of the host's modules and web globals belong to the worker's realm. A script should not have to
  // know: `instanceof` counts them to the classes of its own, from when it first gets something of the host.
  const ordinary = Function.prototype[Symbol.hasInstance];
  const { hasInstance } = Symbol;
  const shared = { __proto__: null };
  for (const name of host.sharedClasses) shared[name] = global[name];
  let related = false;
  const relate = () => {
    if (related) return;
    related = true;
    for (const name of keys(shared)) {
      const own = shared[name];
      defineProperty(own, hasInstance, {
        value(object) { return apply(ordinary, this, [object]) || (this === own && host.isInstance(name, object)); },
        writable: true,
        configurable: true,
      });
    }
  };

  // builtIn gives {module}, or {refused: why}.
  const builtIn = (name) => {
    if (name in ownModules && host.allows(name)) return { module: ownModules[name] };
    const found = host.require(name);
    if (found.refused === undefined) relate();
    return found;
  };

  // A constructor too: `new require("x")` is how some scripts of old call it.
  define('require', function require(name) {
    if (typeof name !== 'string') throw new RealmTypeError('The "id" argument must be of type string');
    if (!host.isBuiltIn(name)) return host.requireModule(name);
    const found = builtIn(name.startsWith('node:') ? name.slice(5) : name);
    if (found.refused === undefined) return found.module;
    const error = new RealmError(found.refused);
    error.code = 'MODULE_NOT_FOUND';
    throw error;
  });

  // Web globals.
  const borrow = (name) => {
    relate();
    return host.borrow(name);
  };
  for (const name of host.lazyGlobals) defineLazily(name, borrow);
  define('global', global);

  const isThenable = (value) => {
    if (isPromise(value)) return true;
    if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false;
    return typeof value.then === 'function';
  };

  // settle waits for a promise of the script: undefined ends the call only where nothing else may. It is
  // the call `run` that ends, whichever runs by then. The intrinsics are those of the start: a script that
  // changes Promise must not lose its own reply.
  const settle = (run, promise, waitsForCallback) => {
    const native = isPromise(promise) ? promise : new RealmPromise((resolve) => resolve(promise));
    apply(PromiseThen, native, [
      (value) => { if (value !== undefined || !waitsForCallback) run.done(value); },
      (error) => run.fail(error),
    ]);
  };

  // rejection is the error that a callback rejects with; place was made where the script called it.
  const rejection = (place, { message = '', code, data }) => {
    const error = new RealmError(message);
    if (code !== undefined) error.code = code;
    if (data !== undefined) error.data = data;
    const { stack } = place;
    if (typeof stack === 'string') error.stack = `Error: ${message}${stack.slice('Error'.length)}`;
    return error;
  };

  // callback makes host.NAME, which asks the client.
  const callback = (name) => ({
    [name](...args) {
      const place = new RealmError();
      return new RealmPromise((resolve, reject) => {
        const text = stringify(args);
        if (typeof text !== 'string' || text[0] !== '[') throw new RealmTypeError(`host.${name}: the arguments have no JSON form`);
        host.callback(name, text, (refused, value) => {
          if (refused === undefined) resolve(parse(value));
          else reject(rejection(place, parse(refused)));
        });
      });
    },
  })[name];
  let given; // the script's `host`

  // What outlasts a call where no count of handles shows it: whose script uses it, that one's worker ends.
  const { construct } = Reflect;
  for (const [owner, names] of [[Atomics, ['waitAsync']], [WebAssembly, ['compile', 'instantiate', 'compileStreaming', 'instantiateStreaming']]]) {
    for (const name of names) {
      const own = owner[name];
      if (own === undefined) continue;
      owner[name] = { [name](...args) { host.taint(); return apply(own, this, args); } }[name];
    }
  }
  const Registry = FinalizationRegistry;
  const Tainting = new Proxy(Registry, { construct(target, args, newTarget) { host.taint(); return construct(target, args, newTarget); } });
  Registry.prototype.constructor = Tainting;
  define('FinalizationRegistry', Tainting);

  // Stacks that a script reads itself show no more than those in a reply.
  const errorToString = Error.prototype.toString;
  defineProperty(Error, 'prepareStackTrace', {
    value(error, sites) {
      let text = apply(errorToString, error, []);
      for (let i = 0; i < sites.length; i++) {
        if (!host.isAgentFile(sites[i].getFileName())) text += `\n    at ${sites[i]}`;
      }
      return text;
    },
    writable: true, enumerable: false, configurable: true,
  });

  return {
    // For realm-modules.js: as they are before the script runs.
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

    // stringify gives the JSON text of a value; what has none (undefined, a function) becomes null.
    stringify: (value) => stringify(value) ?? 'null',

    // setCallbacks gives the script a `host` with a function for each name, in place of the one it had.
    setCallbacks(names) {
      if (given !== undefined && getOwnPropertyDescriptor(global, 'host')?.value === given) delete global.host;
      given = undefined;
      if (!names?.length) return;
      given = {};
      for (const name of names) defineProperty(given, name, { value: callback(name), writable: true, enumerable: true, configurable: true });
      define('host', given);
    },

    // share gives the context the names of a module, which come as accessors: those that a script declared by
    // let, const or class cannot be declared again, and those by var or function get the value when the
    // module has been evaluated, which is when what this returns has to be called.
    share(names) {
      globalEval(`var ${keys(names)}`);
      const copied = [];
      for (const name of keys(names)) {
        if (!tryDefine(global, name, getOwnPropertyDescriptor(names, name))) copied[copied.length] = name;
      }
      return () => { for (const name of copied) trySet(global, name, names[name]); };
    },

    // finish ends a call that names no function.
    finish(value) {
      const { run } = host;
      try {
        if (isThenable(value)) settle(run, value, false);
        else run.done(value);
      } catch (error) {
        run.fail(error);
      }
    },

    // invoke runs callee by caller, or by the default caller. args is undefined or an array.
    invoke(callee, caller, args) {
      const { run } = host;
      const cb = (value) => run.done(value);
      try {
        let returned;
        if (caller !== undefined) returned = caller(callee, cb, args);
        else if (args !== undefined) returned = (async () => { cb(await callee(...args)); })();
        else returned = callee(cb);
        const { length } = caller ?? callee;
        if (isThenable(returned)) settle(run, returned, (caller === undefined && args !== undefined) || length > 0);
        // It has no `cb` to wait for.
        else if ((caller !== undefined || args === undefined) && length === 0 && returned !== undefined) run.done(returned);
      } catch (error) {
        run.fail(error);
      }
    },

    // member walks a dotted path below a value and keeps `this` for the function at its end.
    member(value, path) {
      let owner;
      for (let i = 0; i < path.length; i++) {
        if (value === null || value === undefined) return undefined;
        owner = value;
        value = owner[path[i]];
        if (value === ObjectPrototype[path[i]]) return undefined; // what every object has is nothing to call
      }
      if (typeof value !== 'function' || path.length === 0) return value;
      return new Proxy(value, { apply: (target, receiver, args) => apply(target, owner, args) });
    },
  };
})
