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
const { KIND, FrameReader, decode, writeFrame } = require('./frames.js');
const { CODE } = require('./failure.js');
const { Modules, BUILT_INS } = require('./modules.js');
const { Pool } = require('./pool.js');
const { Packages } = require('./trees.js');

const VERSION = 2;
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
function available(allowed, folder) {
  const modules = new Modules(allowed);
  const packages = new Packages(folder).names();
  const builtIns = allowed === undefined ? BUILT_INS : allowed.filter((name) => isBuiltin(name));
  return [...builtIns, ...packages.filter((name) => modules.allowsPackage(name))];
}

// giveUp ends the agent, and with it the container: the daemon sees its end, and stderr says why.
function giveUp(why) {
  process.stderr.write(`jsd agent: ${why}\n`);
  process.exit(1);
}

class Agent {
  // Sockets, since process.stdout blocks on a pipe that is full, and an agent that blocks cannot kill.
  #in = new net.Socket({ fd: 0, readable: true, writable: false });
  #out = new net.Socket({ fd: 1, readable: false, writable: true });
  #pool;

  start() {
    const reader = new FrameReader(MAX_FRAME, (kind, payload) => this.#onFrame(kind, decode(payload)));
    this.#in.on('data', (chunk) => {
      try {
        reader.push(chunk);
      } catch (error) {
        giveUp(error.message);
      }
    });
    const gone = () => process.exit(0);
    this.#in.on('end', gone).on('error', gone);
    this.#out.on('error', gone);
    process.on('exit', () => this.#pool?.close());
  }

  #onFrame(kind, { header, body }) {
    if (kind === KIND.hello) return this.#hello(header);
    if (this.#pool === undefined) return giveUp('the first frame has to be hello');
    if (kind === KIND.bundle) return this.#pool.addBundle(header, body);
    if (kind === KIND.cancel) return this.#pool.cancel(header.id);
    if (kind !== KIND.call) return giveUp(`unknown kind of frame ${kind}`);
    if (body === undefined) return this.#send(KIND.failure, { id: header.id, code: CODE.lost, started: false });
    return this.#pool.run({ ...header, body });
  }

  #hello({ version, ...limits }) {
    if (version !== VERSION) return giveUp(`the daemon speaks version ${version} of the link, this agent ${VERSION}`);
    if (this.#pool !== undefined) return giveUp('hello came twice');
    const packages = packagesFolder();
    this.#pool = new Pool(
      { ...limits, packages, frame: MAX_FRAME },
      (call, outcome) => this.#answer(call, outcome),
      (error) => {
        if (error !== undefined) return giveUp(error.message);
        this.#send(KIND.hello, { version: VERSION, node: process.version, modules: available(limits.modules, packages) });
      },
    );
  }

  #answer({ id, console }, { value, ...header }) {
    this.#send(value === undefined ? KIND.failure : KIND.result, { ...header, id, console: console.length > 0 ? console : undefined }, value);
  }

  #send(kind, header, body) {
    writeFrame(this.#out, kind, header, body);
  }
}

new Agent().start();
