'use strict';
// The agent: the main process in a container. It speaks the link with the daemon, hands calls to workers, and never
// runs code of a script itself, so it can always answer and kill. containers/doc.go in the daemon describes the link.
//
// A call comes in one file after the other:
//
//   Agent.#onFrame                         a frame of the daemon
//     Calls.run                            calls.js     notes that the call is pending
//       Sessions.run                       sessions.js  a call in a session waits until the session's worker is idle
//       Pool.run                           pool.js      another call waits until any worker is idle
//         Runner.start                     runner.js    starts the call on a worker
//           Bundles.send                   bundles.js   sends the bundle that the call names, if the worker lacks it
//           WorkerProcess.send             worker-process.js
//           Runner.#onStarted              starts its deadline; Watchdog.start (watchdog.js) its checks of memory and CPU time
//
// Its outcome goes the other way:
//
//   Runner.#onFrame                        a frame of the worker: print and callback go on to the daemon at once
//     outcomeOf                            outcomes.js  checks what the worker sent
//     Runner.#onReply
//       Draining.start                     draining.js  waits until the worker is idle
//       Calls.#complete
//         Agent.#sendOutcome               a result or a failure for the daemon
//     Runner.#onIdle                       the worker can take a call: Pool.onIdle or Session.onIdle starts the next one
//
// A call ends without its worker by Runner.abort: by its deadline, the watchdog, a cancel, or the end of its session.
// Connections of scripts go through streams.js in both directions.

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 8)) { // the first with vm modules that link at once
  process.stderr.write(`jsd agent: Node 24.8 or newer is needed, this is ${process.version}\n`);
  process.exit(1);
}

const fs = require('node:fs');
const { isBuiltin } = require('node:module');
const net = require('node:net');
const path = require('node:path');
const { AllowedModules } = require('../shared/allowed-modules.js');
const { CHUNK, KIND, FrameReader, decodeFrame, encodeData, writeFrame } = require('../shared/frames.js');
const { Packages } = require('../shared/packages.js');
const { Call } = require('./call.js');
const { Calls } = require('./calls.js');

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;
const PIPES = Object.freeze({ in: '/run/jsd/in', out: '/run/jsd/out' });
const VERSION = 5;
const MAX_FRAME = 17 * 1024 * 1024; // bytes; the daemon's largest client frame, and room for its header

// packagesDirectory returns the path of the image's packages, or undefined if there are none. npm installs them beside
// the Node that runs it. JSD_PACKAGES may name another directory.
function packagesDirectory() {
  try {
    return fs.realpathSync.native(process.env.JSD_PACKAGES || path.join(process.execPath, '../../lib/node_modules'));
  } catch {
    return undefined;
  }
}

// available lists the modules that scripts may load and that exist here: built-ins and packages.
function available({ modules: listed, network }, packages) {
  const allowed = new AllowedModules(listed, network !== undefined);
  const installed = new Packages(packages).names();
  return [...allowed.names().filter((name) => isBuiltin(name)), ...installed.filter((name) => allowed.hasPackage(name))];
}

// giveUp ends the agent and with it the container. The daemon finds the reason in the last line of stderr.
function giveUp(reason) {
  process.stderr.write(`jsd agent: ${reason}\n`);
  process.exit(1);
}

const onDaemonGone = () => process.exit(0);

class Agent {
  // net.Socket, since process.stdout blocks on a full pipe, and an agent that blocks cannot kill.
  #in = new net.Socket({ fd: 0, readable: true, writable: false });
  #out = new net.Socket({ fd: 1, readable: false, writable: true, writableHighWaterMark: 2 * CHUNK });
  #calls; // from hello on

  start() {
    this.#listen(this.#in);
    this.#watchOutput(this.#out);
    this.#openPipes();
    process.on('exit', () => this.#calls?.close());
  }

  // #openPipes switches to the pipes that the daemon may have made, which are faster than the engine's standard
  // streams. The daemon sees that they are in use when hello comes out of one.
  #openPipes() {
    let from;
    try {
      from = fs.openSync(PIPES.in, O_RDONLY | O_NONBLOCK);
      const to = fs.openSync(PIPES.out, O_WRONLY | O_NONBLOCK);
      this.#listen(new net.Socket({ fd: from, readable: true, writable: false }));
      this.#out = this.#watchOutput(new net.Socket({ fd: to, readable: false, writable: true, writableHighWaterMark: 2 * CHUNK }));
    } catch { // there are none, or one of them cannot be opened
      if (from !== undefined) fs.closeSync(from);
    }
  }

  #watchOutput(socket) {
    return socket.on('error', onDaemonGone).on('drain', () => this.#calls?.onDrain());
  }

  #listen(socket) {
    const reader = new FrameReader(MAX_FRAME, (kind, payload) => this.#onFrame(kind, decodeFrame(kind, payload)));
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
      } catch (error) {
        giveUp(error.message);
      }
    });
    socket.on('end', onDaemonGone).on('error', onDaemonGone);
  }

  #onFrame(kind, { header, body }) {
    if (kind === KIND.hello) return this.#onHello(header);
    if (this.#calls === undefined) return giveUp('the first frame has to be hello');
    switch (kind) {
      case KIND.call: return this.#calls.run(new Call(header, body));
      case KIND.cancel: return this.#calls.cancel(header.id);
      case KIND.reply: return this.#calls.reply(header, body);
      case KIND.ping: return this.#send(KIND.pong, {});
      case KIND.close: return this.#calls.closeSession(header.session);
      case KIND.opened:
      case KIND.data:
      case KIND.credit:
      case KIND.finish:
      case KIND.closed: return this.#calls.stream(kind, header, body);
      case KIND.bundle: return this.#calls.addBundle(header, body);
      default: return giveUp(`unknown kind of frame ${kind}`);
    }
  }

  #onHello({ version, ...limits }) {
    if (version !== VERSION) return giveUp(`the daemon speaks version ${version} of the link, this agent ${VERSION}: build its image again`);
    if (this.#calls !== undefined) return giveUp('hello came twice');
    const packages = packagesDirectory();
    const link = {
      sendOutcome: (call, outcome) => this.#sendOutcome(call, outcome),
      sendPrint: ({ id }, level, text) => this.#send(KIND.print, { id, level }, text),
      sendCallback: ({ id }, callback, name, args) => this.#send(KIND.callback, { id, callback, name }, args),
      sendEnded: (session) => this.#send(KIND.ended, { session }),
      send: (kind, header) => this.#send(kind, header),
      sendData: (stream, bytes) => this.#out.write(encodeData(stream, bytes)),
      isBusy: () => this.#out.writableNeedDrain,
    };
    this.#calls = new Calls({ ...limits, packages, frame: MAX_FRAME }, link, (error) => {
      if (error !== undefined) return giveUp(error.message);
      this.#send(KIND.hello, { version: VERSION, node: process.version, modules: available(limits, packages) });
    });
  }

  #sendOutcome({ id, console }, { value, ...header }) {
    this.#send(value === undefined ? KIND.failure : KIND.result, { ...header, id, console: console.length > 0 ? console : undefined }, value);
  }

  #send(kind, header, body) {
    writeFrame(this.#out, kind, header, body);
  }
}

new Agent().start();
