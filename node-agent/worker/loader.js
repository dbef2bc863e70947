'use strict';
// Loads the modules of one context: finds, links and evaluates them. CommonJS modules are evaluated by realm-modules.js
// inside of the context. ES modules are V8's own, made through node:vm.
//
//   evaluateEntry, evaluateSource, import      from the worker and from `import()`
//     #linked ─► #instance ─► #link              makes an ES module, with the modules that it imports
//       #synthetic                               makes an ES module of a built-in, CommonJS or JSON module
//   bridge.find, .source, .importNow           from `require` in realm-modules.js
//     ModuleFiles                                module-files.js: which file a specifier means, and its compiled code

const fs = require('node:fs');
const http = require('node:http');
const { builtinModules, isBuiltin } = require('node:module');
const path = require('node:path');
const url = require('node:url');
const vm = require('node:vm');
const { ModuleFiles } = require('./module-files.js');
const { Unresolved } = require('./resolve.js');
const { EsSource } = require('./source.js');
const { ownFrames } = require('./thrown.js');

const { posix } = path;
const realmScript = new vm.Script(fs.readFileSync(path.join(__dirname, 'realm-modules.js'), 'utf8'), { filename: 'jsd:modules' });
const NO_SOURCES = Object.freeze({ own: true, mount: '/script', isFile: () => false, isDirectory: () => false, compiled: new Map(), display: (file) => file });

// isForeign says whether an error is of the worker's realm. A script gets an error of its own realm in its place.
const isForeign = (error) => error instanceof Error;
const dataOf = ({ name, message, code, stack }) => ({ name, message, code, stack: name === 'SyntaxError' ? ownFrames(stack) : undefined });

// member returns the value of a property, undefined if its getter throws.
function member(exports, name) {
  try {
    return exports?.[name];
  } catch {
    return undefined;
  }
}

// MARKED re-exports an ES module with __esModule: true. `require` of a module with a default export returns that, since
// compiled code tells the two kinds of modules apart by this export.
const MARKED = new EsSource('export * from "it"; export { default } from "it"; export const __esModule = true;', 'jsd:marked');

class Loader {
  #context;
  #allowed;
  #builtIns;
  #packages;
  #files;
  #tree;
  #realm;
  #instances = new Map(); // id → vm.Module

  // tree is the sources that came with the call, if any did. The others are the worker's services; see Call.
  constructor({ context, allowed, builtIns, packages, resolver, imports, tree = NO_SOURCES }) {
    this.#context = context;
    this.#allowed = allowed;
    this.#builtIns = builtIns;
    this.#packages = packages;
    this.#files = new ModuleFiles({ packages, resolver, imports });
    this.#tree = tree;
    this.root = this.#files.register({ tree, path: 'script.js' });
  }

  // require is `require` of the script, for anything but a built-in.
  require(specifier) {
    return this.#inRealm().require(specifier);
  }

