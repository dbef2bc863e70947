'use strict';
// A worker: a process that runs one call at a time, each in a fresh context. Once it has opened a session, all its calls
// run in the session's context. The agent starts it with its limits in argv, speaks with it over one socket (file
// descriptor 3), and kills it when a call passes a limit: nothing here has to survive a hostile script.
//
// A call passes through:
//
//   Worker.#onFrame                a frame of the agent
//     Worker.#onCall               acquires a context that was made ahead (contexts.js)
//       Evaluation.run             evaluation.js  parses the script and evaluates it
//         ScriptCache.code         scripts.js     compiles `code`, or
//         Loader.evaluateEntry     loader.js      loads and links the modules of a source tree
//         realm.complete           realm.js       in the context: awaits the value, or
//         realm.invoke             realm.js       calls the function that `call` names
//           Call.complete, .fail   call.js        makes the outcome, once
//             Worker.#sendOutcome  a result or a failure for the agent
//
// What the script does meanwhile ends in Call.print, Call.callback and Call.setTimer, by way of the context's bridge
// (bridge.js). After the outcome:
//
//   Worker.#onOutcomeSent          the call's turn is over: is what the call used unchanged? (built-ins.js)
//     Worker.#sendIdle             the agent may send the next call
//     Worker.#refill               makes contexts, collects garbage

const fs = require('node:fs');
const net = require('node:net');
const { AllowedModules } = require('../shared/allowed-modules.js');
const { KIND, FrameReader, decodeFrame, encode, encodeData } = require('../shared/frames.js');
const { collectAll } = require('../shared/garbage.js');
const { Packages } = require('../shared/packages.js');
const { makeBridge } = require('./bridge.js');
const { BuiltIns, NETWORK_GLOBALS, WEB_GLOBALS } = require('./built-ins.js');
const { Call } = require('./call.js');
const { Contexts } = require('./contexts.js');
const { Evaluation } = require('./evaluation.js');
const { Resolver } = require('./resolve.js');
const { ScriptCache } = require('./scripts.js');
const { SourceTree } = require('./source-tree.js');
const { Tunnels } = require('./tunnels.js');

const CALLS_PER_COLLECTION = 64; // their contexts are some 14 MB
const MAX_OOM_SCORE = 1e3;
const PAUSE = new Int32Array(new SharedArrayBuffer(4)); // to wait on

