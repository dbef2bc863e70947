'use strict';
// Runs one call on one worker, from the moment it is sent until it has its outcome. The owner of a worker, the pool or
// a session, chooses the calls.
//
//   start(worker, call) ─► busy ─► its outcome ─► draining ─► owner.onIdle(worker)
//                           └─ past a limit, cancelled, worker dead ─► killed ─► owner.onGone(worker, how)

const { PendingCallbacks } = require('../shared/callbacks.js');
const { codes } = require('../shared/failures.js');
const { KIND, LEVELS } = require('../shared/frames.js');
const { collectYoung } = require('../shared/garbage.js');
const { Draining } = require('./draining.js');
const { outcomeOf } = require('./outcomes.js');
const { Watchdog } = require('./watchdog.js');
const { WorkerProcess } = require('./worker-process.js');

const SENDING = 10; // ms from sending a small call to its evaluation, at most; they do not count as the script's
const LARGE = 64 * 1024; // bytes of a call that takes longer to send: its worker says when the evaluation starts
const START_TIMEOUT = 4000; // ms for a worker to start a large call; past it, its CPU time counts as used up
const SLOWEST = 10_000; // bytes that a worker reads in a ms, at least
const LONG = 20; // ms of a call that may leave much garbage
const GARBAGE = 8 * 1024 * 1024; // bytes of calls and values after which the agent collects its own garbage
const CONSOLE_SLACK = 2; // times the console limits that the agent keeps for a call, whatever its worker sends

// A worker that is out of memory dies by the kernel, or by V8's own hand.
const OUT_OF_MEMORY_SIGNALS = new Set(['SIGKILL', 'SIGABRT', 'SIGTRAP', 'SIGILL']);
const OUT_OF_MEMORY_CODES = new Set([133, 134]);

class Runner {
  #limits;
  #bundles;
  #link;
  #streams; // undefined where there are no hosts to reach
  #complete;
  #workers = new Set(); // all that live, whoever owns them
  #watchdog;
  #draining;
  #passedBytes = 0; // of calls and values, since garbage was collected

  // link has sendPrint(call, level, text) and sendCallback(call, number, name, args). complete(call, outcome) is called
  // once for each call that was started.
  constructor(limits, bundles, link, streams, complete) {
    this.#limits = limits;
    this.#bundles = bundles;
    this.#link = link;
    this.#streams = streams;
    this.#complete = complete;
    this.#watchdog = new Watchdog(this.#workers, limits.memory, (call, outcome) => this.abort(call, outcome));
    this.#draining = new Draining(limits.heap, (worker) => this.discard(worker));
  }

  // spawn starts a worker. Its owner has onIdle(worker), called when the worker can take a call; onGone(worker, how),
  // called once when it has ended (how is undefined if it was discarded, else {code, signal} or {error}); and
  // keepsState, which says whether the worker's memory is worth keeping between calls.
  spawn(owner) {
    const worker = new WorkerProcess(
      this.#limits,
      (from, kind, header, body) => this.#onFrame(from, kind, header, body),
      (from, how) => this.#onExit(from, how),
    );
    worker.owner = owner;
    this.#workers.add(worker);
    return worker;
  }

  // start sends a call to an idle worker.
  start(worker, call) {
    clearTimeout(worker.timer);
    worker.state = 'busy';
    worker.call = call;
    call.worker = worker;
    call.sentAt = performance.now();
    call.sentBytes = call.body.length + this.#bundles.send(worker, call.bundle);
    const tell = call.sentBytes > LARGE || call.memory > 0; // the worker has to say when the evaluation starts
    const { bundle, stats, stream, callbacks, open } = call;
    worker.send(KIND.call, { tell: tell || undefined, bundle, stats, stream, callbacks, open }, call.body);
    call.body = undefined; // it may be many megabytes
    if (!tell) return this.#onStarted(call, SENDING);
    const timeout = START_TIMEOUT + call.sentBytes / SLOWEST;
    call.timer = setTimeout(() => this.abort(call, { code: codes.timeout, limit: 'cpu' }), timeout);
    return undefined;
  }

  // abort completes a running call whose worker cannot or need not, and kills the worker.
  abort(call, outcome) {
    const { worker } = call;
    this.#onOutcome(call, outcome);
    this.discard(worker);
  }

  // discard kills a worker that runs no call.
  discard(worker) {
    worker.state = 'dead';
    worker.kill();
    this.#remove(worker);
  }

  // reply passes the reply to a callback on to the call's worker. A callback that has its reply is ignored.
  reply(call, { callback, error }, body) {
    if (call.pendingCallbacks?.remove(callback) !== undefined) call.worker.send(KIND.reply, { callback, error }, body);
  }

