'use strict';
// One call on one worker: from the moment it is sent until it has its outcome, or the worker is killed.
// Which call a worker gets, and what becomes of it afterwards, is its owner's to say: the pool or a session.
//
//   start(worker, call) ─► busy ──result──► settling ──idle──► (has it grown? collect ─► idle) ─► owner.onIdle
//                           └─ overrun, cancel, out of memory ─► killed ─► owner.onGone

const { Unanswered } = require('../shared/callbacks.js');
const { LEVELS } = require('../shared/console.js');
const { CODE } = require('../shared/failures.js');
const { KIND } = require('../shared/frames.js');
const { collectYoung } = require('../shared/garbage.js');
const { WorkerProcess } = require('./process.js');

const MIB = 1024 * 1024;

const LATE = 10; // ms a call may reach its evaluation later than it was sent, before that is said
const LARGE = 64 * 1024; // bytes of a body whose way to the worker takes time that is not the script's
const START = 4000; // ms for a worker to begin a call; then its processor is taken for used up
const PACE = 10_000; // bytes that a worker takes in a ms, at least
const SETTLE = 250; // ms for a worker to come to rest behind a reply; then what the script left still runs
const STARVED = 4000; // the same for one whose session would be lost, as long as others have the processor
const WATCH = 20; // ms between looks at memory and CPU of calls that take longer than that
const PASSED = 8 * 1024 * 1024; // bytes on their way through the agent that may have become garbage
const PRINTED = 2; // times the console limits that the agent holds for a call, whatever its worker sends

// How a worker dies when memory is out: by the kernel, or by V8's own hand.
const OUT_OF_MEMORY = new Set(['SIGKILL', 'SIGABRT', 'SIGTRAP', 'SIGILL']);

// A script may have taken its worker over: what a worker says is taken for no more than something about its
// own call, in the words that a worker has. What is none of these costs the worker its life.
const SAYS = new Set([CODE.exception, CODE.notImplemented, CODE.notSerializable, CODE.limitExceeded]);
const textOf = (value) => (typeof value === 'string' ? value : undefined);
const timeOf = ({ time }) => (Number.isSafeInteger(time) && time >= 0 ? time : 0);
const cpuOf = ({ cpu }) => (Number.isFinite(cpu) && cpu >= 0 ? cpu : undefined);

function failureOf({ code, name, message, stack }) {
  if (!SAYS.has(code)) throw new Error(`a worker does not say ${code}`);
  if (code === CODE.limitExceeded) return { code, limit: 'result' };
  return { code, name: textOf(name), message: textOf(message), stack: textOf(stack) };
}

class Runner {
  #limits;
  #bundles;
  #link;
  #streams; // undefined where there are no hosts to reach
  #passed = 0; // bytes of calls and values, since garbage was collected
  #workers = new Set(); // all that live, whoever owns them
  #watchTimer;

  // link has finish(call, outcome), called once for each call that was started, print(call, level, text)
  // and callback(call, number, name, args); streams are the connections of calls.
  constructor(limits, bundles, link, streams) {
    this.#limits = limits;
    this.#bundles = bundles;
    this.#link = link;
    this.#streams = streams;
  }

  // spawn starts a worker. Its owner has keeps, where a worker's memory is worth something, and onIdle(worker) for when it can take a call, and onGone(worker, how)
  // for its end; how is undefined where it was discarded.
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

  // start gives an idle worker a call: {id, timeout, cpu, body}, and perhaps bundle, memory, stats, stream,
  // callbacks, open.
  start(worker, call) {
    clearTimeout(worker.timer);
    worker.state = 'busy';
    worker.call = call;
    call.worker = worker;
    call.sentAt = performance.now();
    // Where the evaluation begins with the sending, no message needs to say so.
    call.sent = call.body.length + this.#bundles.hand(worker, call.bundle);
    call.heavy = call.sent > LARGE;
    const tell = call.heavy || call.memory > 0;
    const { bundle, stats, stream, callbacks, open } = call;
    worker.send(KIND.call, { tell: tell || undefined, bundle, stats, stream, callbacks, open }, call.body);
    call.body = undefined; // it may be many megabytes
    if (tell) call.timer = setTimeout(() => this.end(call, { code: CODE.timeout, limit: 'cpu' }), START + call.sent / PACE);
    else this.#begin(call, LATE);
  }

  // end answers for a call whose worker cannot or need not, and kills that worker.
  end(call, outcome) {
    const { worker } = call;
    this.#finish(call, outcome);
    this.discard(worker);
  }

  discard(worker) {
    worker.state = 'dead';
    worker.kill();
    this.#gone(worker);
  }

  // reply hands a running call the answer to a callback; one that nothing waits for is dropped.
  reply(call, { callback, error }, body) {
    if (call.unanswered?.take(callback) !== undefined) call.worker.send(KIND.reply, { callback, error }, body);
  }

