'use strict';
// What a source is and how it becomes something that V8 runs: TypeScript without its types, CommonJS or an
// ES module told apart as Node does it, a last expression as the value of a module.

const module_ = require('node:module');
const vm = require('node:vm');

const WRAPPER = '(function (exports, require, module, __filename, __dirname, process) { ';
const PROCESS_IMPORT = 'import process from "node:process"; ';

// stripTypes leaves types out and everything else where it stood, so that lines and columns stay. What needs
// more than leaving out (enum, namespace, decorators) is a SyntaxError.
function stripTypes(source, filename) {
  try {
    return module_.stripTypeScriptTypes(source, { mode: 'strip' });
  } catch (error) {
    throw placedAt(error, filename, lineOf(error));
  }
}

// lineOf reads the line from how the parser of TypeScript shows a place: ":3" and a picture.
const lineOf = (error) => /^[^\n]*:(\d+)\n/.exec(error.stack)?.[1];

function placedAt(error, filename, line) {
  error.stack = `SyntaxError: ${error.message}\n    at ${filename}${line === undefined ? '' : `:${line}`}`;
  return error;
}

// misplaced gives the error of a module that does not parse its place, which V8 keeps to itself. The other
// parser at hand finds it, in most cases.
function misplaced(error, source, filename) {
  try {
    module_.stripTypeScriptTypes(source, { mode: 'strip' });
    return placedAt(error, filename);
  } catch (other) {
    return placedAt(error, filename, lineOf(other));
  }
}

const withoutHashbang = (source) => (source.startsWith('#!') ? `//${source.slice(2)}` : source);

// compilesAsModule says whether a source that is no script is a module: it has import, export,
// import.meta or await at its top level.
function compilesAsModule(source) {
  try {
    new vm.SourceTextModule(source, { identifier: 'probe' });
    return true;
  } catch {
    return false;
  }
}

// commonJS compiles a source as the body of a CommonJS module.
function commonJS(source, filename, importing) {
  return new vm.Script(`${WRAPPER}${withoutHashbang(source)}\n})`, {
    filename,
    columnOffset: -WRAPPER.length,
    importModuleDynamically: /\bimport\b/.test(source) ? importing : undefined,
  });
}

// An EsSource makes a module of its own in each context, from what V8 made of the source the first time.
class EsSource {
  #source;
  #identifier;
  #columnOffset = 0;
  #cachedData;
  #uses = 0;

  // A package's module may find `process`, as it would in Node; a script's does not.
  constructor(source, identifier, { withProcess = false } = {}) {
    this.#source = source;
    this.#identifier = identifier;
    if (withProcess && /\bprocess\b/.test(source) && compilesAsModule(PROCESS_IMPORT + source)) {
      this.#source = PROCESS_IMPORT + source;
      this.#columnOffset = -PROCESS_IMPORT.length;
    }
  }

  // instance throws a SyntaxError for what does not parse.
  instance({ context, initializeImportMeta, importModuleDynamically }) {
    const made = this.#compiled({
      context,
      identifier: this.#identifier,
      columnOffset: this.#columnOffset,
      cachedData: this.#cachedData,
      initializeImportMeta,
      importModuleDynamically,
    });
    // Worth its time only for what is used again.
    if (++this.#uses === 2) this.#cachedData = made.createCachedData();
    return made;
  }

  #compiled(options) {
    try {
      return new vm.SourceTextModule(this.#source, options);
    } catch (error) {
      throw error.name === 'SyntaxError' ? misplaced(error, this.#source, this.#identifier) : error; // the context's own
    }
  }
}

