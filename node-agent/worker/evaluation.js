'use strict';
// Evaluates the script of a call in its context, up to the value, or up to the function that `call` names.
//
//   Evaluation.run            parses the script, sets its globals, and evaluates one of:
//     #runEntry                 `file` of a source tree
//     #runCode                  `code`, a script or an ES module
//     #resume                   nothing: a call in a session may only name a function
//       #onEvaluated              a module's exports are there
//     #finish                   chooses what to do with the value found:
//       realm.complete            completes the call with the value, awaited
//       realm.invoke              calls the value by `caller`, or by the default caller
//
// The call that opens a session ends when its script is evaluated.

const util = require('node:util');
const { withoutEnd } = require('./last-expression.js');
const { CALLEE, IDENTIFIER, NAMES } = require('./names.js');
const { SourceTree } = require('./source-tree.js');

class Evaluation {
  #call;
  #context;
  #scripts;
  #isOpening = false; // the call opens a session

  // call is what the script's value, or what it throws, goes to.
  constructor(call, context, scripts) {
    this.#call = call;
    this.#context = context;
    this.#scripts = scripts;
  }

  // run starts the evaluation. body is the JSON text of the script, tree the bundle that it names, if it names one.
  // stats, callbacks and open are those of the daemon's header.
  run(body, tree, { stats, callbacks, open } = {}) {
    const context = this.#context;
    const { realm } = context;
    this.#isOpening = open !== undefined;
    try {
      const script = realm.parse(body);
      if (this.#isOpening) context.session = { language: script.language, module: undefined };
      if (script.globals) realm.setGlobals(script.globals);
      if (script.secrets) realm.setGlobals({ secrets: script.secrets });
      if (callbacks !== undefined || context.session !== undefined) realm.setCallbacks(callbacks);
      const sources = tree ?? (script.files && new SourceTree().add(script.files));
      this.#call.start(stats);
      if (sources !== undefined) this.#runEntry(sources, script);
      else if (script.code === undefined && context.session !== undefined) this.#resume(script);
      else this.#runCode(script);
    } catch (error) {
      this.#call.fail(error);
    }
  }

  #runEntry(tree, script) {
    this.#context.tree = tree;
    const { exports, instance } = this.#call.loader.evaluateEntry(script.file);
    if (instance === undefined) this.#onEvaluated({ exports, isValue: false }, script);
    else this.#await(instance, script, false);
  }

  #runCode(script) {
    const { session } = this.#context;
    const code = this.#scripts.code(script.code, session?.language ?? script.language, script.call, session !== undefined);
    if (code.script !== undefined) {
      const completion = this.#context.evaluate(code.script);
      return this.#finish(script, script.call === undefined ? completion : this.#named(script.call), true);
    }
    if (session === undefined) return this.#await(this.#call.loader.evaluateSource(code.es), script, code.isValue);
    let copyNames;
    const instance = this.#call.loader.evaluateSource(code.es, (namespace) => { copyNames = this.#shareNames(namespace); });
    return this.#await(instance, script, code.isValue, copyNames);
  }

  #resume(script) {
    const { module } = this.#context.session;
    if (script.call !== undefined) return this.#finish(script, this.#named(script.call), false);
    return this.#finish(script, this.#exported(module?.exports), module?.isValue ?? true);
  }

  // #await continues when an ES module is evaluated. copyNames is the function that #shareNames returned for it.
  #await(instance, script, isValue, copyNames) {
    instance
      .then(({ namespace }) => {
        copyNames?.();
        this.#onEvaluated({ exports: namespace, isValue }, script);
      })
      .catch((error) => this.#call.fail(error));
  }

  // #shareNames gives the session the names at the top level of a module, as if it were a script.
  #shareNames(namespace) {
    return NAMES in namespace ? this.#context.realm.shareNames(namespace[NAMES]()) : undefined;
  }

  // #onEvaluated continues with the exports of a module: `call` names one of them, else the default export is taken.
  #onEvaluated(module, script) {
    if (this.#isOpening) this.#context.session.module = module;
    this.#finish(script, script.call === undefined ? this.#exported(module.exports) : this.#named(script.call, module), module.isValue);
  }

  // #named finds what `call` names: an export of the module that was just evaluated; in a session also an export of
  // the module that it was opened with; else a name at the top level.
  #named(name, module) {
    const { session } = this.#context;
    if (session === undefined) return module === undefined ? this.#global(name) : this.#exported(module.exports, name);
    for (const known of [module, session.module]) {
      const found = known === undefined ? undefined : this.#exported(known.exports, name);
      if (found !== undefined) return found;
    }
    return this.#global(name);
  }

  #exported(exports, name) {
    const isNamespace = util.types.isModuleNamespaceObject(exports);
    if (name === undefined) return isNamespace || exports?.__esModule ? exports.default : exports;
    const [first, ...rest] = name.split('.');
    if (isNamespace && CALLEE in exports) return this.#context.realm.member(exports[CALLEE], rest);
    if (isNamespace && first in exports) return this.#context.realm.member(exports[first], rest);
    return this.#context.realm.member(exports, [first, ...rest]);
  }

  // #global finds a name or a dotted path at the top level. The first part is evaluated, since names declared by const,
  // let or class are no properties of the global object.
  #global(name) {
    const [first, ...rest] = name.split('.');
    if (!IDENTIFIER.test(first)) return undefined;
    let value;
    try {
      value = this.#context.evaluate(this.#scripts.compile(`typeof ${first} === 'undefined' ? undefined : ${first}`, 'call'));
    } catch {
      return undefined; // a reserved word, or a name before its declaration was evaluated
    }
    return this.#context.realm.member(value, rest);
  }

  // #finish completes the call with the value found, or calls it. isValue says that the value is the script's last
  // expression, which is called only if something asks for it. The default export of a file is called if it is a function.
  #finish(script, found, isValue) {
    const { realm } = this.#context;
    if (this.#isOpening) return realm.complete(isValue ? found : undefined);
    const named = script.call !== undefined;
    if (named && typeof found !== 'function') return this.#call.failNotImplemented();
    if (!named && script.caller === undefined && (isValue || typeof found !== 'function')) return realm.complete(found);
    return realm.invoke(found, script.caller === undefined ? undefined : this.#caller(script.caller), script.args);
  }

  // #caller evaluates `caller`, the source of a function. It is tried in parentheses first: without them a function
  // would be a declaration, which has no value.
  #caller(source) {
    let script;
    try {
      script = this.#scripts.compile(`(${withoutEnd(source)}\n)`, 'caller.js', -1);
    } catch {
      script = this.#scripts.compile(source, 'caller.js');
    }
    const caller = this.#context.evaluate(script);
    if (typeof caller !== 'function') throw new TypeError('caller has to be the source of function(callee, cb)');
    return caller;
  }
}

module.exports = { Evaluation };
