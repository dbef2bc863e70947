'use strict';
// The files of modules that one context loads: their ids, their kinds, and their compiled code. Compiled code belongs
// to the file's tree, and outlives the call if the tree does.

const { posix } = require('node:path');
const { exportNames, reexports } = require('./commonjs-exports.js');
const { Unresolved, scope } = require('./resolve.js');
const { EsSource, commonJS, compilesAsModule, stripTypes } = require('./source.js');

const TYPESCRIPT = /\.[cm]?ts$/;

// The id of a module is `node:NAME` for a built-in, else the path that the module sees as its __filename. A place is a
// file in a tree: {tree, path}.
const idOf = ({ tree, path: file }) => `${tree.mount}/${file}`;

class ModuleFiles {
  #packages;
  #resolver;
  #imports;
  #places = new Map(); // id → place
  addOn; // the refusal of the last native add-on

  // imports.currentLoader() is the loader of the call that runs when compiled code comes to an `import()`.
  constructor({ packages, resolver, imports }) {
    this.#packages = packages;
    this.#resolver = resolver;
    this.#imports = imports;
  }

  // register returns the id of a place.
  register(place) {
    const id = idOf(place);
    if (!this.#places.has(id)) this.#places.set(id, place);
    return id;
  }

  // find returns the id of the module that a specifier means in the module `from`. how is 'require' or 'import'. It
  // throws Unresolved.
  find(specifier, from, how) {
    const place = this.#places.get(from) ?? this.#packagePlace(from);
    const found = this.#resolver.resolve(specifier, place, how);
    return found.builtIn === undefined ? this.register(found) : `node:${found.builtIn}`;
  }

  // #packagePlace returns the place of a path that a package made up (createRequire).
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

  // kind returns 'json', 'module' or 'commonjs'. As in Node, the extension decides, then package.json, then the source.
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
    return this.#kindOfSource(id);
  }

  // #entry returns {source} of a file, to which its compiled code is added.
  #entry(id) {
    const { tree, path: file } = this.#places.get(id);
    let entry = tree.compiled.get(file);
    if (entry === undefined) {
      const source = tree.read(file);
      entry = { source: TYPESCRIPT.test(file) ? stripTypes(source, tree.display(file)) : source };
      tree.compiled.set(file, entry);
    }
    return entry;
  }

  // #commonJS returns the entry of a file with its code compiled as CommonJS: {script} or {error}.
  #commonJS(id) {
    const { tree, path: file } = this.#places.get(id);
    const entry = this.#entry(id);
    const imports = this.#imports;
    if (entry.script === undefined && entry.error === undefined) {
      try {
        entry.script = commonJS(entry.source, tree.display(file), { own: tree.own, importing: (specifier) => imports.currentLoader().import(specifier, id) });
      } catch (error) {
        entry.error = error;
      }
    }
    return entry;
  }

  #kindOfSource(id) {
    const entry = this.#commonJS(id);
    entry.kind ??= entry.error !== undefined && compilesAsModule(entry.source) ? 'module' : 'commonjs';
    return entry.kind;
  }

  // body returns {json: text}, or {script} with the body of a CommonJS module. It throws if the source does not parse.
  body(id) {
    const { tree, path: file } = this.#places.get(id);
    if (posix.extname(file) === '.json') return { json: tree.read(file).replace(/^\uFEFF/, '') };
    const { script, error } = this.#commonJS(id);
    if (script === undefined) throw error;
    return { script };
  }

  esSource(id) {
    const { tree, path: file } = this.#places.get(id);
    const entry = this.#entry(id);
    entry.es ??= new EsSource(entry.source, tree.display(file), { withProcess: !tree.own });
    return entry.es;
  }

  // exportNames lists the names that an importer of a CommonJS module may use.
  exportNames(id, seen = new Set()) {
    if (seen.has(id) || id.startsWith('node:') || this.kind(id) !== 'commonjs') return [];
    seen.add(id);
    const entry = this.#entry(id);
    entry.names ??= new Set([...exportNames(entry.source), ...reexports(entry.source).flatMap((specifier) => {
      try {
        return [...this.exportNames(this.find(specifier, id, 'require'), seen)];
      } catch {
        return []; // `require` throws, if the module is ever evaluated
      }
    })]);
    return entry.names;
  }
}

module.exports = { ModuleFiles };
