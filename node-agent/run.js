'use strict';
// One call, from its script to its one outcome.
//
//   parse ─► globals ─► code ─► call? ──no──► completion value, awaited ─┐
//                                 └──yes─► callee, caller ─► invoke ─────┴─► done | fail   (the first wins)

const { Console } = require('node:console');
const { performance } = require('node:perf_hooks');
const util = require('node:util');
const { CODE, exception, notSerializable } = require('./failure.js');

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u;
const CONSOLE_METHODS = Object.freeze(['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table', 'assert', 'count', 'countReset', 'time', 'timeEnd', 'timeLog', 'group', 'groupEnd']);
const PLAIN = new Set(['log', 'info', 'warn', 'error', 'debug']);
const FULL = 'console limit reached, the rest is dropped';

// Run is what a context's host calls end in. report(outcome) is called once, with {value, time} or a
// failure; print(text) for each line of the console, as it is printed.
class Run {
  #limits; #modules; #report; #print;
  #context;
  #startedAt = 0;
  #settled = false;
  #timers = new Map();
  #nextTimer = 1;
  #lines = 0;
  #bytes = 0;
  #console;

  constructor({ limits, modules, report, print }) {
    this.#limits = limits;
    this.#modules = modules;
    this.#report = report;
    this.#print = print;
  }

  // start evaluates the script in the context; body is its JSON text.
  start(context, scripts, body) {
    this.#context = context;
    const { realm } = context;
    try {
      const script = realm.parse(body);
      if (script.globals) realm.setGlobals(script.globals);
      const code = scripts.compile(script.code, 'script.js');
      this.#startedAt = performance.now();
      const completion = context.evaluate(code);
      if (script.call === undefined && script.caller === undefined) return realm.finish(completion);
      const callee = script.call === undefined ? completion : this.#find(script.call, scripts);
      if (script.call !== undefined && typeof callee !== 'function') return this.#end({ code: CODE.notImplemented });
      const caller = script.caller === undefined ? undefined : this.#caller(script.caller, scripts);
      realm.invoke(callee, caller, script.args);
    } catch (error) {
      this.fail(error);
    }
  }

  // #find resolves a name or dotted path; lexical names (const, let, class) are no properties of the
  // global object, so the first part is evaluated.
  #find(name, scripts) {
    const [first, ...rest] = name.split('.');
    if (!IDENTIFIER.test(first)) return undefined;
    let value;
    try {
      value = this.#context.evaluate(scripts.compile(`typeof ${first} === 'undefined' ? undefined : ${first}`, 'call'));
    } catch {
      return undefined; // a reserved word, or a name still in its dead zone
    }
    return this.#context.realm.member(value, rest);
  }

  // #caller evaluates the source of function(callee, cb), with or without a `;` behind it. In parentheses
  // first: a function that stands bare would be a declaration, and has no value.
  #caller(source, scripts) {
    let script;
    try {
      script = scripts.compile(`(${source.replace(/[;\s]+$/, '')}\n)`, 'caller.js', -1);
    } catch {
      script = scripts.compile(source, 'caller.js');
    }
    const caller = this.#context.evaluate(script);
    if (typeof caller !== 'function') throw new TypeError('caller has to be the source of function(callee, cb)');
    return caller;
  }

  done(value) {
    if (this.#settled) return;
    const time = Math.floor(performance.now() - this.#startedAt);
    this.#settled = true; // before stringify, which may run code of the script
    let json;
    try {
      json = this.#context.realm.stringify(value);
    } catch (error) {
      return this.#finish(notSerializable(error));
    }
    if (json.length > this.#limits.result || Buffer.byteLength(json) > this.#limits.result) {
      return this.#finish({ code: CODE.limitExceeded, limit: 'result' });
    }
    this.#finish({ value: json, time });
  }

  fail(error) {
    if (this.#settled) return;
    this.#settled = true;
    this.#finish(exception(error));
  }

  get settled() {
    return this.#settled;
  }

  // owns says whether a promise was made in this call's context.
  owns(promise) {
    return this.#context !== undefined && this.#context.realm.owns(promise);
  }

  #end(outcome) {
    if (this.#settled) return;
    this.#settled = true;
    this.#finish(outcome);
  }

  #finish(outcome) {
    for (const timer of this.#timers.values()) timer.stop();
    this.#timers.clear();
    this.#report(outcome);
  }

  setTimer(kind, delay, fire) {
    const id = this.#nextTimer++;
    if (this.#settled) return id;
    let stop;
    if (kind === 'interval') {
      const timer = setInterval(fire, delay);
      stop = () => clearInterval(timer);
    } else {
      const once = () => { this.#timers.delete(id); fire(); };
      const timer = kind === 'immediate' ? setImmediate(once) : setTimeout(once, delay);
      stop = () => (kind === 'immediate' ? clearImmediate(timer) : clearTimeout(timer));
    }
    this.#timers.set(id, { stop });
    return id;
  }

  clearTimer(id) {
    this.#timers.get(id)?.stop();
    this.#timers.delete(id);
  }

  // print is what console.METHOD(...args) comes to.
  print(method, args) {
    if (this.#settled || this.#lines > this.#limits.console.lines) return;
    if (PLAIN.has(method) && this.#console === undefined) return this.#line(util.format(...args));
    // Grouping, counting and tables are Node's; its Console keeps their state for this call.
    this.#console ??= new Console({ stdout: { write: (text) => this.#line(text.slice(0, -1)), once() {}, removeListener() {} } });
    this.#console[method](...args);
  }

  #line(text) {
    const bytes = Buffer.byteLength(text);
    this.#lines++;
    this.#bytes += bytes;
    if (this.#lines > this.#limits.console.lines || this.#bytes > this.#limits.console.bytes) {
      this.#lines = Infinity;
      this.#print(FULL);
      return;
    }
    this.#print(text);
  }
}

// hostOf is what realm.js gets: plain functions that end in the run which has taken the context.
// Between calls there is none, and nothing happens.
function hostOf(modules, lazyGlobals) {
  const host = {
    run: undefined,
    consoleMethods: CONSOLE_METHODS,
    lazyGlobals,
    isPromise: util.types.isPromise,
    done: (value) => host.run?.done(value),
    fail: (error) => host.run?.fail(error),
    print: (method, args) => host.run?.print(method, args),
    setTimer: (kind, delay, fire) => (host.run === undefined ? 0 : host.run.setTimer(kind, delay, fire)),
    clearTimer: (id) => host.run?.clearTimer(id),
    allows: (name) => modules.allows(name),
    require: (name) => modules.require(name),
    borrow: (name) => modules.borrow(name),
  };
  return host;
}

module.exports = { Run, hostOf };
