'use strict';
// The modules of one call: which there are, and how they are made, linked and evaluated in its context.
// CommonJS modules live in the context (realm-modules.js); ES modules are V8's own, made through node:vm.

const fs = require('node:fs');
const http = require('node:http');
const { builtinModules, isBuiltin } = require('node:module');
const path = require('node:path');
const url = require('node:url');
const vm = require('node:vm');
const { ownFrames } = require('../shared/failures.js');
const { ModuleFiles } = require('./module-files.js');
const { Unresolved } = require('./resolve.js');
const { EsSource } = require('./source.js');

const { posix } = path;
const bootstrap = new vm.Script(fs.readFileSync(path.join(__dirname, 'realm-modules.js'), 'utf8'), { filename: 'jsd:modules' });
const EMPTY = Object.freeze({ own: true, mount: '/script', isFile: () => false, isFolder: () => false, compiled: new Map(), display: (file) => file });

// isAgents says whether an error is of the worker's realm: such become the context's own before a script
// sees them.
const isAgents = (error) => error instanceof Error;
const dataOf = ({ name, message, code, stack }) => ({ name, message, code, stack: name === 'SyntaxError' ? ownFrames(stack) : undefined });

// member is what a property gives, undefined where a getter throws.
function member(exports, name) {
  try {
    return exports?.[name];
  } catch {
    return undefined;
  }
}

// A require of an ES module gives what import gives, marked as such where it has a default export, for those
// who tell the two kinds apart by that.
const MARKED = new EsSource('export * from "it"; export { default } from "it"; export const __esModule = true;', 'jsd:marked');

// Loader is made anew for each context in which modules are loaded. folder is what came with the call, if
// anything did.
class Loader {
  #context;
  #modules; // the host's, see modules.js
  #packages;
  #files;
  #folder;
  #realm;
  #instances = new Map(); // id → vm.Module

  constructor({ context, modules, packages, resolver, imports, folder = EMPTY }) {
    this.#context = context;
    this.#modules = modules;
    this.#packages = packages;
    this.#files = new ModuleFiles({ packages, resolver, imports });
    this.#folder = folder;
    this.root = this.#files.remember({ tree: folder, path: 'script.js' });
  }

  // require is the script's own, for what is no plain built-in.
  require(specifier) {
    return this.#inRealm().require(specifier);
  }

