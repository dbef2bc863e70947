'use strict';
// Where sources are: the folder that came with a call, and the packages of the image. Both are trees of
// files with `/` between the parts of a path, and nothing above their root.

const fs = require('node:fs');
const path = require('node:path');

// What belongs to npm's own installation, and not to scripts.
const NOT_FOR_SCRIPTS = new Set(['npm', 'corepack']);

const LARGE = 1024; // characters of a source that is kept outside of the heap, which is the script's

// outOfHeap keeps every character as it is, halves of surrogate pairs too.
function outOfHeap(text) {
  const encoding = /[^\0-\xff]/.test(text) ? 'utf16le' : 'latin1';
  return { encoding, bytes: Buffer.from(text, encoding) };
}

// A Folder is the files of one call, or of a bundle that many calls name.
class Folder {
  #files = new Map();
  #folders = new Set(['']);
  own = true; // its code is the script's, not a package's
  mount = '/script';
  compiled = new Map(); // path → what source.js made of it; kept as long as the folder is

  // add takes an object from path to source. The daemon has judged the paths.
  add(files) {
    for (const file of Object.keys(files)) {
      const text = String(files[file]);
      this.#files.set(file, text.length > LARGE ? outOfHeap(text) : text);
      for (let dir = path.posix.dirname(file); dir !== '.' && !this.#folders.has(dir); dir = path.posix.dirname(dir)) this.#folders.add(dir);
    }
    return this;
  }

  isFile(file) {
    return this.#files.has(file);
  }

  isFolder(dir) {
    return this.#folders.has(dir);
  }

  read(file) {
    const kept = this.#files.get(file);
    return typeof kept === 'object' ? kept.bytes.toString(kept.encoding) : kept;
  }

  // real is the path under which a file is known; here there are no links.
  real(file) {
    return file;
  }

  display(file) {
    return file;
  }
}

// Packages is the node_modules folder with what is installed in the image. It does not change while the
// worker lives, so what was looked up once is kept.
class Packages {
  #root;
  #kinds = new Map(); // path → 'file' | 'folder' | 'none'
  own = false;
  mount = '/packages';
  compiled = new Map();

  // root may be missing: then there are no packages.
  constructor(root) {
    try {
      this.#root = fs.realpathSync.native(root);
    } catch {
      this.#root = undefined;
    }
  }

  // names lists what is installed, also in scopes.
  names() {
    if (this.#root === undefined) return [];
    const below = (dir) => {
      try {
        return fs.readdirSync(path.join(this.#root, dir)).filter((name) => !name.startsWith('.'));
      } catch {
        return []; // no folder, or none to be read
      }
    };
    return below('')
      .flatMap((name) => (name.startsWith('@') ? below(name).map((scoped) => `${name}/${scoped}`) : [name]))
      .filter((name) => this.isFolder(name))
      .sort();
  }

  has(name) {
    return this.isFolder(name);
  }

  isFile(file) {
    return this.#kind(file) === 'file';
  }

  isFolder(dir) {
    return this.#kind(dir) === 'folder';
  }

  read(file) {
    return this.isFile(file) ? fs.readFileSync(path.join(this.#root, file), 'utf8') : undefined;
  }

  // real follows links; undefined for one that leads out of the root.
  real(file) {
    try {
      const real = fs.realpathSync.native(path.join(this.#root, file));
      return real.startsWith(this.#root + path.sep) ? real.slice(this.#root.length + 1) : undefined;
    } catch {
      return undefined;
    }
  }

  display(file) {
    return `node_modules/${file}`;
  }

  #kind(file) {
    if (this.#root === undefined) return 'none';
    let kind = this.#kinds.get(file);
    if (kind === undefined) {
      kind = this.#look(file);
      if (this.#kinds.size > 100_000) this.#kinds.clear(); // a script may ask for anything
      this.#kinds.set(file, kind);
    }
    return kind;
  }

  #look(file) {
    if (NOT_FOR_SCRIPTS.has(file.split('/', 1)[0])) return 'none';
    try {
      const stat = fs.statSync(path.join(this.#root, file));
      if (this.real(file) === undefined && file !== '') return 'none';
      return stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'none';
    } catch {
      return 'none';
    }
  }
}

module.exports = { Folder, Packages };
