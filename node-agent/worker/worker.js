'use strict';
// A worker: a process that runs one call at a time, each in a fresh context; all in one, once it was taken for
// a session. The agent starts it, tells it its limits in argv, talks with it over one socket (file
// descriptor 3), and kills it when a call overruns: nothing here has to survive a hostile script.

const fs = require('node:fs');
const net = require('node:net');
const { KIND, FrameReader, decodeFrame, encode, encodeData } = require('../shared/frames.js');
const { Contexts } = require('./contexts.js');
const { collectAll } = require('../shared/garbage.js');
const { hostOf } = require('./host.js');
const { LAZY_GLOBALS, Modules, NETWORK } = require('../shared/modules.js');
const { Resolver } = require('./resolve.js');
const { Run } = require('./run.js');
const { ScriptCache } = require('./scripts.js');
const { Folder, Packages } = require('../shared/trees.js');
const { Tunnels } = require('./tunnels.js');

const GENERATION = 64; // calls whose contexts are collected together: some 14 MB
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

class Worker {
  #socket = new net.Socket({ fd: 3, readable: true, writable: true });
  #shared; // what calls share: see Run
  #contexts;
  #bundles = new Map(); // id → Folder; the agent says which to forget
  #outlet = {
    report: (outcome) => this.#report(outcome),
    print: (text, level) => this.#print(text, level),
    callback: (name, args) => this.#send(KIND.callback, { name }, args),
  };
  #tunnels = new Tunnels(
    () => this.#busy && this.#run?.settled === false,
    (kind, header) => this.#send(kind, header),
    (stream, bytes) => this.#socket.write(encodeData(stream, bytes)),
  );
  #kept; // the context of the session, where this is the worker of one
  #run; // the call that runs, or ran last
  #streams = false; // whether it wants its console at once
  #busy = false;
  #calls = 0; // that have ended
  #due = false; // garbage is to be collected
  #refilling = false;

  constructor(limits) {
    const network = limits.network !== undefined;
    const modules = new Modules(limits.modules, network, () => require('./network.js').install(this.#tunnels, limits.network.call));
    const packages = new Packages(limits.packages);
    const imports = { current: () => this.#run.loader };
    this.#shared = {
      limits,
      modules,
      packages,
      imports,
      resolver: new Resolver(packages, (name) => modules.allowsPackage(name)),
      scripts: new ScriptCache((specifier) => imports.current().importFromScript(specifier)),
    };
    const globals = network ? [...LAZY_GLOBALS, ...NETWORK.globals] : LAZY_GLOBALS;
    this.#contexts = new Contexts(() => hostOf(modules, globals));
  }

  start() {
    const reader = new FrameReader(this.#shared.limits.frame, (kind, payload) => this.#onFrame(kind, decodeFrame(kind, payload)));
    this.#socket.on('data', (chunk) => reader.push(chunk));
    this.#socket.on('end', () => process.exit(0));
    this.#socket.on('error', () => process.exit(0));
    // What a call leaves unhandled would hang it for ever: it ends the call, as it would end a program.
    process.on('uncaughtException', (error) => this.#run?.fail(error));
    process.on('unhandledRejection', (reason, promise) => {
      const foreign = Object.getPrototypeOf(promise) !== Promise.prototype;
      if (!foreign || this.#run?.owns(promise)) this.#run?.fail(reason);
    });
    this.#rehearse();
    while (!this.#contexts.full) this.#contexts.add();
    this.#idle();
  }

  // rehearse runs a call that nobody made: the first one that somebody makes finds compiled what all calls need.
  #rehearse() {
    this.#contexts.add();
    const context = this.#contexts.take();
    const run = this.#runIn(context, { ...this.#outlet, report: (outcome) => encode(KIND.result, {}, outcome.value) });
    run.start(context, '{"code":"function call(cb) { cb(a) }","call":"call","globals":{"a":1}}');
  }

  #runIn(context, outlet) {
    const run = new Run(this.#shared, outlet);
    context.host.run = run;
    return run;
  }

  #onFrame(kind, { header, body }) {
    if (kind === KIND.bundle) this.#onBundle(header, body);
    else if (kind === KIND.reply) this.#run?.reply(header, body);
    else if (kind === KIND.call) this.#onCall(header, body);
    else if (kind === KIND.collect) this.#onCollect();
    else this.#tunnels.frame(kind, header, body);
  }

  // A bundle comes in parts, each with some of its files, before the first call that names it.
  #onBundle({ bundle, drop = [] }, body) {
    for (const id of drop) this.#bundles.delete(id);
    if (!this.#bundles.has(bundle)) this.#bundles.set(bundle, new Folder());
    this.#bundles.get(bundle).add(JSON.parse(body.toString()));
  }

  #onCall(header, body) {
    this.#busy = true;
    const context = this.#kept ?? this.#contexts.take();
    if (header.open) this.#keep(context);
    const run = this.#runIn(context, this.#outlet);
    this.#run = run;
    this.#streams = header.stream;
    if (header.tell) this.#send(KIND.started, {});
    const { stats, callbacks, open } = header;
    run.start(context, body.toString(), { bundle: this.#bundles.get(header.bundle), stats, callbacks, open });
  }

  #onCollect() {
    this.#due = false;
    collectAll();
    this.#idle({ collected: true });
  }

  // keep makes this the worker of a session: all calls to come are its.
  #keep(context) {
    this.#kept = context;
    this.#contexts.clear();
    this.#shared.modules.release();
  }

  // report answers at once; what the script still does on this turn is nobody's. The next turn comes
  // only if the script lets it: until `idle` the agent counts this worker as occupied.
  #report({ value, ...header }) {
    this.#tunnels.end();
    this.#send(value === undefined ? KIND.failure : KIND.result, header, value, () => setImmediate(() => this.#settle()));
  }

  // settle comes when the whole reply is out of this process's hands, so that ending here loses nothing.
  #settle() {
    this.#busy = false;
    if (this.#kept !== undefined) return this.#send(KIND.idle, { ready: 1, refilling: false });
    if (!this.#shared.modules.settle()) process.exit(0); // left dirty: a new worker is cheaper than doubt
    this.#run = undefined;
    this.#due ||= ++this.#calls % GENERATION === 0;
    return this.#idle();
  }

  #idle(header) {
    const refill = !this.#refilling && (this.#contexts.wanting || this.#due);
    this.#refilling ||= refill;
    this.#send(KIND.idle, { ...header, ready: this.#contexts.ready, refilling: this.#refilling });
    if (refill) setImmediate(() => this.#refill());
  }

  // refill makes one context a turn, so that a call that comes meanwhile does not wait for all of them.
  // Contexts are garbage as a whole. Where V8 looks for it by itself, it looks among young objects first, which the
  // old ones of dead contexts hold, and it does so in the middle of a call. So they are collected here.
  #refill() {
    if (!this.#busy) {
      if (this.#due) {
        this.#due = false;
        collectAll();
      }
      if (!this.#contexts.full) this.#contexts.add();
      if (this.#contexts.full) {
        this.#refilling = false;
        this.#send(KIND.idle, { ready: this.#contexts.ready, refilling: false });
        return;
      }
      setImmediate(() => this.#refill());
    } else {
      this.#refilling = false; // idle, after the call, begins anew
    }
  }

  #send(kind, header, body, sent) {
    this.#socket.write(encode(kind, header, body), sent);
  }

  // print gets a line out before it returns: a script that then blocks must not keep it. Where the agent is
  // slow to take it, the script waits.
  #print(text, level) {
    const frame = encode(KIND.print, this.#streams ? { level } : {}, text);
    if (this.#socket.writableLength > 0) {
      this.#socket.write(frame); // behind what is there
      return;
    }
    for (let at = 0; at < frame.length;) {
      try {
        at += fs.writeSync(3, frame, at);
      } catch (error) {
        if (at === 0 && error.code === undefined) throw error; // the script's stack ends in here: nothing went out
        if (error.code !== 'EAGAIN') process.exit(0); // the agent is gone
        Atomics.wait(PAUSE, 0, 0, 1);
      }
    }
  }
}

// In a container short of memory the kernel takes the greedy process first, and that is never the agent.
try {
  fs.writeFileSync('/proc/self/oom_score_adj', '1000');
} catch {
  // No such file outside Linux, or not allowed: then the agent's own look at memory has to do.
}
// A script that reaches this realm should not find it easy to stop the agent.
for (const name of ['kill', '_kill', 'abort', '_debugProcess']) delete process[name];
Buffer.poolSize = 0; // allocUnsafe would show a call what an earlier one left in the pool
new Worker(JSON.parse(process.argv[2])).start();
