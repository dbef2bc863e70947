'use strict';
// One worker process as the agent sees it: starting it, sending and receiving frames, reading what it uses, killing it.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { FrameReader, decodeFrame, encodeData, writeFrame } = require('../shared/frames.js');

const ROOT = path.dirname(__dirname); // the directory of all files that the agent and its workers consist of
const RESULT_ROOM = 256 * 1024; // bytes that the frame of a result may have beyond the value: its header

// youngSpace is the limit of V8's semi-spaces in MiB, for a container of so many MiB of memory. With 8, a worker hardly
// ever collects young objects before it collects all garbage at once.
const youngSpace = (memory) => Math.max(1, Math.min(8, Math.floor(memory / 32)));

// flags are Node's flags for a worker. The permission model is a second wall behind the container: a script that
// reaches the worker's own realm still finds no files, no processes and no add-ons.
const flags = ({ heap, memory, packages, modules }) => [
  `--max-old-space-size=${heap}`,
  '--experimental-vm-modules',
  '--no-compilation-cache', // it keeps the contexts of ES modules alive; worker/scripts.js keeps compiled scripts
  '--no-rehash-snapshot', // contexts are made from the snapshot; rehashing it is a tenth of the agent's CPU time
  '--no-incremental-marking', // the garbage of a call dies young as a whole; marking it in steps takes half of a call's time
  `--max-semi-space-size=${youngSpace(memory)}`,
  '--single-threaded-gc', // the cores are for scripts, not for threads of the collector
  '--zero-fill-buffers',
  '--no-warnings',
  '--permission',
  ...(modules?.includes('sqlite') ? [] : ['--no-experimental-sqlite']), // it opens files that the permission model does not see
  `--allow-fs-read=${ROOT}`,
  ...(packages === undefined ? [] : [`--allow-fs-read=${packages}`]),
  '--allow-fs-read=/proc/self/oom_score_adj',
  '--allow-fs-write=/proc/self/oom_score_adj',
];

// environment is the part of the agent's environment that a worker gets: an image may add trusted certificates.
const environment = () => {
  const { NODE_EXTRA_CA_CERTS } = process.env;
  return NODE_EXTRA_CA_CERTS === undefined ? {} : { NODE_EXTRA_CA_CERTS };
};

class WorkerProcess {
  #child;
  #socket;
  #firstSize = 0; // bytes that it held when it first was idle
  state = 'starting'; // → idle → busy → draining → idle …; dead from any of these
  hasBeenIdle = false; // so it can start here
  readyContexts = 0; // contexts made ahead, as it last said
  refilling = true; // whether it makes more, as it last said
  broken = false; // it sent something that no worker sends
  bundles = new Map(); // id → bytes of the bundles that it has, the least recently used first
  owner; // the pool, or the session that pinned it; see Runner.spawn
  call; // while it is busy
  mayHaveGrown = false; // its last call may have left much garbage
  collecting = false; // it was asked to collect
  streams; // its connections: see streams.js
  timer; // while it drains, or is above the pool's base

  // onFrame(worker, kind, header, body) is called for each frame. onExit(worker, {code, signal} or {error}) is called
  // once, when the process has ended or could not be started.
  constructor(limits, onFrame, onExit) {
    let exited = false;
    const exit = (how) => {
      if (exited) return;
      exited = true;
      this.state = 'dead';
      onExit(this, how);
    };
    try {
      this.#child = spawn(process.execPath, [...flags(limits), path.join(ROOT, 'worker', 'worker.js'), JSON.stringify(limits)], {
        stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
        env: environment(),
        cwd: '/',
      });
    } catch (error) {
      setImmediate(exit, { error }); // no memory or no processes left: the pool tries again later
      return;
    }
    this.#child.on('error', (error) => exit({ error }));
    this.#child.on('exit', (code, signal) => exit({ code, signal }));
    this.#socket = this.#child.stdio?.[3];
    if (this.#socket === undefined) return; // it could not be started: 'error' follows
    this.#listen(limits.result + RESULT_ROOM, onFrame);
  }

  #listen(longest, onFrame) {
    const reader = new FrameReader(longest, (kind, payload) => {
      if (this.state === 'dead') return;
      const { header, body } = decodeFrame(kind, payload);
      onFrame(this, kind, header, body);
    });
    this.#socket.on('data', (chunk) => {
      try {
        if (this.state !== 'dead' && !this.broken) reader.push(chunk);
      } catch {
        this.broken = true;
        this.kill(); // 'exit' follows
      }
    });
    this.#socket.on('error', () => {}); // 'exit' follows
  }

  get pid() {
    return this.#child?.pid;
  }

  send(kind, header, body) {
    writeFrame(this.#socket, kind, header, body);
  }

  sendData(stream, bytes) {
    this.#socket.write(encodeData(stream, bytes));
  }

  kill() {
    this.#child?.kill('SIGKILL');
  }

  // markIdle notes that the process is idle for the first time.
  markIdle() {
    this.hasBeenIdle = true;
    this.#firstSize = this.#size();
  }

  // grown is the memory that the process has gained since it first was idle, in bytes. The pages of its program do not
  // count: they come with time, and are no garbage.
  grown() {
    return this.#size() - this.#firstSize;
  }

  #size() {
    return this.privateMemory() || this.memory(); // gVisor reports only the latter
  }

  // memory is the memory that the process holds now, in bytes; 0 where the system does not report it.
  memory() {
    return this.#status('VmRSS');
  }

  // privateMemory is memory without what the process shares with other processes of its program.
  privateMemory() {
    return this.#status('RssAnon');
  }

  #status(name) {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(this.#proc('status'));
    return match === null ? 0 : Number(match[1]) * 1024;
  }

  // isRunnable says whether the process runs, or would run if a processor were free. It is false for a process that
  // waits for something else, and where the system does not report it.
  isRunnable() {
    const stat = this.#proc('stat');
    return stat[stat.lastIndexOf(')') + 2] === 'R';
  }

  // cpu is the CPU time that the process has used, in ms. The kernel counts in steps of 10 ms.
  cpu() {
    const stat = this.#proc('stat');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may have spaces
    return fields.length < 13 ? 0 : (Number(fields[11]) + Number(fields[12])) * 10;
  }

  #proc(file) {
    try {
      return fs.readFileSync(`/proc/${this.pid}/${file}`, 'utf8');
    } catch {
      return '';
    }
  }
}

module.exports = { WorkerProcess, flags };
