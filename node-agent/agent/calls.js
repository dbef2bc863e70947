'use strict';
// The calls without an outcome, by id. Each call is completed exactly once.

const { codes } = require('../shared/failures.js');
const { Bundles } = require('./bundles.js');
const { Pool } = require('./pool.js');
const { Runner } = require('./runner.js');
const { Sessions } = require('./sessions.js');
const { Streams } = require('./streams.js');

class Calls {
  #link;
  #bundles = new Bundles();
  #pending = new Map(); // id → Call
  #runner;
  #pool;
  #sessions;
  #streams; // undefined where there are no hosts to reach

  // limits are those of the daemon's hello. link has sendOutcome(call, outcome), called once for each call, where
  // outcome is {value, time, cpu} or a failure; sendEnded(session); and what Runner and Streams need. onReady(error) is
  // called once: when a call can run, or when none ever will.
  constructor(limits, link, onReady) {
    this.#link = link;
    const complete = (call, outcome) => this.#complete(call, outcome);
    if (limits.network !== undefined) this.#streams = new Streams(limits.network, link);
    this.#runner = new Runner(limits, this.#bundles, link, this.#streams, complete);
    this.#pool = new Pool(limits, this.#runner, complete, onReady);
    this.#sessions = new Sessions(this.#runner, complete, (session) => link.sendEnded(session));
  }

  // addBundle takes a part of a source tree that calls will name.
  addBundle(header, body) {
    this.#bundles.add(header, body);
  }

  run(call) {
    this.#pending.set(call.id, call);
    if (call.session !== undefined) return this.#sessions.run(call);
    if (call.open !== undefined) this.#sessions.open(call);
    if (!this.#canRun(call)) return this.#complete(call, { code: codes.lost, started: false });
    return this.#pool.run(call);
  }

  cancel(id) {
    const call = this.#pending.get(id);
    if (call !== undefined) this.#abort(call, { code: codes.cancelled });
  }

  // reply takes the client's reply to a callback.
  reply({ id, ...header }, body) {
    const call = this.#pending.get(id);
    if (call !== undefined) this.#runner.reply(call, header, body);
  }

  // stream takes a frame of the daemon about a connection.
  stream(kind, header, body) {
    if (this.#streams === undefined) throw new Error(`connection ${header.stream}, where there are none`);
    this.#streams.fromDaemon(kind, header, body);
  }

  // onDrain is called when the link takes data again after it was busy.
  onDrain() {
    this.#streams?.onDrain();
  }

  // closeSession ends a session, and cancels the call that it runs.
  closeSession(number) {
    const call = this.#sessions.current(number);
    if (call !== undefined) this.#abort(call, { code: codes.cancelled });
    this.#sessions.close(number);
  }

  // close kills all workers.
  close() {
    this.#runner.close();
  }

  #canRun({ body, bundle }) {
    return body !== undefined && (bundle === undefined || this.#bundles.has(bundle));
  }

  // #abort completes a call that waits or runs.
  #abort(call, outcome) {
    if (call.worker !== undefined) return this.#runner.abort(call, outcome);
    call.queue.remove(call);
    return this.#complete(call, outcome);
  }

  #complete(call, outcome) {
    this.#pending.delete(call.id);
    this.#link.sendOutcome(call, outcome);
    if (call.open !== undefined && outcome.value === undefined) this.#sessions.close(call.open);
  }
}

module.exports = { Calls };
