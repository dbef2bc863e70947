'use strict';
// Tells whether a call changed what it got of Node: by comparing objects with a snapshot of them, and by watching for
// asynchronous work that the call started.

const { createHook } = require('node:async_hooks');

const MAX_DEPTH = 4;
const MAX_OBJECTS = 4000;
const IGNORED = new Set([process, globalThis, RegExp]); // they change by themselves: RegExp shows the last match

const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

// read returns the value of a property, also behind a getter. It returns undefined for a getter that throws, since it
// needs another receiver.
function read(object, name, descriptor) {
  if (descriptor.get === undefined) return descriptor.value;
  try {
    return object[name];
  } catch {
    return undefined;
  }
}

// Snapshot holds the properties of objects and of the objects in them, down to MAX_DEPTH. A setting behind an accessor
// (events.defaultMaxListeners) is compared by its value.
class Snapshot {
  #objects = new Map(); // object → {descriptors, names, values, prototype}

  add(root) {
    const queue = [[root, 0]];
    while (queue.length > 0 && this.#objects.size < MAX_OBJECTS) {
      const [object, depth] = queue.shift();
      if (IGNORED.has(object) || this.#objects.has(object)) continue;
      const before = Object.getOwnPropertyDescriptors(object);
      const names = Reflect.ownKeys(before);
      const values = names.map((name) => read(object, name, before[name]));
      const descriptors = Object.getOwnPropertyDescriptors(object); // some getters turn into a value when they are read
      this.#objects.set(object, { descriptors, names, values, prototype: Object.getPrototypeOf(object) });
      if (depth < MAX_DEPTH) values.filter(isObject).forEach((value) => queue.push([value, depth + 1]));
    }
  }

  // isUnchanged compares all objects with what they were when they were added.
  isUnchanged() {
    for (const [object, { descriptors, names, values, prototype }] of this.#objects) {
      if (Object.getPrototypeOf(object) !== prototype || Reflect.ownKeys(object).length !== names.length) return false;
      for (let i = 0; i < names.length; i++) {
        const now = Reflect.getOwnPropertyDescriptor(object, names[i]);
        const then = descriptors[names[i]];
        if (now === undefined || now.get !== then.get || now.set !== then.set) return false;
        // A getter may make a new object each time: its identity says nothing.
        if (now.get !== undefined && isObject(values[i])) continue;
        if (!Object.is(read(object, names[i], now), values[i])) return false;
      }
    }
    return true;
  }
}

// AsyncActivity sees the resources that a call starts in Node and that may outlast it: jobs on other threads, timers
// that keep nothing alive, message ports. The hook costs time, so it is on only while it is needed.
class AsyncActivity {
  #live = new Map(); // id → resource
  #hook = createHook({
    init: (id, type, trigger, resource) => { if (!AsyncActivity.#HARMLESS.has(type)) this.#live.set(id, resource); },
    after: (id) => this.#live.delete(id),
    destroy: (id) => this.#live.delete(id),
    trackPromises: false,
  });
  static #HARMLESS = new Set(['PROMISE', 'TickObject', 'Microtask', 'Immediate', 'WRITEWRAP', 'PIPEWRAP']);

  start() {
    this.#hook.enable();
  }

  // stop forgets all resources, and returns whether none of them was alive.
  stop() {
    this.#hook.disable();
    // A crypto job that ran at once (randomUUID) has no one to call when it is done.
    const isAlive = (resource) => !(/Job$/.test(resource.constructor?.name) && resource.ondone === undefined);
    const none = ![...this.#live.values()].some(isAlive);
    this.#live.clear();
    return none;
  }
}

module.exports = { AsyncActivity, Snapshot };
