'use strict';
// One call, from its script to its one outcome.
//
//   parse ─► globals ─► code, or entry file ─► call? ──no──► its value, awaited ────┐
//                                                └──yes─► callee, caller ─► invoke ─┴─► done | fail   (the first wins)
//
// The call that opens a session ends where its value is there; calls in one begin at `code`, or at `call`.

const { performance } = require('node:perf_hooks');
const util = require('node:util');
const { Unanswered } = require('../shared/callbacks.js');
const { CallConsole } = require('../shared/console.js');
const { CODE, exception, notSerializable } = require('../shared/failures.js');
const { Loader } = require('./loader.js');
const { NAMES } = require('./names.js');
const { CALLEE, IDENTIFIER, withoutEnd } = require('./source.js');
const { Folder } = require('../shared/trees.js');

// Run is what a context's host calls end in.
class Run {
  #shared;
  #outlet;
  #context;
  #opens = false;
  #startedAt = 0;
  #cpuBefore;
  #settled = false;
  #timers = new Map();
  #console;
  #callbacks;
  #unanswered;

  // shared is what outlasts calls: {limits, modules, packages, resolver, scripts, imports}. outlet has
  // report(outcome), called once with {value, time} or a failure; print(text, level) for each line of the
  // console, as it is printed; callback(name, args) for each callback that is let out.
  constructor(shared, outlet) {
    this.#shared = shared;
    this.#outlet = outlet;
  }

  // start evaluates the script in the context; body is its JSON text. bundle is the folder it names, if it
  // names one; stats asks for the CPU time it takes; callbacks names what it may call; open says that the
  // context is kept, for calls that come with no folder of their own.
  start(context, body, { bundle, stats = false, callbacks, open = false } = {}) {
    this.#context = context;
    this.#callbacks = callbacks;
    this.#opens = open;
    const { realm } = context;
    try {
      const script = realm.parse(body);
      if (open) context.session = { language: script.language };
      if (script.globals) realm.setGlobals(script.globals);
      if (script.secrets) realm.setGlobals({ secrets: script.secrets });
      if (callbacks !== undefined || context.session !== undefined) realm.setCallbacks(callbacks);
      const folder = bundle ?? (script.files && new Folder().add(script.files));
      if (stats) this.#cpuBefore = process.cpuUsage();
      this.#startedAt = performance.now();
      if (folder !== undefined) return this.#enter(folder, script);
      if (script.code === undefined && context.session !== undefined) return this.#resume(script);
      return this.#evaluate(script);
    } catch (error) {
      return this.fail(error);
    }
  }

  // loader is made when a context first needs it: most need none.
  get loader() {
    const context = this.#context;
    context.loader ??= new Loader({ ...this.#shared, context, folder: context.folder });
    return context.loader;
  }

  #enter(folder, script) {
    this.#context.folder = folder;
    const { exports, instance } = this.loader.evaluateEntry(script.file);
    if (instance === undefined) this.#entered({ exports, isValue: false }, script);
    else this.#await(instance, script, false);
  }

  #evaluate(script) {
    const { session } = this.#context;
    const code = this.#shared.scripts.code(script.code, session?.language ?? script.language, script.call, session !== undefined);
    if (code.script !== undefined) {
      const completion = this.#context.evaluate(code.script);
      return this.#go(script, script.call === undefined ? completion : this.#named(script.call), true);
    }
    if (session === undefined) return this.#await(this.loader.evaluateSource(code.es), script, code.isValue);
    let share;
    const instance = this.loader.evaluateSource(code.es, (namespace) => { share = this.#share(namespace); });
    return this.#await(instance, script, code.isValue, share);
  }

  // #resume goes on in a session with what was evaluated before.
  #resume(script) {
    const { module } = this.#context.session;
    if (script.call !== undefined) return this.#go(script, this.#named(script.call), false);
    return this.#go(script, this.#exported(module?.exports), module?.isValue ?? true);
  }

  // #await goes on when an ES module has been evaluated; share is what #share gave for it.
  #await(instance, script, isValue, share) {
    instance
      .then(({ namespace }) => {
        share?.();
        this.#entered({ exports: namespace, isValue }, script);
      })
      .catch((error) => this.fail(error));
  }

  // #share gives the session the names at a module's top level, as a script would have done by itself.
  #share(namespace) {
    return NAMES in namespace ? this.#context.realm.share(namespace[NAMES]()) : undefined;
  }

  // #entered goes on with a module: `call` names an export, the default one is the value.
  #entered(module, script) {
    if (this.#opens) this.#context.session.module = module;
    this.#go(script, script.call === undefined ? this.#exported(module.exports) : this.#named(script.call, module), module.isValue);
  }

  // #named resolves `call`: in a module that was just evaluated, if it was one, else at the top level; in a
  // session also in the one it was opened with.
  #named(name, module) {
    const { session } = this.#context;
    if (session === undefined) return module === undefined ? this.#find(name) : this.#exported(module.exports, name);
    for (const known of [module, session.module]) {
      const found = known === undefined ? undefined : this.#exported(known.exports, name);
      if (found !== undefined) return found;
    }
    return this.#find(name);
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
  #go(script, found, isValue) {
    const { realm } = this.#context;
    if (this.#opens) return realm.finish(isValue ? found : undefined);
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
      json = this.#context.realm.stringify(this.#opens ? undefined : value); // nobody asked for the value of an opening
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
    this.#unanswered = undefined;
    this.#outlet.report(outcome);
  }

  setTimer(kind, delay, fire) {
    const id = ++this.#context.lastTimer;
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
    if (this.#settled) return;
    this.#console ??= new CallConsole(this.#shared.limits.console, this.#outlet.print);
    this.#console.print(method, args);
  }

  // callback is what host.NAME(...args) comes to; args is JSON. settle(error, value) is called with the JSON
  // of one of them, unless the call ends before: then nobody is there to be told.
  callback(name, args, settle) {
    if (this.#settled) return;
    const bytes = Buffer.byteLength(args);
    this.#unanswered ??= new Unanswered(this.#shared.limits.result);
    const refused = this.#callbacks?.includes(name) ? this.#unanswered.refuses(bytes) : 'it is not in callbacks';
    if (refused !== undefined) return settle(JSON.stringify({ message: `host.${name} is not allowed: ${refused}` }));
    this.#unanswered.add(bytes, settle);
    return this.#outlet.callback(name, args);
  }

  // reply settles a callback, once.
  reply({ callback, error }, body) {
    const taken = this.#unanswered?.take(callback);
    taken?.settle(error === undefined ? undefined : JSON.stringify(error), (body ?? 'null').toString());
  }
}

module.exports = { Run };