  // evaluateEntry loads a file of the folder and gives what it exports: {instance}, a promise of an ES module, or
  // {exports} of anything else.
  evaluateEntry(file) {
    if (!this.#folder.isFile(file)) throw new Unresolved(`${file}`, 'there is no such file in the folder');
    const id = this.#files.remember({ tree: this.#folder, path: file });
    const kind = this.#files.kind(id);
    if (kind !== 'module') return { exports: this.#inRealm().load({ id, kind, ...this.#files.about(id) }) };
    return { instance: this.#evaluate(this.#linked(id)) };
  }

  // evaluateSource is the same for an ES module that is no file. linked(namespace) is called before it runs.
  evaluateSource(source, linked) {
    const instance = source.instance(this.#hooks(this.root));
    this.#instances.set(this.root, instance);
    this.#link(instance, this.root);
    instance.instantiate();
    linked?.(instance.namespace);
    return this.#evaluate(instance);
  }

  // import is what `import()` does, in the file known by that id. Its errors are the context's own.
  async import(specifier, from) {
    try {
      const wanted = `${specifier}`;
      await undefined; // the module that imports goes on first
      if (this.#context.host.run?.settled !== false) throw new Unresolved(wanted, 'the call has ended');
      const instance = this.#linked(this.#importing(wanted, from));
      await instance.evaluate();
      return instance;
    } catch (error) {
      throw this.#own(error);
    }
  }

  // #own gives a script its realm's error for one of the worker's.
  #own(error) {
    return isAgents(error) ? this.#inRealm().refusal(dataOf(error)) : error;
  }

  importFromScript(specifier) {
    return this.import(specifier, this.root);
  }

  #inRealm() {
    this.#realm ??= bootstrap.runInContext(this.#context.global)(this.#host(), this.#context.realm.intrinsics);
    return this.#realm;
  }

  // #host is what realm-modules.js asks. None of it throws; only data and objects of the context go in.
  #host() {
    const pathOf = (name) => {
      try {
        return name.startsWith('file:') ? url.fileURLToPath(name) : name;
      } catch {
        return ''; // no path of a file, so that of none
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
      print: (level, args) => this.#context.host.print(level, args),
      httpNames: () => JSON.stringify({ methods: http.METHODS, statuses: http.STATUS_CODES }),
      builtInNames: () => JSON.stringify(builtinModules),
      isBuiltIn: (name) => isBuiltin(name),
      refusal: (name) => this.#modules.refusal(name),
      buffer: (text) => this.#context.host.borrow('Buffer').from(text),
      readPackageFile: (name) => { const file = packageFile(name); return file === undefined ? undefined : this.#packages.read(file); },
      packageFileKind: (name) => {
        const file = packageFile(name);
        if (file === undefined) return 'none';
        return this.#packages.isFile(file) ? 'file' : this.#packages.isFolder(file) ? 'folder' : 'none';
      },
      idOf: (name) => posix.normalize(pathOf(name)),
      urlOf: (specifier, from) => this.#url(specifier, from),
      find: (specifier, from) => this.#answer(specifier, from),
      source: (id) => this.#body(id),
      refusedAddOn: () => this.#files.addOn && { name: 'Error', message: this.#files.addOn.message, code: this.#files.addOn.code },
      importNow: (id) => this.#importNow(id),
    };
  }

  // #answer is what `require` finds. What cannot be found is data too: the context makes the error.
  #answer(specifier, from) {
    try {
      const id = this.#files.find(specifier, from, 'require');
      if (id.startsWith('node:')) return this.#builtIn(id.slice(5), from);
      return { id, kind: this.#files.kind(id), ...this.#files.about(id) };
    } catch (error) {
      return { refused: dataOf(error) };
    }
  }

  // #url is what import.meta.resolve gives: {url} or {refused}.
  #url(specifier, from) {
    try {
      const id = this.#files.find(specifier, from, 'import');
      return { url: id.startsWith('node:') ? id : url.pathToFileURL(id).href };
    } catch (error) {
      return { refused: dataOf(error) };
    }
  }

  // #builtIn gives {builtIn, module}; without a module a package gets one of the context's making.
  #builtIn(name, from) {
    const found = this.#context.realm.builtIn(name);
    if (found.refused === undefined) return { builtIn: name, module: found.module };
    if (this.#files.isOwn(from)) return { refused: { name: 'Error', message: found.refused, code: 'MODULE_NOT_FOUND' } };
    if (name === 'async_hooks') return { builtIn: name, module: this.#modules.asyncHooks() };
    return { builtIn: name };
  }

  // #body is what require runs: {json: text}, {body: function of the context}, {refused} or {error}.
  #body(id) {
    try {
      const { json, script } = this.#files.body(id);
      return json === undefined ? { body: this.#context.evaluate(script) } : { json };
    } catch (error) {
      return isAgents(error) ? { refused: dataOf(error) } : { error };
    }
  }

  // #importNow is require of an ES module: possible where nothing in its graph awaits.
  #importNow(id) {
    try {
      return this.#evaluatedNow(id);
    } catch (error) {
      throw this.#own(error);
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

  // #evaluate gives the instance, since a promise of a namespace with an export `then` would call that.
  async #evaluate(instance) {
    await instance.evaluate();
    return instance;
  }

  // #linked gives a module that is ready to be evaluated, with all it imports.
  #linked(id) {
    const before = new Set(this.#instances.keys());
    try {
      const instance = this.#instance(id);
      if (instance.status === 'unlinked' || instance.status === 'linking') instance.instantiate();
      return instance;
    } catch (error) {
      // Half a graph is of no use: who imports it again gets the same error.
      for (const made of this.#instances.keys()) if (!before.has(made)) this.#instances.delete(made);
      throw error;
    }
  }

  // #importing gives the id of what an import means, and judges built-ins: a package may have those that
  // scripts may not, of a kind.
  #importing(specifier, from) {
    const id = this.#files.find(specifier, from, 'import');
    if (!id.startsWith('node:')) return id;
    const found = this.#builtIn(id.slice(5), from);
    if (found.refused !== undefined) throw new Unresolved(specifier, this.#modules.refusal(id.slice(5)));
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

  // #synthetic makes an ES module of something that is none.
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
