'use strict';
// Compiled sources, kept for later calls.

const vm = require('node:vm');
const { withLastExpression } = require('./last-expression.js');
const { withCallee, withNames } = require('./names.js');
const { EsSource, compilesAsModule, stripTypes } = require('./source.js');

const MOST_CHARACTERS = 4 * 1024 * 1024; // of the sources of all entries

// MODULE_ONLY is in V8's message about a script that has what only modules may have.
const MODULE_ONLY = /\b(?:import|export|await)\b/;

// ScriptCache keeps compiled sources by their text. The least recently used one is removed first.
class ScriptCache {
  #entries = new Map();
  #characters = 0;
  #importing;

  // importing(specifier) does what `import()` in a script asks for.
  constructor(importing) {
    this.#importing = importing;
  }

  // compile returns a vm.Script. It throws a SyntaxError if the source does not parse.
  compile(source, filename, columnOffset = 0) {
    return this.#cached(`${filename}\0${source}`, () => this.#compileScript(source, filename, columnOffset));
  }

  // code compiles `code` of a call. It returns {script}; or {es, isValue} for an ES module, where isValue says that the
  // default export is the value of the last expression. call is the name that the caller asks for. inSession says that
  // later calls may ask for any name.
  code(source, language, call, inSession = false) {
    const kind = `${language ?? ''}:${inSession ? 'session' : ''}:${call ?? ''}`;
    return this.#cached(`${kind}\0${source}`, () => this.#compileCode(source, language, call, inSession));
  }

  #compileCode(given, language, call, inSession) {
    const source = language === 'typescript' ? stripTypes(given, 'script.js') : given;
    try {
      return { script: this.#compileScript(source, 'script.js', 0) };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      // A source that is neither script nor module may be meant as either. The error of the one that is meant says what
      // is wrong.
      if (!compilesAsModule(source) && !MODULE_ONLY.test(error.message)) throw error;
    }
    const valued = call === undefined ? withLastExpression(source) : undefined;
    const isValue = valued !== undefined;
    if (inSession) return { es: new EsSource(withNames(valued ?? source), 'script.js'), isValue };
    const called = call === undefined ? undefined : withCallee(source, call);
    return { es: new EsSource(valued ?? called ?? source, 'script.js'), isValue };
  }

  #compileScript(source, filename, columnOffset) {
    return new vm.Script(source, {
      filename,
      columnOffset,
      importModuleDynamically: /\bimport\b/.test(source) ? this.#importing : undefined,
    });
  }

  #cached(key, compile) {
    let entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      return entry;
    }
    entry = compile();
    this.#entries.set(key, entry);
    this.#characters += key.length;
    this.#evict();
    return entry;
  }

  #evict() {
    for (const oldest of this.#entries.keys()) {
      if (this.#characters <= MOST_CHARACTERS) break;
      this.#entries.delete(oldest);
      this.#characters -= oldest.length;
    }
  }
}

module.exports = { ScriptCache };
