'use strict';
const { appendFileSync, existsSync, readFileSync } = require('node:fs');
const { randomUUID } = require('node:crypto');

// A Journal is all that the engine knows, one JSON record a line: it is written before the engine goes on,
// so that an engine that crashes begins where it was.
class Journal {
  workflow; // names the executions
  #file;
  #begun = new Map(); // step → boot of the daemon that got it
  #done = new Map(); // step → value
  #printed = new Map(); // step → how many lines of its console are in the log
  #storage = new Map();

  // Without a file the journal lives as long as the engine.
  constructor(file) {
    if (file && existsSync(file)) {
      for (const line of readFileSync(file, 'utf8').split('\n')) if (line) this.#apply(JSON.parse(line));
    }
    this.#file = file;
    if (!this.workflow) this.#write({ kind: 'workflow', id: randomUUID() });
  }

  begin = (step, boot) => this.#write({ kind: 'begun', step, boot });
  end = (step, value) => this.#write({ kind: 'done', step, value });
  print = (step, text) => this.#write({ kind: 'printed', step, text });
  put = (step, key, value) => this.#write({ kind: 'put', step, key, value });

  bootOf = (step) => this.#begun.get(step);
  isDone = (step) => this.#done.has(step);
  linesOf = (step) => this.#printed.get(step) ?? 0;
  get = (key) => this.#storage.get(key);

  #write(record) {
    if (this.#file) appendFileSync(this.#file, `${JSON.stringify(record)}\n`, { flush: true });
    this.#apply(record);
  }

  #apply({ kind, id, step, boot, key, value }) {
    if (kind === 'workflow') this.workflow = id;
    else if (kind === 'begun') this.#begun.set(step, boot);
    else if (kind === 'done') this.#done.set(step, value);
    else if (kind === 'printed') this.#printed.set(step, this.linesOf(step) + 1);
    else if (kind === 'put') this.#storage.set(key, value);
  }
}

module.exports = { Journal };
