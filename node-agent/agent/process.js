'use strict';
// The agent's side of one worker process: starting it, talking with it, looking at what it uses, ending it.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { FrameReader, decodeFrame, encodeData, writeFrame } = require('../shared/frames.js');

const ROOT = path.dirname(__dirname); // of all files that agent and workers consist of
const RESULT_ROOM = 256 * 1024; // bytes a result frame may have beyond the value: its header

// youngSpace is what V8's semi-spaces may grow to, in MiB, in a container of memory MiB: with 8, young objects alone
// are hardly ever collected before a worker collects all.
const youngSpace = (memory) => Math.max(1, Math.min(8, Math.floor(memory / 32)));

// The permission model is a second lock behind the container: a script that reaches the worker's own
// realm still finds no files, no processes and no add-ons there.
const flags = ({ heap, memory, packages, modules }) => [
  `--max-old-space-size=${heap}`,
  '--experimental-vm-modules',
  '--no-compilation-cache', // it keeps the contexts of ES modules alive; scripts are kept by scripts.js
  '--no-rehash-snapshot', // contexts are made from the snapshot; rehashing it is a tenth of the agent's CPU
  '--no-incremental-marking', // what a call leaves dies young as a whole: marking it in steps costs half of a call's time
  `--max-semi-space-size=${youngSpace(memory)}`,
  '--single-threaded-gc', // two cores are for scripts, not for helpers of the collector
  '--zero-fill-buffers',
  '--no-warnings',
  '--permission',
  ...(modules?.includes('sqlite') ? [] : ['--no-experimental-sqlite']), // which opens files that the permission model does not judge
  `--allow-fs-read=${ROOT}`,
  ...(packages === undefined ? [] : [`--allow-fs-read=${packages}`]),
  '--allow-fs-read=/proc/self/oom_score_adj',
  '--allow-fs-write=/proc/self/oom_score_adj',
];

// environment is what a worker gets of the agent's: who made the image may want more certificates to be trusted.
const environment = () => {
  const { NODE_EXTRA_CA_CERTS } = process.env;
  return NODE_EXTRA_CA_CERTS === undefined ? {} : { NODE_EXTRA_CA_CERTS };
};

class WorkerProcess {
  #child;
  #socket;
  #fresh = 0;
  state = 'starting'; // → idle ⇄ busy → settling → idle; dead from any of them
  ready = 0; // contexts made ahead, as it last said
  refilling = true;
  broken = false; // it sent what a worker does not say
  bundles = new Map(); // id → bytes of those it was given, the least recently used first
  owner; // whoever says which calls it runs: the pool, or a session
  proven = false;
  suspect = false; // its last call may have left much
  collecting = false; // it was asked to
  call; // while busy
  streams; // its connections: see streams.js
  timer; // settling too long, or idle too long

  // onFrame(worker, kind, header, body) for each frame; onExit(worker, {code, signal}) once.
  constructor(limits, onFrame, onExit) {
    let gone = false;
    const exit = (how) => {
      if (gone) return;
      gone = true;
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
      setImmediate(exit, { error }); // no memory, or no processes left: the pool tries again later
      return;
    }
    this.#child.on('error', (error) => exit({ error }));
    this.#child.on('exit', (code, signal) => exit({ code, signal }));
    this.#socket = this.#child.stdio?.[3];
    if (this.#socket === undefined) return; // it could not be started: 'error' follows
    const reader = new FrameReader(limits.result + RESULT_ROOM, (kind, payload) => {
      if (this.state === 'dead') return;
      const { header, body } = decodeFrame(kind, payload);
      onFrame(this, kind, header, body);
    });
    this.#socket.on('data', (chunk) => {
      try {
        if (this.state !== 'dead' && !this.broken) reader.push(chunk);
      } catch {
        this.broken = true;
        this.kill(); // a worker that sends nonsense is not one any more; exit tells
      }
    });
    this.#socket.on('error', () => {}); // exit tells
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

  // grown is what the process holds of its own beyond what it held when it first was idle, in bytes. Pages of its
  // program come with time, and are no garbage.
  grown() {
    return this.#size() - this.#fresh;
  }

  #size() {
    return this.own() || this.memory(); // gVisor tells the latter alone
  }

  // prove notes that it has been idle once: it can start here.
  prove() {
    this.proven = true;
    this.#fresh = this.#size();
  }

  // memory is what the process holds now, in bytes; 0 where the system does not tell.
  memory() {
    return this.#status('VmRSS');
  }

  // own is that without what it shares with all other processes of its program.
  own() {
    return this.#status('RssAnon');
  }

  #status(name) {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(this.#proc('status'));
    return match === null ? 0 : Number(match[1]) * 1024;
  }

  // computes says whether it runs, or would if a processor were free. It waits for something where it does
  // not; and where the system does not tell.
  computes() {
    const stat = this.#proc('stat');
    return stat[stat.lastIndexOf(')') + 2] === 'R';
  }

  // cpu is the processor time used so far, in ms (in steps of the kernel's clock tick, 10 ms).
  cpu() {
    const stat = this.#proc('stat');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold spaces
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
