'use strict';
// The npm packages of the runtime image, as a tree of files. A worker loads modules from two kinds of trees: this one,
// and the sources that come with a call (worker/source-tree.js). Paths in a tree have `/` between their parts, and
// nothing leads above its root. Both kinds have:
//
//   own                           whether the code is the script's
//   mount                         the directory under which modules see the tree
//   compiled                      path → what the worker compiled of the file; lives as long as the tree
//   isFile(path), isDirectory(path), read(path)
//   real(path)                    the path with links resolved; undefined if it leads out of the tree
//   display(path)                 the path as stacks and messages show it

const fs = require('node:fs');
const path = require('node:path');

const NOT_FOR_SCRIPTS = new Set(['npm', 'corepack']); // they belong to npm's own installation
const MOST_KINDS = 100_000; // paths whose kind is remembered; a script may ask for any number

// Packages is the node_modules directory of the image. The image does not change while a worker lives, so each path
// is looked up once.
class Packages {
  #root;
  #kinds = new Map(); // path → 'file' | 'directory' | 'none'
  own = false;
  mount = '/packages';
  compiled = new Map();

  // root is the directory's path. Without one, or if it does not exist, there are no packages.
  constructor(root) {
    try {
      this.#root = fs.realpathSync.native(root);
    } catch {
      this.#root = undefined;
    }
  }

  // names lists the installed packages, those in scopes (@scope/name) too.
  names() {
    if (this.#root === undefined) return [];
    const list = (dir) => {
      try {
        return fs.readdirSync(path.join(this.#root, dir)).filter((name) => !name.startsWith('.'));
      } catch {
        return []; // no directory, or not readable
      }
    };
    return list('')
      .flatMap((name) => (name.startsWith('@') ? list(name).map((scoped) => `${name}/${scoped}`) : [name]))
      .filter((name) => this.isDirectory(name))
      .sort();
  }

  has(name) {
    return this.isDirectory(name);
  }

  isFile(file) {
    return this.#kind(file) === 'file';
  }

  isDirectory(dir) {
    return this.#kind(dir) === 'directory';
  }

  read(file) {
    return this.isFile(file) ? fs.readFileSync(path.join(this.#root, file), 'utf8') : undefined;
  }

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
      kind = this.#stat(file);
      if (this.#kinds.size > MOST_KINDS) this.#kinds.clear();
      this.#kinds.set(file, kind);
    }
    return kind;
  }

  #stat(file) {
    if (NOT_FOR_SCRIPTS.has(file.split('/', 1)[0])) return 'none';
    try {
      const stat = fs.statSync(path.join(this.#root, file));
      if (this.real(file) === undefined && file !== '') return 'none';
      return stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : 'none';
    } catch {
      return 'none';
    }
  }
}

module.exports = { Packages };
