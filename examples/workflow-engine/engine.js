'use strict';
const { setTimeout: sleep } = require('node:timers/promises');
const { Connection, Disconnected } = require('./connection.js');

const tenant = 'shop';
const callbacks = ['storageGet', 'storagePut', 'secret'];

// Unknown ends a workflow whose step may have run or not: running it again is for a human to decide.
class Unknown extends Error {}

// An Engine runs steps one after the other over one connection, which it opens again when it is lost.
class Engine {
  #url;
  #journal;
  #secrets;
  #log;
  #connection;
  #boot;

  // log(line) gets what the engine does and what the steps print.
  constructor({ url, journal, secrets, log }) {
    this.#url = url;
    this.#journal = journal;
    this.#secrets = secrets;
    this.#log = log;
  }

  // run ends when the step's outcome is in the journal.
  async run(name, code) {
    if (this.#journal.isDone(name)) return this.#log(`${name}: is done already`);
    // What began once is only asked for: the daemon may have forgotten it, and would run it again.
    let attach = this.#journal.bootOf(name) !== undefined;
    for (;;) {
      try {
        const connection = await this.#connected();
        const result = attach ? await this.#attach(connection, name) : await this.#execute(connection, name, code);
        return this.#finish(name, result);
      } catch (error) {
        if (error instanceof Disconnected) {
          this.#log(`${name}: connection lost`);
          attach = this.#journal.bootOf(name) !== undefined;
        } else if (neverBegan(error)) {
          await sleep(error.data?.retryAfter ?? 100);
          attach = false;
        } else {
          throw this.#judge(name, error, attach);
        }
      }
    }
  }

  // drop loses the connection, as a network would.
  drop() {
    this.#connection?.drop();
  }

  #execute(connection, name, code) {
    this.#journal.begin(name, this.#boot);
    this.#log(`${name}: begins`);
    return connection.request('runtime.execute', {
      code, call: name, callbacks, tenant, stream: true, detach: true, timeout: 30_000, execution: this.#execution(name),
    });
  }

  #attach(connection, name) {
    this.#log(`${name}: asks for its outcome`);
    return connection.request('runtime.attach', { tenant, execution: this.#execution(name) });
  }

  // What was printed while nobody listened is in the result.
  #finish(name, { value, console: lines }) {
    for (const text of lines.slice(this.#journal.linesOf(name))) this.#print(name, text);
    this.#journal.end(name, value);
    this.#log(`${name}: done`);
  }

  #judge(name, error, attached) {
    if (attached && error.code === 1009) {
      const why = this.#boot === this.#journal.bootOf(name) ? 'the daemon does not know it' : 'the daemon was restarted';
      return new Unknown(`${name}: outcome unknown, ${why}; it may have run or not, and is not run again`);
    }
    if (error.code === 1005) return new Unknown(`${name}: outcome unknown, its container was lost; it is not run again`);
    if (error.code === undefined) return error; // no answer of the daemon's
    return new Error(`${name}: failed, ${error.code} ${error.message}: ${JSON.stringify(error.data ?? {})}`, { cause: error });
  }

  async #connected() {
    if (this.#connection?.isOpen) return this.#connection;
    const connection = await this.#connect();
    const { boot } = await connection.request('runtime.info');
    if (this.#boot) this.#log(boot === this.#boot ? 'connected again, to the same daemon' : 'connected again, to another daemon');
    this.#boot = boot;
    this.#connection = connection;
    return connection;
  }

  // A daemon that is restarted is back within seconds.
  async #connect() {
    for (let wait = 50; ; wait *= 2) {
      try {
        return await Connection.open(this.#url, { callback: this.#callback, printed: this.#printed });
      } catch (error) {
        if (wait > 3_000) throw new Error(`${error.message}; run the engine again to go on`, { cause: error });
        await sleep(wait);
      }
    }
  }

  #callback = ({ execution, name, args: [key, value] }) => {
    if (name === 'storageGet') return this.#journal.get(key);
    if (name === 'storagePut') return this.#journal.put(this.#step(execution), key, value);
    if (name === 'secret' && Object.hasOwn(this.#secrets, key)) return this.#secrets[key];
    throw new Error(`there is no ${name} ${key}`);
  };

  #printed = ({ execution, text }) => this.#print(this.#step(execution), text);

  #print(name, text) {
    this.#journal.print(name, text);
    this.#log(`${name} | ${text}`);
  }

  #execution = (name) => `${this.#journal.workflow}.${name}`;
  #step = (execution) => execution.slice(this.#journal.workflow.length + 1);
}

// neverBegan is also right of an attach: the engine has one request at a time, so it is never the attach
// itself that is too much.
function neverBegan({ code, data }) {
  return code === 1006 || (code === 1005 && data?.started === false);
}

module.exports = { Engine };
