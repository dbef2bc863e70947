'use strict';
// Compiles sources into something that V8 runs: TypeScript without its types, CommonJS modules, ES modules.

const module_ = require('node:module');
const vm = require('node:vm');

const WRAPPER = '(function (exports, require, module, __filename, __dirname) { ';
const PACKAGE_WRAPPER = '(function (exports, require, module, __filename, __dirname, process) { ';
const PROCESS_IMPORT = 'import process from "node:process"; ';

// stripTypes removes the types and leaves everything else where it is, so that lines and columns stay. Syntax that
// needs more than that (enum, namespace, decorators) is a SyntaxError.
function stripTypes(source, filename) {
  try {
    return module_.stripTypeScriptTypes(source, { mode: 'strip' });
  } catch (error) {
    throw placed(error, filename, lineOf(error));
  }
}

// lineOf reads the line from a stack of the TypeScript parser, which begins with ":3" and a picture of the place.
const lineOf = (error) => /^[^\n]*:(\d+)\n/.exec(error.stack)?.[1];

function placed(error, filename, line) {
  error.stack = `SyntaxError: ${error.message}\n    at ${filename}${line === undefined ? '' : `:${line}`}`;
  return error;
}

// placedByParser adds its place to the error of a module that does not parse. V8 does not tell the place. The TypeScript
// parser finds it in most cases.
function placedByParser(error, source, filename) {
  try {
    module_.stripTypeScriptTypes(source, { mode: 'strip' });
    return placed(error, filename);
  } catch (other) {
    return placed(error, filename, lineOf(other));
  }
}

// compilesAsModule says whether a source that is no script is an ES module: it has import, export, import.meta, or await
// at its top level.
function compilesAsModule(source) {
  try {
    new vm.SourceTextModule(source, { identifier: 'probe' });
    return true;
  } catch {
    return false;
  }
}

const withoutHashbang = (source) => (source.startsWith('#!') ? `//${source.slice(2)}` : source);

// commonJS compiles a source as the body of a CommonJS module. own says that the code is the script's. A package's code
// gets a `process`, unless it declares that name itself.
function commonJS(source, filename, { own, importing }) {
  const compile = (wrapper) => new vm.Script(`${wrapper}${withoutHashbang(source)}\n})`, {
    filename,
    columnOffset: -wrapper.length,
    importModuleDynamically: /\bimport\b/.test(source) ? importing : undefined,
  });
  if (own || !/\bprocess\b/.test(source)) return compile(WRAPPER);
  try {
    return compile(PACKAGE_WRAPPER);
  } catch {
    return compile(WRAPPER);
  }
}

// An EsSource makes a module in each context, from what V8 compiled of the source before.
class EsSource {
  #source;
  #identifier;
  #columnOffset = 0;
  #cachedData;
  #uses = 0;

  // withProcess is for the code of a package, which may use `process` as it could in Node.
  constructor(source, identifier, { withProcess = false } = {}) {
    this.#source = source;
    this.#identifier = identifier;
    if (withProcess && /\bprocess\b/.test(source) && compilesAsModule(PROCESS_IMPORT + source)) {
      this.#source = PROCESS_IMPORT + source;
      this.#columnOffset = -PROCESS_IMPORT.length;
    }
  }

  // instance returns a new module. It throws a SyntaxError if the source does not parse.
  instance({ context, initializeImportMeta, importModuleDynamically }) {
    const instance = this.#compile({
      context,
      identifier: this.#identifier,
      columnOffset: this.#columnOffset,
      cachedData: this.#cachedData,
      initializeImportMeta,
      importModuleDynamically,
    });
    // The cache costs more than it saves for a source that is used only once.
    if (++this.#uses === 2) this.#cachedData = instance.createCachedData();
    return instance;
  }

  #compile(options) {
    try {
      return new vm.SourceTextModule(this.#source, options);
    } catch (error) {
      // The error is of the context's realm, so instanceof does not tell.
      throw error.name === 'SyntaxError' ? placedByParser(error, this.#source, this.#identifier) : error;
    }
  }
}

module.exports = { EsSource, commonJS, compilesAsModule, stripTypes };
