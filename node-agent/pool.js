'use strict';
// The pool of workers: which one runs which call, for how long, and what becomes of both.
//
//   run(call) ─► waiting ─► worker: idle ─► busy ──result──► settling ──idle──► idle
//                                            └─ overrun, cancel, out of memory ─► killed, replaced

const { KIND } = require('./frames.js');
const { CODE } = require('./failure.js');
const { Bundles } = require('./bundles.js');
const { WorkerProcess } = require('./process.js');

const MIB = 1024 * 1024;

const LATE = 10; // ms a call may reach its evaluation later than it was sent, before that is said
const LARGE = 64 * 1024; // bytes of a body whose way to the worker takes time that is not the script's
const START = 4000; // ms for a worker to begin a call; then its processor is taken for used up
const SETTLE = 250; // ms for a worker to come to rest behind a reply; then what the script left still runs
const GROW = 10; // ms a call holds its worker before another is started for those that wait
const SHRINK = 10_000; // ms that a worker above the base stays without work
const WATCH = 20; // ms between looks at memory and CPU of calls that take longer than that
const RETRY = 200; // ms before a worker that did not start is tried again
const GIVE_UP = 5; // starts that fail one behind the other before calls that wait are answered
const PRINTED = 2; // times the console limits that the agent holds for a call, whatever its worker sends

// How a worker dies when memory is out: by the kernel, or by V8's own hand.
const OUT_OF_MEMORY = new Set(['SIGKILL', 'SIGABRT', 'SIGTRAP', 'SIGILL']);

// A script may have taken its worker over: what a worker says is taken for no more than an outcome of its
// own call, in the words that a worker has.
const SAYS = new Set([CODE.exception, CODE.notImplemented, CODE.notSerializable, CODE.limitExceeded]);
const textOf = (value) => (typeof value === 'string' ? value : undefined);
const timeOf = ({ time }) => (Number.isSafeInteger(time) && time >= 0 ? time : 0);
const cpuOf = ({ cpu }) => (Number.isFinite(cpu) && cpu >= 0 ? cpu : undefined);

function failureOf({ code, name, message, stack }) {
  if (!SAYS.has(code)) throw new Error(`a worker does not say ${code}`);
  if (code === CODE.limitExceeded) return { code, limit: 'result' };
  return { code, name: textOf(name), message: textOf(message), stack: textOf(stack) };
}

class Pool {
  #limits;
  #answer;
  #onReady;
  #bundles = new Bundles();
  #workers = new Set();
  #waiting = []; // calls, first come first
  #calls = new Map(); // id → call that waits or runs
  #growTimer;
  #watchTimer;
  #failedStarts = 0;
  #closed = false;

  // answer(call, outcome) is called once for each call; outcome is {value, time} or a failure. onReady(error)
  // is called once, when the first worker takes calls or when none could be started.
  constructor(limits, answer, onReady) {
    this.#limits = limits;
    this.#answer = answer;
    this.#onReady = onReady;
    for (let i = 0; i < limits.workers; i++) this.#spawn();
  }

  // addBundle takes a part of a folder of sources that calls will name.
  addBundle(header, body) {
    this.#bundles.add(header, body);
  }