  // memory is the private memory of all workers together, in bytes.
  memory() {
    let sum = 0;
    for (const worker of this.#workers) sum += worker.privateMemory();
    return sum;
  }

  close() {
    for (const worker of this.#workers) worker.kill();
  }

  #onFrame(worker, kind, header, body) {
    const { call } = worker;
    switch (kind) {
      case KIND.print:
        return this.#onPrint(call, header, body);
      case KIND.callback:
        return this.#onCallback(call, header, body);
      case KIND.started:
        if (call !== undefined && call.startedAt === undefined) this.#onStarted(call, 0);
        return undefined;
      case KIND.idle:
        return this.#onIdle(worker, header);
      case KIND.result:
      case KIND.failure:
        return this.#onReply(worker, call, outcomeOf(kind, header, body));
      case KIND.open:
      case KIND.data:
      case KIND.credit:
      case KIND.finish:
      case KIND.abort:
        if (this.#streams === undefined) throw new Error('a connection, where there are none');
        return this.#streams.fromWorker(worker, call, kind, header, body);
      default:
        throw new Error(`an unknown kind ${kind}`);
    }
  }

  // #onStarted starts the deadline. slack is how many ms the evaluation may start later than now.
  #onStarted(call, slack) {
    clearTimeout(call.timer);
    call.startedAt = performance.now();
    call.timer = setTimeout(() => this.abort(call, { code: codes.timeout, limit: 'wall' }), call.timeout + slack);
    if (call.memory > 0) call.memoryBefore ??= call.worker.memory();
    if (call.cpu < call.timeout) call.cpuBefore = call.worker.cpu(); // else the wall time is used up first
    this.#watchdog.start();
  }

  // #onPrint keeps a line for the reply. The worker enforces the limits; the agent only protects its own memory.
  #onPrint(call, { level }, body) {
    if (call === undefined) return;
    if (call.stream && !LEVELS.has(level)) throw new Error('a line of no level');
    const text = body === undefined ? '' : body.toString();
    call.consoleCharacters += text.length;
    if (call.consoleCharacters > CONSOLE_SLACK * this.#limits.console.bytes && text.length >= 100) return;
    if (call.console.length >= CONSOLE_SLACK * this.#limits.console.lines) return;
    call.console.push(text);
    if (call.stream) this.#link.sendPrint(call, level, text);
  }

  // #onCallback passes a callback on. The worker has checked it, so a callback that breaks the rules shows that a
  // script has taken over the worker.
  #onCallback(call, { name }, args) {
    if (call === undefined) return;
    if (!call.callbacks?.includes(name) || args === undefined) throw new Error('no callback of its call');
    call.pendingCallbacks ??= new PendingCallbacks(this.#limits.result);
    const refusal = call.pendingCallbacks.refusal(args.length);
    if (refusal !== undefined) throw new Error(refusal);
    this.#link.sendCallback(call, call.pendingCallbacks.add(args.length), name, args);
  }

  #onReply(worker, call, outcome) {
    if (call === undefined) throw new Error('an outcome without a call');
    const mayHaveGrown = !worker.owner.keepsState && (call.sentBytes > LARGE || performance.now() - call.startedAt > LONG);
    this.#countGarbage(call.sentBytes + (outcome.value?.length ?? 0));
    this.#draining.start(worker, mayHaveGrown);
    this.#onOutcome(call, outcome);
  }

  #onOutcome(call, outcome) {
    clearTimeout(call.timer);
    this.#streams?.endCall(call);
    call.worker.call = undefined;
    this.#complete(call, outcome);
  }

  #onIdle(worker, { ready, refilling, collected }) {
    worker.readyContexts = Number(ready);
    worker.refilling = Boolean(refilling);
    if (worker.state === 'busy') return; // it said so before it read the call
    if (!this.#draining.onIdle(worker, collected)) return;
    worker.state = 'idle';
    worker.owner.onIdle(worker);
  }

  // #countGarbage collects the agent's garbage now and then. V8 does not see how large buffers are, and would let many
  // megabytes of them lie.
  #countGarbage(bytes) {
    this.#passedBytes += bytes;
    if (this.#passedBytes < GARBAGE) return;
    this.#passedBytes = 0;
    setImmediate(collectYoung);
  }

  #onExit(worker, how) {
    const { call } = worker;
    if (call !== undefined) {
      const outOfMemory = !worker.broken && (OUT_OF_MEMORY_SIGNALS.has(how.signal) || OUT_OF_MEMORY_CODES.has(how.code));
      this.#onOutcome(call, outOfMemory ? { code: codes.limitExceeded, limit: 'memory' } : { code: codes.lost, started: true });
    }
    this.#remove(worker, how);
  }

  #remove(worker, how) {
    clearTimeout(worker.timer);
    if (this.#workers.delete(worker)) worker.owner.onGone(worker, how);
  }
}

module.exports = { Runner };
