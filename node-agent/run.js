'use strict';
// One call, from its script to its one outcome.
//
//   parse ─► globals ─► code, or entry file ─► call? ──no──► its value, awaited ────┐
//                                                └──yes─► callee, caller ─► invoke ─┴─► done | fail   (the first wins)

const { Console } = require('node:console');
const { isBuiltin } = require('node:module');
const { performance } = require('node:perf_hooks');
const util = require('node:util');
const { CODE, exception, isAgentFile, notSerializable } = require('./failure.js');
const { Loader } = require('./loader.js');
const { isInstance, SHARED_CLASSES } = require('./modules.js');
const { CALLEE, IDENTIFIER, withoutEnd } = require('./source.js');
const { Folder } = require('./trees.js');

const CONSOLE_METHODS = Object.freeze(['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table', 'assert', 'count', 'countReset', 'time', 'timeEnd', 'timeLog', 'group', 'groupEnd']);
const PLAIN = new Set(['log', 'info', 'warn', 'error', 'debug']);
const FULL = 'console limit reached, the rest is dropped';

// Run is what a context's host calls end in. report(outcome) is called once, with {value, time} or a
// failure; print(text) for each line of the console, as it is printed.
class Run {
  #shared; #report; #print;
  #context;
  #loader;
  #folder;
  #startedAt = 0;
  #cpuBefore;
  #settled = false;
  #timers = new Map();
  #nextTimer = 1;
  #lines = 0;
  #bytes = 0;
  #console;

  // shared is what outlasts calls: {limits, modules, packages, resolver, scripts, imports}.
  constructor(shared, report, print) {
    this.#shared = shared;
    this.#report = report;
    this.#print = print;
  }

  // start evaluates the script in the context; body is its JSON text. folder is the bundle it names, if it
  // names one; measure asks for the CPU time it takes.
  start(context, body, { folder, measure = false } = {}) {
    this.#context = context;
    const { realm } = context;
    try {
      const script = realm.parse(body);
      if (script.globals) realm.setGlobals(script.globals);
      if (script.secrets) realm.setGlobals({ secrets: script.secrets });
      this.#folder = folder ?? (script.files && new Folder().add(script.files));
      if (measure) this.#cpuBefore = process.cpuUsage();
      this.#startedAt = performance.now();
      if (this.#folder !== undefined) return this.#enter(this.loader.evaluateEntry(script.file), script);
      const code = this.#shared.scripts.code(script.code, script.language, script.call);
      if (code.script === undefined) return this.#enter({ instance: this.loader.evaluateSource(code.es) }, script, code.isValue);
      const completion = context.evaluate(code.script);
      this.#go(script, script.call === undefined ? completion : this.#find(script.call));
    } catch (error) {
      this.fail(error);
    }
  }

  // loader is made when a call first needs it: most need none.
  get loader() {
    this.#loader ??= new Loader({ ...this.#shared, context: this.#context, run: this, folder: this.#folder });
    return this.#loader;
  }

  get imports() {
    return this.#shared.imports;
  }

  // #enter goes on where a module was evaluated: `call` names an export, the default one is the value.
  #enter({ exports, instance }, script, isValue = false) {
    if (instance === undefined) return this.#go(script, this.#exported(exports, script.call), isValue);
    return instance
      .then(({ namespace }) => this.#go(script, this.#exported(namespace, script.call), isValue))
      .catch((error) => this.fail(error));
  }

  #exported(exports, call) {
    const isNamespace = util.types.isModuleNamespaceObject(exports);
    if (call === undefined) return isNamespace || exports?.__esModule ? exports.default : exports;
    const [first, ...rest] = call.split('.');
    if (isNamespace && CALLEE in exports) return this.#context.realm.member(exports[CALLEE], rest);
    if (isNamespace && first in exports) return this.#context.realm.member(exports[first], rest);
    return this.#context.realm.member(exports, [first, ...rest]);
  }

  // #go ends a call with its value, or lets the caller call what was found. The default export of a file is
  // called if it is a function; the last expression of a script only if something is there to call it.
  #go(script, found, isValue = this.#folder === undefined) {
    const { realm } = this.#context;
    const named = script.call !== undefined;
    if (named && typeof found !== 'function') return this.#end({ code: CODE.notImplemented });
    if (!named && script.caller === undefined && (isValue || typeof found !== 'function')) return realm.finish(found);
    return realm.invoke(found, script.caller === undefined ? undefined : this.#caller(script.caller), script.args);
  }

  // #find resolves a name or dotted path; lexical names (const, let, class) are no properties of the
  // global object, so the first part is evaluated.
  #find(name) {
    const [first, ...rest] = name.split('.');
    if (!IDENTIFIER.test(first)) return undefined;
    let value;
    try {
      value = this.#context.evaluate(this.#shared.scripts.compile(`typeof ${first} === 'undefined' ? undefined : ${first}`, 'call'));
    } catch {
      return undefined; // a reserved word, or a name still in its dead zone
    }
    return this.#context.realm.member(value, rest);
  }

  // #caller evaluates the source of function(callee, cb), with or without a `;` behind it. In parentheses
  // first: a function that stands bare would be a declaration, and has no value.
  #caller(source) {
    const { scripts } = this.#shared;
    let script;
    try {
      script = scripts.compile(`(${withoutEnd(source)}\n)`, 'caller.js', -1);
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
    if (json.length > this.#shared.limits.result || Buffer.byteLength(json) > this.#shared.limits.result) {
      return this.#finish({ code: CODE.limitExceeded, limit: 'result' });
    }
    this.#finish({ value: json, time, cpu: this.#cpu() });
  }

  // #cpu is the processor time since evaluation began, in ms, where it was asked for.
  #cpu() {
    if (this.#cpuBefore === undefined) return undefined;
    const { user, system } = process.cpuUsage(this.#cpuBefore);
    return (user + system) / 1000;
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
    if (this.#settled || this.#lines > this.#shared.limits.console.lines) return;
    if (PLAIN.has(method) && this.#console === undefined) return this.#line(util.format(...args));
    // Grouping, counting and tables are Node's; its Console keeps their state for this call.
    this.#console ??= new Console({ stdout: { write: (text) => this.#line(text.slice(0, -1)), once() {}, removeListener() {} } });
    this.#console[method](...args);
  }

  #line(text) {
    const bytes = Buffer.byteLength(text);
    this.#lines++;
    this.#bytes += bytes;
    if (this.#lines > this.#shared.limits.console.lines || this.#bytes > this.#shared.limits.console.bytes) {
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
    sharedClasses: SHARED_CLASSES,
    taint: () => modules.taint(),
    isAgentFile,
    isInstance,
    isBuiltIn: (name) => isBuiltin(name),
    requireModule: (name) => host.run?.loader.require(name),
    allows: (name) => modules.allows(name),
    require: (name) => modules.require(name),
    borrow: (name) => modules.borrow(name),
  };
  return host;
}

module.exports = { Run, hostOf };
