'use strict';
// The agent: the main process inside a container. It speaks the link with the daemon on stdin and
// stdout, hands calls to workers and never runs code of a script itself, so it can always answer.
// containers/doc.go in the daemon describes the link.

if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(`jsd agent: Node 24 or newer is needed, this is ${process.version}\n`);
  process.exit(1);
}

const net = require('node:net');
const { KIND, FrameReader, encode, decode } = require('./frames.js');
const { CODE } = require('./failure.js');
const { BUILT_INS } = require('./modules.js');
const { Pool } = require('./pool.js');

const VERSION = 1;
const MAX_FRAME = 17 * 1024 * 1024; // the daemon's largest client frame, and room for its header

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
    if (kind === KIND.cancel) return this.#pool.cancel(header.id);
    if (kind !== KIND.call) return giveUp(`unknown kind of frame ${kind}`);
    if (body === undefined) return this.#send(KIND.failure, { id: header.id, code: CODE.lost, started: false });
    return this.#pool.run({ ...header, body });
  }

  #hello({ version, ...limits }) {
    if (version !== VERSION) return giveUp(`the daemon speaks version ${version} of the link, this agent ${VERSION}`);
    if (this.#pool !== undefined) return giveUp('hello came twice');
    this.#pool = new Pool(
      { ...limits, frame: MAX_FRAME },
      (call, outcome) => this.#answer(call, outcome),
      (error) => {
        if (error !== undefined) return giveUp(error.message);
        this.#send(KIND.hello, { version: VERSION, node: process.version, modules: BUILT_INS });
      },
    );
  }

  #answer({ id, console }, { value, ...header }) {
    this.#send(value === undefined ? KIND.failure : KIND.result, { ...header, id, console: console.length > 0 ? console : undefined }, value);
  }

  #send(kind, header, body) {
    this.#out.write(encode(kind, header, body));
  }
}

new Agent().start();
