'use strict';
// The files of modules that a call comes across: by which id each is known, what it is, and what was made of
// it. What is compiled is kept with its tree and outlives the call.

const { posix } = require('node:path');
const { Unresolved, scope } = require('./resolve.js');
const { EsSource, commonJS, compilesAsModule, exportNames, reexports, stripTypes } = require('./source.js');

// A place is a file in a tree; its id tells the trees apart.
const idOf = ({ tree, path: file }) => `${tree.mount}/${file}`;
const TYPESCRIPT = /\.[cm]?ts$/;

// ModuleFiles is made anew for each call that loads modules. An id is `node:NAME` for a built-in, else the path
// that a module sees as its __filename.
class ModuleFiles {
  #packages;
  #resolver;
  #imports;
  addOn; // why the last native add-on was refused
  #places = new Map(); // id → {tree, path}

  // imports.current() is the loader of the call that runs when compiled code gets to an `import()`.
  constructor({ packages, resolver, imports }) {
    this.#packages = packages;
    this.#resolver = resolver;
    this.#imports = imports;
  }

  remember(place) {
    const id = idOf(place);
    if (!this.#places.has(id)) this.#places.set(id, place);
    return id;
  }

  // find gives the id of what a specifier means: `node:NAME` for a built-in, else that of a file.
  find(specifier, from, how) {
    const place = this.#places.get(from) ?? this.#packagePlace(from);
    const found = this.#resolver.resolve(specifier, place, how);
    return found.builtIn === undefined ? this.remember(found) : `node:${found.builtIn}`;
  }

  // #packagePlace is a place that a package made up (createRequire), if it is among the packages.
  #packagePlace(from) {
    const file = posix.normalize(from);
    if (!file.startsWith(`${this.#packages.mount}/`)) throw new Unresolved(from, 'it is no place of a package');
    return { tree: this.#packages, path: file.slice(this.#packages.mount.length + 1) };
  }

  about(id) {
    const { tree, path: file } = this.#places.get(id);
    return { filename: id, dirname: posix.dirname(id), display: tree.display(file), own: tree.own };
  }

  // isOwn says whether a file is the script's, and not a package's.
  isOwn(id) {
    return this.#places.get(id)?.tree.own !== false;
  }

  // kind judges a file as Node does: by its extension, by its package.json, by what it is made of.
  kind(id) {
    const { tree, path: file } = this.#places.get(id);
    const extension = posix.extname(file);
    if (extension === '.json') return 'json';
    if (extension === '.node') {
      this.addOn = new Unresolved(tree.display(file), 'it is a native add-on, which scripts may not load', 'ERR_DLOPEN_DISABLED');
      throw this.addOn;
    }
    if (extension === '.wasm') throw new Unresolved(tree.display(file), 'WebAssembly is not loaded as a module', 'ERR_UNKNOWN_FILE_EXTENSION');
    if (extension === '.mjs' || extension === '.mts') return 'module';
    if (extension === '.cjs' || extension === '.cts') return 'commonjs';
    const { type } = scope(tree, file)?.content ?? {};
    if (type === 'module') return 'module';
    if (type === 'commonjs') return 'commonjs';
    return this.#found(id);
  }

  // compile gives {source} and what was made of it, kept as long as the tree is.
  compile(id) {
    const { tree, path: file } = this.#places.get(id);
    let entry = tree.compiled.get(file);
    if (entry === undefined) {
      const source = tree.read(file);
      entry = { source: TYPESCRIPT.test(file) ? stripTypes(source, tree.display(file)) : source };
      tree.compiled.set(file, entry);
    }
    return entry;
  }

  // #commonJS gives an entry compiled as CommonJS: {script} or {error}.
  #commonJS(id) {
    const { tree, path: file } = this.#places.get(id);
    const entry = this.compile(id);
    const imports = this.#imports;
    if (entry.script === undefined && entry.error === undefined) {
      try {
        entry.script = commonJS(entry.source, tree.display(file), { own: tree.own, importing: (specifier) => imports.current().import(specifier, id) });
      } catch (error) {
        entry.error = error;
      }
    }
    return entry;
  }

  // #found is what a source is by itself, where neither its name nor its package.json say so.
  #found(id) {
    const entry = this.#commonJS(id);
    entry.kind ??= entry.error !== undefined && compilesAsModule(entry.source) ? 'module' : 'commonjs';
    return entry.kind;
  }

  // body gives {json: text} or {script}, the body of a CommonJS module, and throws what is wrong with it.
  body(id) {
    const { tree, path: file } = this.#places.get(id);
    if (posix.extname(file) === '.json') return { json: tree.read(file).replace(/^\uFEFF/, '') };
    const { script, error } = this.#commonJS(id);
    if (script === undefined) throw error;
    return { script };
  }

  esSource(id) {
    const { tree, path: file } = this.#places.get(id);
    const entry = this.compile(id);
    entry.es ??= new EsSource(entry.source, tree.display(file), { withProcess: !tree.own });
    return entry.es;
  }

  // exportNames are those that an importer of a CommonJS module may name.
  exportNames(id, seen = new Set()) {
    if (seen.has(id) || id.startsWith('node:') || this.kind(id) !== 'commonjs') return [];
    seen.add(id);
    const entry = this.compile(id);
    entry.names ??= new Set([...exportNames(entry.source), ...reexports(entry.source).flatMap((specifier) => {
      try {
        return [...this.exportNames(this.find(specifier, id, 'require'), seen)];
      } catch {
        return []; // it will say so itself, if it is ever asked for
      }
    })]);
    return entry.names;
  }
}

module.exports = { ModuleFiles };
