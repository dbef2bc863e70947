'use strict';
// One call in the worker: what its script prints, calls back and schedules, and the call's one outcome. evaluation.js
// runs the script; realm.js completes the call.

const { performance } = require('node:perf_hooks');
const { PendingCallbacks } = require('../shared/callbacks.js');
const { codes } = require('../shared/failures.js');
const { CallConsole } = require('./console.js');
const { Loader } = require('./loader.js');
const { exception, notSerializable } = require('./thrown.js');

class Call {
  #services;
  #agent;
  #context;
  #names; // of the callbacks that the script may call
  #isOpening; // of a session
  #startedAt = 0;
  #cpuBefore;
  #completed = false;
  #timers = new Map(); // id → function that stops the timer
  #console;
  #pendingCallbacks;

  // services outlive calls: {limits, allowed, builtIns, packages, resolver, scripts, imports}. agent has
  // sendOutcome(outcome), called once with {value, time, cpu} or a failure; sendPrint(text, level) for each line, as it
  // is printed; and sendCallback(name, args). Of the daemon's header, callbacks are the names that the script may call,
  // and open says that the call opens a session.
  constructor(services, agent, context, { callbacks, open } = {}) {
    this.#services = services;
    this.#agent = agent;
    this.#context = context;
    this.#names = callbacks;
    this.#isOpening = open !== undefined;
  }

  // loader is made when a context first needs it. Most contexts need none.
  get loader() {
    const context = this.#context;
    context.loader ??= new Loader({ ...this.#services, context, tree: context.tree });
    return context.loader;
  }

  get isCompleted() {
    return this.#completed;
  }

  // start starts the clocks; stats says whether the CPU time is wanted.
  start(stats) {
    if (stats) this.#cpuBefore = process.cpuUsage();
    this.#startedAt = performance.now();
  }

  // complete ends the call with its value. After the first outcome of a call, complete and fail do nothing.
  complete(value) {
    if (this.#completed) return;
    const time = Math.floor(performance.now() - this.#startedAt);
    this.#completed = true; // before stringify, which may run code of the script
    let json;
    try {
      json = this.#context.realm.stringify(this.#isOpening ? undefined : value); // opening a session has no value
    } catch (error) {
      return this.#end(notSerializable(error));
    }
    if (json.length > this.#services.limits.result || Buffer.byteLength(json) > this.#services.limits.result) {
      return this.#end({ code: codes.limitExceeded, limit: 'result' });
    }
    return this.#end({ value: json, time, cpu: this.#cpu() });
  }

  // fail ends the call with what its script threw.
  fail(thrown) {
    if (this.#completed) return;
    this.#completed = true;
    this.#end(exception(thrown));
  }

  // failNotImplemented ends the call because `call` names no function.
  failNotImplemented() {
    if (this.#completed) return;
    this.#completed = true;
    this.#end({ code: codes.notImplemented });
  }

  // owns says whether a promise was made in this call's context.
  owns(promise) {
    return this.#context.realm.owns(promise);
  }

  // setTimer schedules fire and returns the timer's id. kind is 'timeout', 'interval' or 'immediate'.
  setTimer(kind, delay, fire) {
    const id = ++this.#context.lastTimer;
    if (this.#completed) return id;
    if (kind === 'interval') {
      const timer = setInterval(fire, delay);
      this.#timers.set(id, () => clearInterval(timer));
      return id;
    }
    const once = () => { this.#timers.delete(id); fire(); };
    if (kind === 'immediate') {
      const timer = setImmediate(once);
      this.#timers.set(id, () => clearImmediate(timer));
    } else {
      const timer = setTimeout(once, delay);
      this.#timers.set(id, () => clearTimeout(timer));
    }
    return id;
  }

  clearTimer(id) {
    this.#timers.get(id)?.();
    this.#timers.delete(id);
  }

  // print does what console.METHOD(...args) of the script asks for.
  print(method, args) {
    if (this.#completed) return;
    this.#console ??= new CallConsole(this.#services.limits.console, this.#agent.sendPrint);
    this.#console.print(method, args);
  }

  // callback sends host.NAME(...args) of the script to the client. args is JSON. complete(error, value) is called with
  // the JSON text of one of them, or never if the call ends before.
  callback(name, args, complete) {
    if (this.#completed) return;
    const bytes = Buffer.byteLength(args);
    this.#pendingCallbacks ??= new PendingCallbacks(this.#services.limits.result);
    const refusal = this.#names?.includes(name) ? this.#pendingCallbacks.refusal(bytes) : 'it is not in callbacks';
    if (refusal !== undefined) return complete(JSON.stringify({ message: `host.${name} is not allowed: ${refusal}` }));
    this.#pendingCallbacks.add(bytes, complete);
    return this.#agent.sendCallback(name, args);
  }

  // reply takes the reply to a callback.
  reply({ callback: number, error }, body) {
    const callback = this.#pendingCallbacks?.remove(number);
    callback?.complete(error === undefined ? undefined : JSON.stringify(error), (body ?? 'null').toString());
  }

  // #cpu is the CPU time since start in ms, if it is wanted.
  #cpu() {
    if (this.#cpuBefore === undefined) return undefined;
    const { user, system } = process.cpuUsage(this.#cpuBefore);
    return (user + system) / 1e3;
  }

  #end(outcome) {
    for (const stop of this.#timers.values()) stop();
    this.#timers.clear();
    this.#pendingCallbacks = undefined;
    this.#agent.sendOutcome(outcome);
  }
}

module.exports = { Call };