class Worker {
  #socket = new net.Socket({ fd: 3, readable: true, writable: true });
  #services; // see Call
  #contexts;
  #bundles = new Map(); // id → SourceTree; the agent says which to forget
  #agent = {
    sendOutcome: (outcome) => this.#sendOutcome(outcome),
    sendPrint: (text, level) => this.#sendPrint(text, level),
    sendCallback: (name, args) => this.#send(KIND.callback, { name }, args),
  };
  #tunnels = new Tunnels(
    () => this.#busy && this.#call?.isCompleted === false,
    (kind, header) => this.#send(kind, header),
    (stream, bytes) => this.#socket.write(encodeData(stream, bytes)),
  );
  #sessionContext; // in the worker of a session
  #call; // the call that runs, or ran last
  #streams = false; // whether its console is streamed
  #busy = false;
  #completedCalls = 0;
  #collectDue = false;
  #refilling = false;

  constructor(limits) {
    const network = limits.network !== undefined;
    const allowed = new AllowedModules(limits.modules, network);
    const builtIns = new BuiltIns(allowed, () => require('./network.js').install(this.#tunnels, limits.network.call));
    const packages = new Packages(limits.packages);
    const imports = { currentLoader: () => this.#call.loader };
    this.#services = {
      limits,
      allowed,
      builtIns,
      packages,
      imports,
      resolver: new Resolver(packages, allowed),
      scripts: new ScriptCache((specifier) => imports.currentLoader().importFromScript(specifier)),
    };
    const webGlobals = network ? [...WEB_GLOBALS, ...NETWORK_GLOBALS] : WEB_GLOBALS;
    this.#contexts = new Contexts(() => makeBridge(builtIns, webGlobals));
  }

  start() {
    const reader = new FrameReader(this.#services.limits.frame, (kind, payload) => this.#onFrame(kind, decodeFrame(kind, payload)));
    this.#socket.on('data', (chunk) => reader.push(chunk));
    this.#socket.on('end', () => process.exit(0));
    this.#socket.on('error', () => process.exit(0));
    // An error that a call does not handle ends the call, as it would end a program. Ignored, it could leave the call
    // waiting for ever.
    process.on('uncaughtException', (error) => this.#call?.fail(error));
    process.on('unhandledRejection', (reason, promise) => {
      const foreign = Object.getPrototypeOf(promise) !== Promise.prototype;
      if (!foreign || this.#call?.owns(promise)) this.#call?.fail(reason);
    });
    this.#warmUp();
    while (!this.#contexts.isFull) this.#contexts.add();
    this.#sendIdle();
  }

  // #warmUp runs a call of its own, so that the first call of a client finds compiled what all calls need.
  #warmUp() {
    const context = this.#contexts.acquire();
    const call = this.#makeCall(context, { ...this.#agent, sendOutcome: (outcome) => encode(KIND.result, {}, outcome.value) });
    this.#evaluate(call, context, '{"code":"function call(cb) { cb(a) }","call":"call","globals":{"a":1}}');
  }

  #makeCall(context, agent, header) {
    const call = new Call(this.#services, agent, context, header);
    context.bridge.call = call;
    return call;
  }

  #evaluate(call, context, body, tree, header) {
    new Evaluation(call, context, this.#services.scripts).run(body, tree, header);
  }

  #onFrame(kind, { header, body }) {
    if (kind === KIND.bundle) this.#onBundle(header, body);
    else if (kind === KIND.reply) this.#call?.reply(header, body);
    else if (kind === KIND.call) this.#onCall(header, body);
    else if (kind === KIND.collect) this.#onCollect();
    else this.#tunnels.onFrame(kind, header, body);
  }

  // #onBundle takes a part of a bundle. All parts come before the first call that names the bundle.
  #onBundle({ bundle, drop = [] }, body) {
    for (const id of drop) this.#bundles.delete(id);
    if (!this.#bundles.has(bundle)) this.#bundles.set(bundle, new SourceTree());
    this.#bundles.get(bundle).add(JSON.parse(body.toString()));
  }

  #onCall(header, body) {
    this.#busy = true;
    const context = this.#sessionContext ?? this.#contexts.acquire();
    if (header.open) this.#openSession(context);
    const call = this.#makeCall(context, this.#agent, header);
    this.#call = call;
    this.#streams = header.stream;
    if (header.tell) this.#send(KIND.started, {});
    this.#evaluate(call, context, body.toString(), this.#bundles.get(header.bundle), header);
  }

  #onCollect() {
    this.#collectDue = false;
    collectAll();
    this.#sendIdle({ collected: true });
  }

  #openSession(context) {
    this.#sessionContext = context;
    this.#contexts.clear();
    this.#services.builtIns.stopTracking();
  }

  // #sendOutcome sends the outcome at once. The script may go on running on this turn of the event loop, and even keep
  // the next one from coming; until the worker is idle, the agent counts it as occupied.
  #sendOutcome({ value, ...header }) {
    this.#tunnels.endAll();
    this.#send(value === undefined ? KIND.failure : KIND.result, header, value, () => setImmediate(() => this.#onOutcomeSent()));
  }

  // #onOutcomeSent comes when the socket has taken the whole reply: if the process exits now, nothing is lost.
  #onOutcomeSent() {
    this.#busy = false;
    if (this.#sessionContext !== undefined) return this.#send(KIND.idle, { ready: 1, refilling: false });
    if (!this.#services.builtIns.reset()) process.exit(0); // something of the call remains: a new worker is cheaper than doubt
    this.#call = undefined;
    this.#collectDue ||= ++this.#completedCalls % CALLS_PER_COLLECTION === 0;
    return this.#sendIdle();
  }

  #sendIdle(header) {
    const refill = !this.#refilling && (this.#contexts.isLow || this.#collectDue);
    this.#refilling ||= refill;
    this.#send(KIND.idle, { ...header, ready: this.#contexts.ready, refilling: this.#refilling });
    if (refill) setImmediate(() => this.#refill());
  }

  // #refill makes one context on each turn of the event loop, so that a call need not wait for all of them. It collects
  // the garbage of earlier contexts when the worker is idle anyway: V8 would do so in the middle of a call, and would
  // first look among the young objects, which old contexts keep alive.
  #refill() {
    if (this.#busy) {
      this.#refilling = false; // the next #sendIdle starts again
      return;
    }
    if (this.#collectDue) {
      this.#collectDue = false;
      collectAll();
    }
    if (!this.#contexts.isFull) this.#contexts.add();
    if (this.#contexts.isFull) {
      this.#refilling = false;
      this.#send(KIND.idle, { ready: this.#contexts.ready, refilling: false });
      return;
    }
    setImmediate(() => this.#refill());
  }

  #send(kind, header, body, sent) {
    this.#socket.write(encode(kind, header, body), sent);
  }

  // #sendPrint returns when the line is out: a script that then blocks must not keep the line. If the agent is slow to
  // read, the script waits.
  #sendPrint(text, level) {
    const frame = encode(KIND.print, this.#streams ? { level } : {}, text);
    if (this.#socket.writableLength > 0) {
      this.#socket.write(frame); // behind the frames that wait there
      return;
    }
    for (let at = 0; at < frame.length;) {
      try {
        at += fs.writeSync(3, frame, at);
      } catch (error) {
        if (at === 0 && error.code === undefined) throw error; // the script's stack overflowed here; nothing was written
        if (error.code !== 'EAGAIN') process.exit(0); // the agent has ended
        Atomics.wait(PAUSE, 0, 0, 1);
      }
    }
  }
}

// When a container runs out of memory, the kernel kills the process with the highest score first, and never the agent.
try {
  fs.writeFileSync('/proc/self/oom_score_adj', String(MAX_OOM_SCORE));
} catch {
  // There is no such file outside of Linux, or it may not be written. The agent's watchdog remains.
}
// A script that reaches this realm should not find it easy to stop the agent.
for (const name of ['kill', '_kill', 'abort', '_debugProcess']) delete process[name];
Buffer.poolSize = 0; // allocUnsafe would show a call the bytes of an earlier one
new Worker(JSON.parse(process.argv[2])).start();
