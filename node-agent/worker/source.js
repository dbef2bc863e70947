'use strict';
// What a source is and how it becomes something that V8 runs: TypeScript without its types, CommonJS or an
// ES module told apart as Node does it, a last expression as the value of a module.

const module_ = require('node:module');
const vm = require('node:vm');

const WRAPPER = '(function (exports, require, module, __filename, __dirname) { ';
const PACKAGE_WRAPPER = '(function (exports, require, module, __filename, __dirname, process) { ';
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

// commonJS compiles a source as the body of a CommonJS module. A package finds `process`, unless it
// declares that itself; a script's own file does not.
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

// withoutComments takes what looks like a comment for one, also in a string: names are not found there.
const withoutComments = (source) => source.replace(/\/\*(?:[^*]|\*(?!\/))*\*\/|\/\/[^\n]*/g, '');

// exportNames finds the names that a CommonJS source gives its exports, in the forms that people write and
// compilers make, as Node does for `import {name}`: by looking, before anything runs.
function exportNames(whole) {
  const names = new Set();
  const source = withoutComments(whole);
  const all = (pattern, take) => { for (const found of source.matchAll(pattern)) take(found); };
  all(/\b(?:module\.)?exports\.([A-Za-z_$][\w$]*)\s*=(?!=)/g, ([, name]) => names.add(name));
  all(/\b(?:module\.)?exports\[\s*(['"])([A-Za-z_$][\w$]*)\1\s*\]\s*=(?!=)/g, ([, , name]) => names.add(name));
  all(/\bObject\.defineProperty\(\s*(?:module\.)?exports\s*,\s*(['"])([^'"\n]+)\1/g, ([, , name]) => names.add(name));
  all(/\bmodule\.exports\s*=\s*\{([^{}]*)/g, ([, body]) => {
    for (const part of body.split(',')) {
      const found = /^\s*(?:get\s+)?(['"]?)([A-Za-z_$][\w$]*)\1\s*(?:[:(]|$)/.exec(part);
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
const STATEMENT = /^\s*(?:function|class|async\s+function|\{|import(?!\s*[(.])|export|return|let|const|var)(?![\w$])/;
const CONTINUES = /^\s*(?:\+(?!\+)|-(?!-)|[([`/*.,?<>=&|^%]|in\b|instanceof\b)/; // what goes on with the line before
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

// withoutEnd leaves out the spaces and semicolons that a source ends in.
function withoutEnd(source) {
  let end = source.length;
  while (end > 0 && /[\s;]/.test(source[end - 1])) end--;
  return source.slice(0, end);
}

// withoutLastComments leaves out the comments that a module ends in. Something else that looks like one
// cannot be left out: what remains does not compile.
function withoutLastComments(given) {
  let source = withoutEnd(given);
  for (let tries = 0; tries < 20; tries++) {
    const line = source.lastIndexOf('\n') + 1;
    const starts = source.endsWith('*/') ? [source.lastIndexOf('/*')] : [...source.slice(line).matchAll(/\/\//g)].map(({ index }) => line + index);
    const start = starts.find((at) => at >= 0 && compilesAsModule(source.slice(0, at)));
    if (start === undefined) return source;
    source = withoutEnd(source.slice(0, start));
  }
  return source;
}

// withLastExpression makes the last expression of a module its default export: a script with `await` at its
// top level has no other way to say its value. It gives undefined where the module ends in no expression, or
// has a default export already. Nothing but the words `export default ( )` is put in, so that what the source
// does stays: they stand where a statement begins, or do not compile.
function withLastExpression(given) {
  const source = withoutLastComments(given);
  for (const at of beginnings(source)) {
    const head = source.slice(0, at);
    const tail = source.slice(at);
    if (STATEMENT.test(tail) || tail.trim() === '' || !isExpression(tail)) continue;
    const whole = `${head}export default (${tail}\n)`;
    if (!compilesAsModule(whole) || compilesAsModule(`${head}@`)) continue; // the second: in a comment
    // Only the end of a line parts them, and the tail may go on with what is there.
    if (CONTINUES.test(tail) && !/[;}]\s*$/.test(head) && head.trim() !== '') return undefined;
    return whole;
  }
  return undefined;
}

// beginnings are the places where a last statement may begin, the earliest first: "a\n+ b" is a sum.
function beginnings(source) {
  const all = [0];
  const unindented = [0];
  for (let i = 0; i < source.length; i++) {
    if (!/[;}\n\r]/.test(source[i])) continue;
    all.push(i + 1);
    if (/[\n\r]/.test(source[i]) && /[^\s)}\]]/.test(source[i + 1] ?? ' ')) unindented.push(i + 1);
  }
  return [...new Set([...all.slice(-MOST_TRIES), ...unindented.slice(-MOST_TRIES)])].sort((a, b) => a - b);
}

const isExpression = (source) => compilesAsModule(`(${source}\n)`);

module.exports = { CALLEE, EsSource, IDENTIFIER, commonJS, compilesAsModule, exportNames, reexports, stripTypes, withCallee, withLastExpression, withoutEnd };