// exportNames finds the names that a CommonJS source gives its exports, in the forms that people write and
// compilers make, as Node does for `import {name}`: by looking, before anything runs.
function exportNames(source) {
  const names = new Set();
  const all = (pattern, take) => { for (const found of source.matchAll(pattern)) take(found); };
  all(/\b(?:module\.)?exports\.([A-Za-z_$][\w$]*)\s*=(?!=)/g, ([, name]) => names.add(name));
  all(/\b(?:module\.)?exports\[\s*(['"])([A-Za-z_$][\w$]*)\1\s*\]\s*=(?!=)/g, ([, , name]) => names.add(name));
  all(/\bObject\.defineProperty\(\s*(?:module\.)?exports\s*,\s*(['"])([^'"\n]+)\1/g, ([, , name]) => names.add(name));
  all(/\bmodule\.exports\s*=\s*\{([^{}]*)/g, ([, body]) => {
    for (const part of body.split(',')) {
      const found = /^\s*(?:\/\/[^\n]*\n\s*|\/\*[^]*?\*\/\s*)*(?:get\s+)?(['"]?)([A-Za-z_$][\w$]*)\1\s*(?:[:(]|$)/.exec(part);
      if (found === null) break; // from here on it is no list of names
      names.add(found[2]);
    }
  });
  // What bundlers write for this purpose.
  all(/__export\(\s*[\w$]+\s*,\s*\{([^}]*)\}/g, ([, body]) => {
    for (const [, name] of body.matchAll(/(?:^|,)\s*([A-Za-z_$][\w$]*)\s*:/g)) names.add(name);
  });
  names.delete('default');
  return [...names];
}

// reexports finds the modules whose exports a CommonJS source hands on as its own.
function reexports(source) {
  const patterns = [/\bmodule\.exports\s*=\s*require\(\s*(['"])([^'"\n]+)\1\s*\)/g, /\b__exportStar\(\s*require\(\s*(['"])([^'"\n]+)\1\s*\)/g, /\.\.\.require\(\s*(['"])([^'"\n]+)\1\s*\)/g];
  return patterns.flatMap((pattern) => [...source.matchAll(pattern)].map((found) => found[2]));
}

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u;
const STATEMENT = /^\s*(?:function|class|async\s+function|\{|import|export|return|let|const|var)(?![\w$])/;
const MOST_TRIES = 200;

// CALLEE is the export under which a module hands out a name of its top level that it does not export.
const CALLEE = 'jsd:callee';

// withCallee exports what the first part of a dotted path names; undefined where there is no such name.
function withCallee(source, call) {
  const [name] = call.split('.');
  if (!IDENTIFIER.test(name)) return undefined;
  const whole = `${source}\n;export { ${name} as ${JSON.stringify(CALLEE)} };`;
  return compilesAsModule(whole) ? whole : undefined;
}

// withLastExpression makes the last expression of a module its default export: a script with `await` at its
// top level has no other way to say its value. It gives undefined where the module ends in no expression, or
// has a default export already.
function withLastExpression(source) {
  if (/\bexport\s+default\b/.test(source)) return undefined;
  const trimmed = source.replace(/[\s;]+$/, '');
  const ends = [0];
  for (let i = 0; i < trimmed.length; i++) if (trimmed[i] === ';' || trimmed[i] === '\n' || trimmed[i] === '}') ends.push(i + 1);
  // The longest that is one expression is the one: "a\n+b" is a sum.
  for (const at of ends.slice(-MOST_TRIES)) {
    const head = trimmed.slice(0, at);
    const tail = trimmed.slice(at);
    if (STATEMENT.test(tail) || tail.trim() === '' || !isExpression(tail)) continue;
    const whole = `${head};export default (${tail}\n)`;
    // Where nonsense in its place is no error either, the place is in a comment.
    if (compilesAsModule(whole) && !compilesAsModule(`${head};@`)) return whole;
  }
  return undefined;
}

function isExpression(source) {
  try {
    new vm.Script(`async () => (${source}\n)`);
    return true;
  } catch {
    return false;
  }
}

module.exports = { CALLEE, EsSource, IDENTIFIER, commonJS, compilesAsModule, exportNames, reexports, stripTypes, withCallee, withLastExpression };