  // evaluateEntry evaluates a file of the tree. It returns {instance}, a promise of an ES module, or {exports} of any
  // other module.
  evaluateEntry(file) {
    if (!this.#tree.isFile(file)) throw new Unresolved(`${file}`, 'there is no such file in the folder');
    const id = this.#files.register({ tree: this.#tree, path: file });
    const kind = this.#files.kind(id);
    if (kind !== 'module') return { exports: this.#inRealm().load({ id, kind, ...this.#files.about(id) }) };
    return { instance: this.#evaluate(this.#linked(id)) };
  }

  // evaluateSource evaluates an ES module that is no file, and returns a promise of it. onLinked(namespace) is called
  // before it is evaluated.
  evaluateSource(source, onLinked) {
    const instance = source.instance(this.#hooks(this.root));
    this.#instances.set(this.root, instance);
    this.#link(instance, this.root);
    instance.instantiate();
    onLinked?.(instance.namespace);
    return this.#evaluate(instance);
  }

  // import does what `import()` in the module `from` asks for. Its errors are of the context's realm.
  async import(specifier, from) {
    try {
      const wanted = `${specifier}`;
      await undefined; // the module that imports goes on first
      if (this.#context.bridge.call?.isCompleted !== false) throw new Unresolved(wanted, 'the call has ended');
      const instance = this.#linked(this.#importing(wanted, from));
      await instance.evaluate();
      return instance;
    } catch (error) {
      throw this.#localError(error);
    }
  }

  // #localError returns an error of the context's realm for one of the worker's realm.
  #localError(error) {
    return isForeign(error) ? this.#inRealm().refusal(dataOf(error)) : error;
  }

  importFromScript(specifier) {
    return this.import(specifier, this.root);
  }

  #inRealm() {
    this.#realm ??= realmScript.runInContext(this.#context.global)(this.#bridge(), this.#context.realm.intrinsics);
    return this.#realm;
  }

  // #bridge is the bridge between realm-modules.js and the worker. Its functions never throw, and return only data and
  // objects of the context. But importNow throws, what the module throws.
  #bridge() {
    const pathOf = (name) => {
      try {
        return name.startsWith('file:') ? url.fileURLToPath(name) : name;
      } catch {
        return ''; // of no file
      }
    };
    const packageFile = (name) => {
      const file = posix.normalize(pathOf(name));
      return file.startsWith(`${this.#packages.mount}/`) ? this.#packages.real(file.slice(this.#packages.mount.length + 1)) : undefined;
    };
    return {
      root: this.root,
      version: process.version,
      now: () => performance.now(),
      print: (level, args) => this.#context.bridge.print(level, args),
      httpNames: () => JSON.stringify({ methods: http.METHODS, statuses: http.STATUS_CODES }),
      builtInNames: () => JSON.stringify(builtinModules),
      isBuiltIn: (name) => isBuiltin(name),
      refusal: (name) => this.#allowed.refusal(name),
      buffer: (text) => this.#context.bridge.builtInGlobal('Buffer').from(text),
      readPackageFile: (name) => { const file = packageFile(name); return file === undefined ? undefined : this.#packages.read(file); },
      packageFileKind: (name) => {
        const file = packageFile(name);
        if (file === undefined) return 'none';
        return this.#packages.isFile(file) ? 'file' : this.#packages.isDirectory(file) ? 'directory' : 'none';
      },
      idOf: (name) => posix.normalize(pathOf(name)),
      urlOf: (specifier, from) => this.#url(specifier, from),
      find: (specifier, from) => this.#find(specifier, from),
      source: (id) => this.#body(id),
      refusedAddOn: () => this.#files.addOn && { name: 'Error', message: this.#files.addOn.message, code: this.#files.addOn.code },
      importNow: (id) => this.#importNow(id),
    };
  }

  // #find finds the module that `require` means: {id, kind, …}, {builtIn, module} or {refused}. The context makes the
  // error of a refusal.
  #find(specifier, from) {
    try {
      const id = this.#files.find(specifier, from, 'require');
      if (id.startsWith('node:')) return this.#builtIn(id.slice(5), from);
      return { id, kind: this.#files.kind(id), ...this.#files.about(id) };
    } catch (error) {
      return { refused: dataOf(error) };
    }
  }

  // #url finds the URL that import.meta.resolve returns: {url} or {refused}.
  #url(specifier, from) {
    try {
      const id = this.#files.find(specifier, from, 'import');
      return { url: id.startsWith('node:') ? id : url.pathToFileURL(id).href };
    } catch (error) {
      return { refused: dataOf(error) };
    }
  }

  // #builtIn returns {builtIn, module} or {refused}. For the code of a package, module may be missing: then
  // realm-modules.js makes one.
  #builtIn(name, from) {
    const found = this.#context.realm.builtIn(name);
    if (found.refused === undefined) return { builtIn: name, module: found.module };
    if (this.#files.isOwn(from)) return { refused: { name: 'Error', message: found.refused, code: 'MODULE_NOT_FOUND' } };
    if (name === 'async_hooks') return { builtIn: name, module: this.#builtIns.asyncHooks() };
    return { builtIn: name };
  }

  // #body returns what `require` evaluates: {json: text}, {body: function of the context}, {refused} or {error}.
  #body(id) {
    try {
      const { json, script } = this.#files.body(id);
      return json === undefined ? { body: this.#context.evaluate(script) } : { json };
    } catch (error) {
      return isForeign(error) ? { refused: dataOf(error) } : { error };
    }
  }

  // #importNow is `require` of an ES module. It is possible if no module in its graph has await at its top level.
  #importNow(id) {
    try {
      return this.#evaluatedNow(id);
    } catch (error) {
      throw this.#localError(error);
    }
  }

  #evaluatedNow(id) {
    const instance = this.#linked(id);
    if (instance.status === 'linked' && instance.hasAsyncGraph()) {
      throw this.#inRealm().refusal({ name: 'Error', message: `require() of ${this.#files.about(id).display} is not possible: it has await at its top level. Use import()`, code: 'ERR_REQUIRE_ASYNC_MODULE' });
    }
    instance.evaluate().catch(() => {});
    if (instance.status === 'errored') throw instance.error;
    const { namespace } = instance;
    if ('module.exports' in namespace) return namespace['module.exports'];
    return 'default' in namespace && !('__esModule' in namespace) ? this.#marked(id, instance) : namespace;
  }

  #marked(id, instance) {
    const key = `marked ${id}`;
    let marked = this.#instances.get(key);
    if (marked === undefined) {
      marked = MARKED.instance({ context: this.#context.global });
      marked.linkRequests(marked.moduleRequests.map(() => instance));
      marked.instantiate();
      marked.evaluate().catch(() => {});
      this.#instances.set(key, marked);
    }
    return marked.namespace;
  }

  // #evaluate returns a promise of the instance: one of the namespace would call an export named `then`.
  async #evaluate(instance) {
    await instance.evaluate();
    return instance;
  }

  // #linked returns a module that is ready to be evaluated, with all that it imports.
  #linked(id) {
    const before = new Set(this.#instances.keys());
    try {
      const instance = this.#instance(id);
      if (instance.status === 'unlinked' || instance.status === 'linking') instance.instantiate();
      return instance;
    } catch (error) {
      // Half a graph is of no use. A second import gets the same error.
      for (const added of this.#instances.keys()) if (!before.has(added)) this.#instances.delete(added);
      throw error;
    }
  }

  // #importing returns the id of the module that an import means. A built-in that is not allowed is refused to a script;
  // the code of a package gets a stand-in.
  #importing(specifier, from) {
    const id = this.#files.find(specifier, from, 'import');
    if (!id.startsWith('node:')) return id;
    const found = this.#builtIn(id.slice(5), from);
    if (found.refused !== undefined) throw new Unresolved(specifier, this.#allowed.refusal(id.slice(5)));
    if (!this.#instances.has(id)) this.#instances.set(id, this.#synthetic(id, Object.keys(require(id)), () => this.#inRealm().load(found)));
    return id;
  }

  #instance(id) {
    let instance = this.#instances.get(id);
    if (instance !== undefined) return instance;
    const kind = this.#files.kind(id);
    if (kind === 'module') {
      instance = this.#files.esSource(id).instance(this.#hooks(id));
      this.#instances.set(id, instance); // before its imports, which may come back to it
      this.#link(instance, id);
    } else {
      const names = kind === 'json' ? [] : [...this.#files.exportNames(id)];
      instance = this.#synthetic(id, names, () => this.#inRealm().load({ id, kind, ...this.#files.about(id) }));
      this.#instances.set(id, instance);
    }
    return instance;
  }

  #link(instance, id) {
    instance.linkRequests(instance.moduleRequests.map(({ specifier }) => this.#instance(this.#importing(specifier, id))));
  }

  #hooks(id) {
    return {
      context: this.#context.global,
      importModuleDynamically: (specifier) => this.import(specifier, id),
      initializeImportMeta: (meta) => {
        meta.dirname = posix.dirname(id);
        meta.filename = id;
        meta.resolve = this.#inRealm().resolver(id);
        meta.url = url.pathToFileURL(id).href;
      },
    };
  }

  // #synthetic returns an ES module whose exports are those of a module that is none.
  #synthetic(id, names, load) {
    const listed = [...new Set(['default', ...names])];
    return new vm.SyntheticModule(listed, function evaluate() {
      const exports = load();
      for (const name of listed) if (name !== 'default') this.setExport(name, member(exports, name));
      this.setExport('default', exports);
    }, { context: this.#context.global, identifier: id });
  }
}

module.exports = { Loader };
