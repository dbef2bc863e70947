'use strict';
// Compiled scripts, kept for calls to come.

const vm = require('node:vm');
const { withNames } = require('./names.js');
const { CALLEE, EsSource, compilesAsModule, stripTypes, withCallee, withLastExpression } = require('./source.js');

// What V8 says of a script that has what only modules may have.
const MODULE_ONLY = /\b(?:import|export|await)\b/;

// Script and module sources by what they were made from, the least recently used out first.
class ScriptCache {
  #entries = new Map();
  #characters = 0;
  #importing;
  static MAX_CHARACTERS = 4 * 1024 * 1024;

  // importing(specifier) is what `import()` in a script comes to.
  constructor(importing) {
    this.#importing = importing;
  }

  // compile throws a SyntaxError for what does not parse.
  compile(source, filename, columnOffset = 0) {
    return this.#keep(`${filename}\0${source}`, () => this.#script(source, filename, columnOffset));
  }

  // code gives what `code` of a call is: {script}, or {es, isValue} for a module, where isValue says that its
  // default export is the value of its last expression. call is the name that the caller will ask for, inSession
  // says that calls to come may ask for any.
  code(source, language, call, inSession = false) {
    const kind = `${language ?? ''}:${inSession ? 'session' : ''}:${call ?? ''}`;
    return this.#keep(`${kind}\0${source}`, () => this.#code(source, language, call, inSession));
  }

  #code(given, language, call, inSession) {
    const source = language === 'typescript' ? stripTypes(given, 'script.js') : given;
    try {
      return { script: this.#script(source, 'script.js', 0) };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      // Meant as a module, or not: the error that says what is wrong is the other one.
      if (!compilesAsModule(source) && !MODULE_ONLY.test(error.message)) throw error;
    }
    const valued = call === undefined ? withLastExpression(source) : undefined;
    const isValue = valued !== undefined;
    if (inSession) return { es: new EsSource(withNames(valued ?? source), 'script.js'), isValue };
    const called = call === undefined ? undefined : withCallee(source, call);
    return { es: new EsSource(valued ?? called ?? source, 'script.js'), isValue };
  }

  #script(source, filename, columnOffset) {
    return new vm.Script(source, {
      filename,
      columnOffset,
      importModuleDynamically: /\bimport\b/.test(source) ? this.#importing : undefined,
    });
  }

  #keep(key, make) {
    let entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
      return entry;
    }
    entry = make();
    this.#entries.set(key, entry);
    this.#characters += key.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#characters <= ScriptCache.MAX_CHARACTERS) break;
      this.#entries.delete(oldest);
      this.#characters -= oldest.length;
    }
    return entry;
  }
}

module.exports = { ScriptCache, CALLEE };
