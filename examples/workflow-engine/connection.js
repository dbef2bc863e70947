'use strict';
// JSON-RPC 2.0 in both directions over Node's own WebSocket.

// Disconnected ends the requests that were in flight: what became of them is for runtime.attach to say.
class Disconnected extends Error {}

class Connection {
  #socket;
  #waiting = new Map();
  #lastId = 0;
  #client;
  #open = true;

  // client has callback({ execution, name, args }), whose value or error the script gets, and
  // printed({ execution, level, text }).
  static async open(url, client) {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true });
      socket.addEventListener('error', () => reject(new Disconnected(`nobody answers at ${url}`)), { once: true });
    });
    return new Connection(socket, client);
  }

  constructor(socket, client) {
    this.#socket = socket;
    this.#client = client;
    socket.addEventListener('message', ({ data }) => this.#receive(JSON.parse(data)));
    socket.addEventListener('close', () => this.drop());
  }

  get isOpen() {
    return this.#open;
  }

  // request resolves to the result, or throws the error of the response, with its code and data.
  request(method, params) {
    return new Promise((resolve, reject) => {
      if (!this.#open) throw new Disconnected('connection lost');
      const id = ++this.#lastId;
      this.#waiting.set(id, { resolve, reject });
      this.#send({ id, method, params });
    });
  }

  // drop closes without a word to anybody: what still comes in is ignored.
  drop() {
    this.#open = false;
    this.#socket.close();
    for (const { reject } of this.#waiting.values()) reject(new Disconnected('connection lost'));
    this.#waiting.clear();
  }

  #send(message) {
    this.#socket.send(JSON.stringify({ jsonrpc: '2.0', ...message }));
  }

  #receive(message) {
    if (!this.#open) return;
    if (message.method === 'runtime.callback') this.#answer(message);
    else if (message.method === 'runtime.console') this.#client.printed(message.params);
    else this.#settle(message);
  }

  #settle({ id, result, error }) {
    const request = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) request?.reject(Object.assign(new Error(error.message), error));
    else request?.resolve(result);
  }

  async #answer({ id, params }) {
    let outcome;
    try {
      outcome = { result: (await this.#client.callback(params)) ?? null };
    } catch (error) {
      outcome = { error: { code: 1, message: error.message } };
    }
    if (this.#open) this.#send({ id, ...outcome });
  }
}

module.exports = { Connection, Disconnected };