  // run takes {id, timeout, cpu, body}, and perhaps {bundle, memory, stats}.
  run(call) {
    call.console = [];
    if (call.bundle !== undefined && !this.#bundles.has(call.bundle)) return this.#answer(call, { code: CODE.lost, started: false });
    call.printed = 0;
    this.#calls.set(call.id, call);
    this.#waiting.push(call);
    this.#dispatch();
  }

  cancel(id) {
    const call = this.#calls.get(id);
    if (call !== undefined) this.#end(call, { code: CODE.cancelled });
  }

  close() {
    this.#closed = true;
    for (const worker of this.#workers) worker.kill();
  }

  #dispatch() {
    while (this.#waiting.length > 0) {
      const worker = this.#pick();
      if (worker === undefined) break;
      this.#assign(worker, this.#waiting.shift());
    }
    if (this.#waiting.length > 0) this.#growTimer ??= setTimeout(() => this.#grow(), GROW);
  }

  // #grow starts a worker for each one that a long call holds, most likely waiting for something. Short
  // calls that only have to take turns are no reason: more workers than cores make them slower.
  #grow() {
    this.#growTimer = undefined;
    const now = performance.now();
    const held = [...this.#workers].filter(({ call }) => call !== undefined && now - call.sentAt > GROW).length;
    const wanted = Math.min(this.#limits.concurrency, this.#limits.workers + held);
    if (this.#waiting.length > 0 && this.#workers.size < wanted) this.#spawn();
    this.#dispatch();
  }

  // #pick prefers a worker that is not busy making contexts: a call there begins at once.
  #pick() {
    let second;
    for (const worker of this.#workers) {
      if (worker.state !== 'idle') continue;
      if (worker.ready > 0 && !worker.refilling) return worker;
      if (second === undefined || worker.ready > second.ready) second = worker;
    }
    return second;
  }

  #assign(worker, call) {
    clearTimeout(worker.timer);
    worker.state = 'busy';
    worker.call = call;
    call.worker = worker;
    call.sentAt = performance.now();
    // Where the evaluation begins with the sending, no message needs to say so.
    const tell = worker.refilling || worker.ready === 0 || call.body.length > LARGE;
    this.#bundles.hand(worker, call.bundle);
    const { bundle, stats } = call;
    worker.send(KIND.call, { tell: tell || undefined, bundle, stats }, call.body);
    call.heavy = call.body.length > LARGE;
    call.body = undefined; // it may be many megabytes
    if (tell) call.timer = setTimeout(() => this.#end(call, { code: CODE.timeout, limit: 'cpu' }), START);
    else this.#begin(call, LATE);
  }

  #begin(call, slack) {
    clearTimeout(call.timer);
    call.startedAt = performance.now();
    call.timer = setTimeout(() => this.#end(call, { code: CODE.timeout, limit: 'wall' }), call.timeout + slack);
    if (call.cpu < call.timeout) call.cpuBefore = call.worker.cpu(); // else the wall is nearer
    this.#watchTimer ??= setInterval(() => this.#watch(), WATCH);
  }

  // #watch ends calls that use too much. The kernel's own limit comes too, in a container, but takes
  // whom it takes; and a plain process has none.
  #watch() {
    if (this.#calls.size === 0) {
      clearInterval(this.#watchTimer);
      this.#watchTimer = undefined;
      return;
    }
    const now = performance.now();
    for (const worker of this.#workers) {
      const { call } = worker;
      if (call?.startedAt === undefined || now - call.startedAt < WATCH) continue; // short calls are not worth a look
      if (worker.memory() > this.#limits.memory * MIB || (call.memory > 0 && worker.grown() > call.memory * MIB)) this.#end(call, { code: CODE.limitExceeded, limit: 'memory' });
      else if (call.cpuBefore !== undefined && worker.cpu() - call.cpuBefore > call.cpu) this.#end(call, { code: CODE.timeout, limit: 'cpu' });
    }
  }

  // #end answers for a call whose worker cannot or need not, and kills that worker.
  #end(call, outcome) {
    const { worker } = call;
    this.#finish(call, outcome);
    if (worker === undefined) this.#waiting.splice(this.#waiting.indexOf(call), 1);
    else this.#discard(worker);
  }

  #finish(call, outcome) {
    clearTimeout(call.timer);
    this.#calls.delete(call.id);
    if (call.worker !== undefined) call.worker.call = undefined;
    this.#answer(call, outcome);
  }

  #discard(worker) {
    worker.state = 'dead';
    clearTimeout(worker.timer);
    worker.kill();
    this.#workers.delete(worker);
    this.#replace();
  }

  #replace() {
    if (this.#closed) return;
    if (this.#workers.size < this.#limits.workers) this.#spawn();
    this.#dispatch();
  }

  #spawn() {
    const worker = new WorkerProcess(
      this.#limits,
      (from, kind, header, body) => this.#onFrame(from, kind, header, body),
      (from, how) => this.#onExit(from, how),
    );
    this.#workers.add(worker);
  }

  #onFrame(worker, kind, header, body) {
    const { call } = worker;
    switch (kind) {
      case KIND.print:
        return this.#print(call, body);
      case KIND.started:
        if (call !== undefined && call.startedAt === undefined) this.#begin(call, 0);
        return undefined;
      case KIND.idle:
        return this.#onIdle(worker, header);
      case KIND.result:
      case KIND.failure:
        if (call === undefined) throw new Error('an outcome without a call');
        return this.#outcome(worker, kind === KIND.result ? { value: body ?? Buffer.from('null'), time: timeOf(header), cpu: cpuOf(header) } : failureOf(header));
      default:
        throw new Error(`an unknown kind ${kind}`);
    }
  }

  #outcome(worker, outcome) {
    const { call } = worker;
    // What a call left in its process is garbage, but who knows when that is collected.
    worker.fat = (call.heavy || performance.now() - call.startedAt > WATCH) && worker.grown() > (this.#limits.heap * MIB) / 2;
    worker.state = 'settling';
    worker.timer = setTimeout(() => this.#discard(worker), SETTLE);
    this.#finish(call, outcome);
  }

  // #print keeps a line for the reply. The worker bounds them; the agent only sees to its own memory.
  #print(call, body) {
    if (call === undefined) return;
    const text = body === undefined ? '' : body.toString();
    call.printed += text.length;
    if (call.printed <= PRINTED * this.#limits.console.bytes || text.length < 100) {
      if (call.console.length < PRINTED * this.#limits.console.lines) call.console.push(text);
    }
  }

  #onIdle(worker, { ready, refilling }) {
    worker.ready = Number(ready);
    worker.refilling = Boolean(refilling);
    if (worker.state === 'busy') return; // said before it saw the call
    if (worker.fat) return this.#discard(worker);
    clearTimeout(worker.timer);
    if (!worker.proven) {
      worker.prove();
      this.#failedStarts = 0;
      this.#tellReady();
    }
    worker.state = 'idle';
    this.#dispatch();
    if (worker.state === 'idle' && this.#workers.size > this.#limits.workers) {
      worker.timer = setTimeout(() => this.#discard(worker), SHRINK);
    }
  }

  #onExit(worker, { code, signal, error }) {
    clearTimeout(worker.timer);
    const wasThere = this.#workers.delete(worker);
    if (!wasThere || this.#closed) return;
    const { call } = worker;
    if (call !== undefined) {
      const memory = !worker.broken && (OUT_OF_MEMORY.has(signal) || code === 133 || code === 134);
      this.#finish(call, memory ? { code: CODE.limitExceeded, limit: 'memory' } : { code: CODE.lost, started: true });
    }
    if (worker.proven) return this.#replace();
    if (++this.#failedStarts >= GIVE_UP) {
      this.#tellReady(error ?? new Error(`workers end at once (code ${code}, signal ${signal})`));
      // Calls go on waiting for workers that are only busy.
      const proven = [...this.#workers].some((other) => other.proven);
      if (!proven) for (const waiting of this.#waiting.splice(0)) this.#finish(waiting, { code: CODE.lost, started: false });
    }
    setTimeout(() => this.#replace(), RETRY);
  }

  #tellReady(error) {
    const onReady = this.#onReady;
    this.#onReady = undefined;
    onReady?.(error);
  }
}

module.exports = { Pool };
