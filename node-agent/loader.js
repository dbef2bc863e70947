'use strict';
// The modules of one call: which there are, and how they are made, linked and evaluated in its context.
// CommonJS modules live in the context (realm-modules.js); ES modules are V8's own, made through node:vm.

const fs = require('node:fs');
const http = require('node:http');
const { builtinModules, isBuiltin } = require('node:module');
const path = require('node:path');
const url = require('node:url');
const vm = require('node:vm');
const { NOT_LISTED } = require('./modules.js');
const { Unresolved, scope } = require('./resolve.js');
const { EsSource, commonJS, compilesAsModule, exportNames, reexports, stripTypes } = require('./source.js');

const { posix } = path;
const bootstrap = new vm.Script(fs.readFileSync(path.join(__dirname, 'realm-modules.js'), 'utf8'), { filename: 'jsd:modules' });
const TYPESCRIPT = /\.[cm]?ts$/;
const EMPTY = Object.freeze({ own: true, mount: '/script', isFile: () => false, isFolder: () => false, compiled: new Map(), display: (file) => file });

// A place is a file in a tree; its id tells the trees apart.
const idOf = ({ tree, path: file }) => `${tree.mount}/${file}`;

// isAgents says whether an error is the agent's own or Node's on its behalf, not one that a script threw.
const isAgents = (error) => error instanceof Unresolved || /^ERR_(?:INVALID|UNSUPPORTED)_TYPESCRIPT/.test(error?.code);

// Loader is made anew for each call that loads modules. folder is what came with the call, if anything did.
class Loader {
  #context;
  #run;
  #modules; // the host's, see modules.js
  #packages;
  #resolver;
  #folder;
  #realm;
  #addOn; // why the last native add-on was refused
  #places = new Map(); // id → {tree, path}
  #instances = new Map(); // id → vm.Module

  constructor({ context, run, modules, packages, resolver, folder = EMPTY }) {
    this.#context = context;
    this.#run = run;
    this.#modules = modules;
    this.#packages = packages;
    this.#resolver = resolver;
    this.#folder = folder;
    this.root = this.#remember({ tree: folder, path: 'script.js' });
  }

  // require is the script's own, for what is no plain built-in.
  require(specifier) {
    return this.#inRealm().require(specifier);
  }

  // evaluateEntry loads a file of the folder and gives what it exports: {instance}, a promise of an ES module, or
  // {exports} of anything else.
  evaluateEntry(file) {
    const id = this.#remember({ tree: this.#folder, path: file });
    const kind = this.#kind(id);
    if (kind !== 'module') return { exports: this.#inRealm().load({ id, kind, ...this.#about(id) }) };
    return { instance: this.#evaluate(this.#linked(id)) };
  }

  // evaluateSource is the same for an ES module that is no file.
  evaluateSource(source) {
    const instance = source.instance(this.#hooks(this.root));
    this.#instances.set(this.root, instance);
    this.#link(instance, this.root);
    instance.instantiate();
    return this.#evaluate(instance);
  }

  // import is what `import()` does, in the file known by that id. Its errors are the context's own.
  async import(specifier, from) {
    try {
      const instance = this.#linked(this.#importing(`${specifier}`, from));
      await instance.evaluate();
      return instance;
    } catch (error) {
      throw isAgents(error) ? this.#inRealm().refusal({ name: error.name, message: error.message, code: error.code }) : error;
    }
  }

  importFromScript(specifier) {
    return this.import(specifier, this.root);
  }

  #inRealm() {
    this.#realm ??= bootstrap.runInContext(this.#context.global)(this.#host());
    return this.#realm;
  }

  #remember(place) {
    const id = idOf(place);
    if (!this.#places.has(id)) this.#places.set(id, place);
    return id;
  }

  // #host is what realm-modules.js asks. None of it throws; only data and objects of the context go in.
  #host() {
    const packageFile = (name) => {
      let file = name;
      if (name.startsWith('file:')) file = url.fileURLToPath(name);
      file = posix.normalize(file);
      return file.startsWith(`${this.#packages.mount}/`) ? this.#packages.real(file.slice(this.#packages.mount.length + 1)) : undefined;
    };
    return {
      root: this.root,
      version: process.version,
      now: () => performance.now(),
      print: (level, args) => this.#run.print(level, args),
      httpNames: () => JSON.stringify({ methods: http.METHODS, statuses: http.STATUS_CODES }),
      builtInNames: () => JSON.stringify(builtinModules),
      isBuiltIn: (name) => isBuiltin(name),
      buffer: (text) => this.#context.host.borrow('Buffer').from(text),
      readPackageFile: (name) => { const file = packageFile(name); return file === undefined ? undefined : this.#packages.read(file); },
      packageFileKind: (name) => {
        const file = packageFile(name);
        if (file === undefined) return 'none';
        return this.#packages.isFile(file) ? 'file' : this.#packages.isFolder(file) ? 'folder' : 'none';
      },
      idOf: (name) => (name.startsWith('file:') ? url.fileURLToPath(name) : name),
      find: (specifier, from) => this.#answer(specifier, from),
      source: (id) => this.#body(id),
      refusedAddOn: () => this.#addOn && { name: 'Error', message: this.#addOn.message, code: this.#addOn.code },
      importNow: (id) => this.#importNow(id),
    };
  }

  // #answer is what `require` finds. What cannot be found is data too: the context makes the error.
  #answer(specifier, from) {
    try {
      const id = this.#find(specifier, from, 'require');
      if (id.startsWith('node:')) return this.#builtIn(id.slice(5), from);
      return { id, kind: this.#kind(id), ...this.#about(id) };
    } catch (error) {
      return { refused: { name: error.name, message: error.message, code: error.code } };
    }
  }

  #about(id) {
    const { tree, path: file } = this.#places.get(id);
    return { filename: id, dirname: posix.dirname(id), display: tree.display(file), own: tree.own };
  }

  // #find gives the id of what a specifier means: `node:NAME` for a built-in, else that of a file.
  #find(specifier, from, how) {
    const place = this.#places.get(from) ?? { tree: this.#packages, path: from.slice(this.#packages.mount.length + 1) };
    const found = this.#resolver.resolve(specifier, place, how);
    return found.builtIn === undefined ? this.#remember(found) : `node:${found.builtIn}`;
  }

