'use strict';
// The calls that have no outcome yet, by id: where each goes when it comes, and that each is answered once.
//
//   run ─► pool ─────────► runner ─► its outcome, or an end ─► link.answer
//    └──► sessions ─────────┘ │ ▲
//                    callback ▼ │ reply

const { Bundles } = require('./bundles.js');
const { CODE } = require('../shared/failures.js');
const { Pool } = require('./pool.js');
const { Runner } = require('./runner.js');
const { Sessions } = require('./sessions.js');
const { Streams } = require('./streams.js');

class Calls {
  #link;
  #bundles = new Bundles();
  #pending = new Map(); // id → call
  #runner;
  #pool;
  #sessions;
  #streams;

  // link has answer(call, outcome), called once for each call, where outcome is {value, time} or a failure;
  // print(call, level, text); callback(call, number, name, args); ended(session); and what Streams needs. onReady(error) is called
  // once, when the first call can run or none ever will; limits are those of the daemon's hello.
  constructor(limits, link, onReady) {
    this.#link = link;
    const finish = (call, outcome) => this.#finish(call, outcome);
    if (limits.network !== undefined) this.#streams = new Streams(limits.network, link);
    this.#runner = new Runner(limits, this.#bundles, {
      finish,
      print: (call, level, text) => link.print(call, level, text),
      callback: (call, number, name, args) => link.callback(call, number, name, args),
    }, this.#streams);
    this.#pool = new Pool(limits, this.#runner, finish, onReady);
    this.#sessions = new Sessions(this.#runner, finish, (session) => link.ended(session));
  }

  // addBundle takes a part of a folder of sources that calls will name.
  addBundle(header, body) {
    this.#bundles.add(header, body);
  }

  // run takes what the runner's start does, and perhaps the number of the session that the call runs in.
  run(call) {
    call.console = [];
    call.printed = 0;
    this.#pending.set(call.id, call);
    if (call.session !== undefined) return this.#sessions.run(call);
    if (call.open !== undefined) this.#sessions.open(call);
    if (!this.#canRun(call)) return this.#finish(call, { code: CODE.lost, started: false });
    return this.#pool.run(call);
  }

  cancel(id) {
    const call = this.#pending.get(id);
    if (call !== undefined) this.#end(call, { code: CODE.cancelled });
  }

  reply({ id, ...header }, body) {
    const call = this.#pending.get(id);
    if (call !== undefined) this.#runner.reply(call, header, body);
  }

  // stream takes what the daemon says of a connection.
  stream(kind, header, body) {
    if (this.#streams === undefined) throw new Error(`connection ${header.stream}, where there are none`);
    this.#streams.fromDaemon(kind, header, body);
  }

  // drained comes when the link has been busy, and is not any more.
  drained() {
    this.#streams?.drained();
  }

  // closeSession ends a session, and the call that it is at.
  closeSession(number) {
    const call = this.#sessions.current(number);
    if (call !== undefined) this.#end(call, { code: CODE.cancelled });
    this.#sessions.end(number);
  }

  close() {
    this.#runner.close();
  }

  #canRun({ body, bundle }) {
    return body !== undefined && (bundle === undefined || this.#bundles.has(bundle));
  }

  // #end answers for a call that waits or runs.
  #end(call, outcome) {
    if (call.worker !== undefined) return this.#runner.end(call, outcome);
    call.queue.splice(call.queue.indexOf(call), 1);
    return this.#finish(call, outcome);
  }

  #finish(call, outcome) {
    this.#pending.delete(call.id);
    this.#link.answer(call, outcome);
    if (call.open !== undefined && outcome.value === undefined) this.#sessions.end(call.open);
  }
}

module.exports = { Calls };