  // memory is what all workers hold that is nobody else's, in bytes.
  memory() {
    let all = 0;
    for (const worker of this.#workers) all += worker.own();
    return all;
  }

  close() {
    for (const worker of this.#workers) worker.kill();
  }

  #begin(call, slack) {
    clearTimeout(call.timer);
    call.startedAt = performance.now();
    call.timer = setTimeout(() => this.end(call, { code: CODE.timeout, limit: 'wall' }), call.timeout + slack);
    if (call.memory > 0) call.memoryBefore ??= call.worker.memory();
    if (call.cpu < call.timeout) call.cpuBefore = call.worker.cpu(); // else the wall is nearer
    this.#watchTimer ??= setInterval(() => this.#watch(), WATCH);
  }

  // #watch ends calls that use too much. The kernel's own limit comes too, in a container, but takes
  // whom it takes; and a plain process has none.
  #watch() {
    const running = [...this.#workers].filter(({ call }) => call?.startedAt !== undefined);
    if (running.length === 0) {
      clearInterval(this.#watchTimer);
      this.#watchTimer = undefined;
      return;
    }
    const now = performance.now();
    for (const worker of running) {
      const { call } = worker;
      if (now - call.startedAt < WATCH) continue; // short calls are not worth a look
      if (worker.memory() > this.#limits.memory * MIB || (call.memory > 0 && worker.memory() - call.memoryBefore > call.memory * MIB)) this.end(call, { code: CODE.limitExceeded, limit: 'memory' });
      else if (call.cpuBefore !== undefined && worker.cpu() - call.cpuBefore > call.cpu) this.end(call, { code: CODE.timeout, limit: 'cpu' });
    }
  }

  #finish(call, outcome) {
    clearTimeout(call.timer);
    this.#streams?.endCall(call);
    call.worker.call = undefined;
    this.#link.finish(call, outcome);
  }

  #gone(worker, how) {
    clearTimeout(worker.timer);
    if (this.#workers.delete(worker)) worker.owner.onGone(worker, how);
  }

  #onFrame(worker, kind, header, body) {
    const { call } = worker;
    switch (kind) {
      case KIND.print:
        return this.#print(call, header, body);
      case KIND.callback:
        return this.#callback(call, header, body);
      case KIND.started:
        if (call !== undefined && call.startedAt === undefined) this.#begin(call, 0);
        return undefined;
      case KIND.idle:
        return this.#onIdle(worker, header);
      case KIND.result:
      case KIND.failure:
        if (call === undefined) throw new Error('an outcome without a call');
        return this.#outcome(worker, kind === KIND.result ? { value: body ?? Buffer.from('null'), time: timeOf(header), cpu: cpuOf(header) } : failureOf(header));
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

  #outcome(worker, outcome) {
    const { call } = worker;
    // What a call left in its process is garbage, but who knows when that is collected. A session's is its own.
    worker.suspect = !worker.owner.keeps && (call.heavy || performance.now() - call.startedAt > WATCH);
    this.#pass(call.sent + (outcome.value?.length ?? 0));
    worker.state = 'settling';
    this.#settle(worker);
    this.#finish(call, outcome);
  }

  // #settle ends a worker that does not come to rest. On a machine that is busy with others it may only be late.
  #settle(worker) {
    if (!worker.owner.keeps) worker.timer = setTimeout(() => this.discard(worker), SETTLE);
    else worker.timer = setTimeout(() => this.#look(worker, performance.now() + STARVED), WATCH); // most have done so before
  }

  #look(worker, last) {
    const before = worker.cpu();
    worker.timer = setTimeout(() => {
      const late = performance.now() < last && worker.cpu() - before < SETTLE / 2;
      if (late) this.#look(worker, last);
      else this.discard(worker);
    }, SETTLE);
  }

  // #print keeps a line for the reply. The worker bounds them; the agent only sees to its own memory.
  #print(call, { level }, body) {
    if (call === undefined) return;
    if (call.stream && !LEVELS.has(level)) throw new Error('a line of no level');
    const text = body === undefined ? '' : body.toString();
    call.printed += text.length;
    if (call.printed > PRINTED * this.#limits.console.bytes && text.length >= 100) return;
    if (call.console.length >= PRINTED * this.#limits.console.lines) return;
    call.console.push(text);
    if (call.stream) this.#link.print(call, level, text);
  }

  // #callback passes on what a worker has judged already: one that did not is no worker any more.
  #callback(call, { name }, args) {
    if (call === undefined) return;
    if (!call.callbacks?.includes(name) || args === undefined) throw new Error('no callback of its call');
    call.unanswered ??= new Unanswered(this.#limits.result);
    const refused = call.unanswered.refuses(args.length);
    if (refused !== undefined) throw new Error(refused);
    this.#link.callback(call, call.unanswered.add(args.length), name, args);
  }

  #onIdle(worker, { ready, refilling, collected }) {
    worker.ready = Number(ready);
    worker.refilling = Boolean(refilling);
    if (worker.state === 'busy') return; // said before it saw the call
    if (worker.collecting && !collected) return; // said before it heard that it should
    if (worker.suspect && this.#slims(worker)) return;
    worker.suspect = false;
    clearTimeout(worker.timer);
    worker.state = 'idle';
    worker.owner.onIdle(worker);
  }

  // #pass counts what has gone through the agent: V8 sees little of buffers, and lets many megabytes of them lie.
  #pass(bytes) {
    this.#passed += bytes;
    if (this.#passed < PASSED) return;
    this.#passed = 0;
    setImmediate(collectYoung);
  }

  // #slims has a worker that has grown collect its garbage, which takes a tenth of what starting another does. One
  // that stays large all the same is ended. It is false for one that can take a call.
  #slims(worker) {
    const grown = worker.grown() / (this.#limits.heap * MIB);
    const asked = worker.collecting;
    worker.collecting = !asked && grown > 1 / 8;
    if (asked && grown > 1 / 2) this.discard(worker);
    else if (!worker.collecting) return false;
    else {
      clearTimeout(worker.timer);
      this.#settle(worker);
      worker.send(KIND.collect, {});
    }
    return true;
  }

  #onExit(worker, how) {
    const { call } = worker;
    if (call !== undefined) {
      const memory = !worker.broken && (OUT_OF_MEMORY.has(how.signal) || how.code === 133 || how.code === 134);
      this.#finish(call, memory ? { code: CODE.limitExceeded, limit: 'memory' } : { code: CODE.lost, started: true });
    }
    this.#gone(worker, how);
  }
}

module.exports = { Runner };