  // #builtIn gives {builtIn, module}; without a module a package gets one of the context's making.
  #builtIn(name, from) {
    const found = this.#context.realm.builtIn(name);
    if (found.refused === undefined) return { builtIn: name, module: found.module };
    if (this.#places.get(from)?.tree.own !== false) return { refused: { name: 'Error', message: found.refused, code: 'MODULE_NOT_FOUND' } };
    if (name === 'async_hooks') return { builtIn: name, module: this.#modules.asyncHooks() };
    return { builtIn: name };
  }

  // #kind judges a file as Node does: by its extension, by its package.json, by what it is made of.
  #kind(id) {
    const { tree, path: file } = this.#places.get(id);
    const extension = posix.extname(file);
    if (extension === '.json') return 'json';
    if (extension === '.node') {
      this.#addOn = new Unresolved(tree.display(file), 'it is a native add-on, which scripts may not load', 'ERR_DLOPEN_DISABLED');
      throw this.#addOn;
    }
    if (extension === '.mjs' || extension === '.mts') return 'module';
    if (extension === '.cjs' || extension === '.cts') return 'commonjs';
    const { type } = scope(tree, file)?.content ?? {};
    if (type === 'module') return 'module';
    if (type === 'commonjs') return 'commonjs';
    return this.#compile(id).kind;
  }

