'use strict';
// The sources that come with a call, or in a bundle that many calls name, as a tree of files. shared/packages.js says
// what a tree has.

const path = require('node:path');

const LARGE = 1024; // characters of a source that is kept outside of the heap, whose limit is for the script

// outsideHeap keeps each character as it is, also one half of a surrogate pair.
function outsideHeap(text) {
  const encoding = /[^\0-\xff]/.test(text) ? 'utf16le' : 'latin1';
  return { encoding, bytes: Buffer.from(text, encoding) };
}

class SourceTree {
  #files = new Map(); // path → text, or {encoding, bytes}
  #directories = new Set(['']);
  own = true;
  mount = '/script';
  compiled = new Map();

  // add takes an object from path to source. The daemon has checked the paths.
  add(files) {
    for (const file of Object.keys(files)) {
      const text = String(files[file]);
      this.#files.set(file, text.length > LARGE ? outsideHeap(text) : text);
      for (let dir = path.posix.dirname(file); dir !== '.' && !this.#directories.has(dir); dir = path.posix.dirname(dir)) this.#directories.add(dir);
    }
    return this;
  }

  isFile(file) {
    return this.#files.has(file);
  }

  isDirectory(dir) {
    return this.#directories.has(dir);
  }

  read(file) {
    const source = this.#files.get(file);
    return typeof source === 'object' ? source.bytes.toString(source.encoding) : source;
  }

  // real has nothing to resolve: there are no links.
  real(file) {
    return file;
  }

  display(file) {
    return file;
  }
}

module.exports = { SourceTree };
