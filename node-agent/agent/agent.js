'use strict';
// The agent: the main process inside a container. It speaks the link with the daemon on stdin and
// stdout, hands calls to workers and never runs code of a script itself, so it can always answer.
// containers/doc.go in the daemon describes the link.

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 8)) { // the first with vm modules that link at once
  process.stderr.write(`jsd agent: Node 24.8 or newer is needed, this is ${process.version}\n`);
  process.exit(1);
}

const fs = require('node:fs');
const { isBuiltin } = require('node:module');
const net = require('node:net');
const path = require('node:path');
const { Calls } = require('./calls.js');
const { CHUNK, KIND, FrameReader, decodeFrame, encodeData, writeFrame } = require('../shared/frames.js');
const { Modules } = require('../shared/modules.js');
const { Packages } = require('../shared/trees.js');

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;
const PIPES = Object.freeze({ in: '/run/jsd/in', out: '/run/jsd/out' });
const VERSION = 5;
const MAX_FRAME = 17 * 1024 * 1024; // the daemon's largest client frame, and room for its header

// packagesFolder is where the image has its packages, undefined where it has none. npm installs them beside
// the Node that runs it; another folder may be named by who starts the agent.
function packagesFolder() {
  try {
    return fs.realpathSync.native(process.env.JSD_PACKAGES || path.join(process.execPath, '../../lib/node_modules'));
  } catch {
    return undefined;
  }
}

// available names what scripts may load here: built-ins, and packages that are installed.
function available({ modules: allowed, network }, folder) {
  const modules = new Modules(allowed, network !== undefined);
  const packages = new Packages(folder).names();
  return [...modules.names().filter((name) => isBuiltin(name)), ...packages.filter((name) => modules.allowsPackage(name))];
}

// giveUp ends the agent, and with it the container: the daemon sees its end, and stderr says why.
function giveUp(why) {
  process.stderr.write(`jsd agent: ${why}\n`);
  process.exit(1);
}

// gone is for the end of the daemon.
const gone = () => process.exit(0);

class Agent {
  // Sockets, since process.stdout blocks on a pipe that is full, and an agent that blocks cannot kill.
  #in = new net.Socket({ fd: 0, readable: true, writable: false });
  #out = new net.Socket({ fd: 1, readable: false, writable: true, writableHighWaterMark: 2 * CHUNK });
  #calls;

  start() {
    this.#listen(this.#in);
    this.#speak(this.#out);
    // The daemon may have made pipes that are faster. It learns that they are used by hello coming out of one.
    let from;
    try {
      from = fs.openSync(PIPES.in, O_RDONLY | O_NONBLOCK);
      const to = fs.openSync(PIPES.out, O_WRONLY | O_NONBLOCK);
      this.#listen(new net.Socket({ fd: from, readable: true, writable: false }));
      this.#out = this.#speak(new net.Socket({ fd: to, readable: false, writable: true, writableHighWaterMark: 2 * CHUNK }));
    } catch { // there are none, or not both can be opened
      if (from !== undefined) fs.closeSync(from);
    }
    process.on('exit', () => this.#calls?.close());
  }

  #speak(socket) {
    return socket.on('error', gone).on('drain', () => this.#calls?.drained());
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
    socket.on('end', gone).on('error', gone);
  }

  #onFrame(kind, { header, body }) {
    if (kind === KIND.hello) return this.#hello(header);
    if (this.#calls === undefined) return giveUp('the first frame has to be hello');
    switch (kind) {
      case KIND.call: return this.#calls.run({ ...header, body });
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

  #hello({ version, ...limits }) {
    if (version !== VERSION) return giveUp(`the daemon speaks version ${version} of the link, this agent ${VERSION}: build its image again`);
    if (this.#calls !== undefined) return giveUp('hello came twice');
    const packages = packagesFolder();
    const link = {
      answer: (call, outcome) => this.#answer(call, outcome),
      print: ({ id }, level, text) => this.#send(KIND.print, { id, level }, text),
      callback: ({ id }, callback, name, args) => this.#send(KIND.callback, { id, callback, name }, args),
      ended: (session) => this.#send(KIND.ended, { session }),
      send: (kind, header) => this.#send(kind, header),
      sendData: (stream, bytes) => this.#out.write(encodeData(stream, bytes)),
      busy: () => this.#out.writableNeedDrain,
    };
    this.#calls = new Calls({ ...limits, packages, frame: MAX_FRAME }, link, (error) => {
      if (error !== undefined) return giveUp(error.message);
      this.#send(KIND.hello, { version: VERSION, node: process.version, modules: available(limits, packages) });
    });
  }

  #answer({ id, console }, { value, ...header }) {
    this.#send(value === undefined ? KIND.failure : KIND.result, { ...header, id, console: console.length > 0 ? console : undefined }, value);
  }

  #send(kind, header, body) {
    writeFrame(this.#out, kind, header, body);
  }
}

new Agent().start();