  // #compile gives {kind, source, script?, es?}, kept as long as the tree is. Without a verdict of #kind it
  // finds out which of the two a source is.
  #compile(id) {
    const { tree, path: file } = this.#places.get(id);
    let entry = tree.compiled.get(file);
    if (entry === undefined) {
      let source = tree.read(file);
      if (TYPESCRIPT.test(file)) source = stripTypes(source);
      entry = { source, kind: 'commonjs' };
      try {
        entry.script = this.#commonJS(id, source);
      } catch (error) {
        entry.error = error;
        if (compilesAsModule(source)) entry.kind = 'module';
      }
      tree.compiled.set(file, entry);
    }
    return entry;
  }

  #commonJS(id, source) {
    const { tree, path: file } = this.#places.get(id);
    // The compiled script outlives this call, and so this loader.
    const { imports } = this.#run;
    return commonJS(source, tree.display(file), (specifier) => imports.current().import(specifier, id));
  }

  // #body is what require runs: {json: text}, {body: function of the context} or {error}.
  #body(id) {
    const { tree, path: file } = this.#places.get(id);
    try {
      if (posix.extname(file) === '.json') return { json: tree.read(file).replace(/^\uFEFF/, '') };
      const entry = this.#compile(id);
      if (entry.script === undefined) return { error: entry.error };
      return { body: this.#context.evaluate(entry.script) };
    } catch (error) {
      return { error };
    }
  }

  // #importNow is require of an ES module: possible where nothing in its graph awaits.
  #importNow(id) {
    const instance = this.#linked(id);
    if (instance.status === 'linked' && instance.hasAsyncGraph()) {
      throw this.#inRealm().refusal({ name: 'Error', message: `require() of ${this.#about(id).display} is not possible: it has await at its top level. Use import()`, code: 'ERR_REQUIRE_ASYNC_MODULE' });
    }
    instance.evaluate().catch(() => {});
    if (instance.status === 'errored') throw instance.error;
    const { namespace } = instance;
    return 'module.exports' in namespace ? namespace['module.exports'] : namespace;
  }

  // #evaluate gives the instance, since a promise of a namespace with an export `then` would call that.
  async #evaluate(instance) {
    await instance.evaluate();
    return instance;
  }

  // #linked gives a module that is ready to be evaluated, with all it imports.
  #linked(id) {
    const instance = this.#instance(id);
    if (instance.status === 'unlinked' || instance.status === 'linking') instance.instantiate();
    return instance;
  }

  // #importing gives the id of what an import means, and judges built-ins: a package may have those that
  // scripts may not, of a kind.
  #importing(specifier, from) {
    const id = this.#find(specifier, from, 'import');
    if (!id.startsWith('node:')) return id;
    const found = this.#builtIn(id.slice(5), from);
    if (found.refused !== undefined) throw new Unresolved(specifier, NOT_LISTED);
    if (!this.#instances.has(id)) this.#instances.set(id, this.#synthetic(id, Object.keys(require(id)), () => this.#inRealm().load(found)));
    return id;
  }

  #instance(id) {
    let instance = this.#instances.get(id);
    if (instance !== undefined) return instance;
    const kind = this.#kind(id);
    if (kind === 'module') {
      instance = this.#esSource(id).instance(this.#hooks(id));
      this.#instances.set(id, instance); // before its imports, which may come back to it
      this.#link(instance, id);
    } else {
      const names = kind === 'json' ? [] : [...this.#exportNames(id, new Set())];
      instance = this.#synthetic(id, names, () => this.#inRealm().load({ id, kind, ...this.#about(id) }));
      this.#instances.set(id, instance);
    }
    return instance;
  }

  #link(instance, id) {
    instance.linkRequests(instance.moduleRequests.map(({ specifier }) => this.#instance(this.#importing(specifier, id))));
  }

  #esSource(id) {
    const { tree } = this.#places.get(id);
    const entry = this.#compile(id);
    entry.es ??= new EsSource(entry.source, this.#about(id).display, { withProcess: !tree.own });
    return entry.es;
  }

  #hooks(id) {
    return {
      context: this.#context.global,
      importModuleDynamically: (specifier) => this.import(specifier, id),
      initializeImportMeta: (meta) => {
        meta.dirname = posix.dirname(id);
        meta.filename = id;
        meta.url = url.pathToFileURL(id).href;
      },
    };
  }

  // #synthetic makes an ES module of something that is none.
  #synthetic(id, names, load) {
    const listed = [...new Set(['default', ...names])];
    return new vm.SyntheticModule(listed, function evaluate() {
      const exports = load();
      for (const name of listed) if (name !== 'default') this.setExport(name, exports?.[name]);
      this.setExport('default', exports);
    }, { context: this.#context.global, identifier: id });
  }

  #exportNames(id, seen) {
    if (seen.has(id) || id.startsWith('node:')) return [];
    seen.add(id);
    const entry = this.#compile(id);
    entry.names ??= new Set([...exportNames(entry.source), ...reexports(entry.source).flatMap((specifier) => {
      try {
        return [...this.#exportNames(this.#find(specifier, id, 'require'), seen)];
      } catch {
        return []; // it will say so itself, if it is ever asked for
      }
    })]);
    return entry.names;
  }
}

module.exports = { Loader };
