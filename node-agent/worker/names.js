'use strict';
// The names at the top level of an ES module. `call` may name one that is not exported, and the next call of a session
// may use all of them, as it could use those of a script. From outside only exports can be reached, so exports are added.

const vm = require('node:vm');
const { compilesAsModule } = require('./source.js');

// CALLEE is the export under which a module hands out the name that `call` begins with.
const CALLEE = 'jsd:callee';

// NAMES is the export under which a module hands out a function that returns accessors of its names. The function can be
// called before the module is evaluated.
const NAMES = 'jsd:names';

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u;

const MOST_TRIES = 100;
const MOST_CHARACTERS = 4 * 1024 * 1024; // compiled in all tries

// withCallee adds the export CALLEE for the first part of a dotted path. It returns undefined if there is no such name.
function withCallee(source, call) {
  const [name] = call.split('.');
  if (!IDENTIFIER.test(name)) return undefined;
  const whole = `${source}\n;export { ${name} as ${JSON.stringify(CALLEE)} };`;
  return compilesAsModule(whole) ? whole : undefined;
}

// withNames adds the export NAMES. Of a long module some names may be left out.
function withNames(source) {
  const accessors = topLevelNames(source).map((name) => `get ${name}() { return ${name}; }, set ${name}(jsd$value) { ${name} = jsd$value; }`);
  if (accessors.length === 0) return source;
  const whole = `${source}\n;export { jsd$names as "${NAMES}" }; function jsd$names() { return { ${accessors} }; }`;
  return compilesAsModule(whole) ? whole : source;
}

// topLevelNames asks V8 which candidates are declared at the top level.
function topLevelNames(source) {
  const names = [];
  let tries = Math.min(MOST_TRIES, MOST_CHARACTERS / source.length);
  for (const group of candidates(source)) {
    let left = [...group].filter((name) => compilesAsModule(`let ${name};`)); // not a word of the language
    for (; left.length > 0 && tries > 0; tries--) {
      const wrong = firstUndeclared(source, left);
      if (wrong === undefined) {
        names.push(...left);
        break;
      }
      left = left.filter((name) => name !== wrong);
    }
  }
  return [...new Set(names)];
}

// firstUndeclared returns the first of the names that a module does not declare, or undefined if it declares them all.
function firstUndeclared(source, names) {
  const exported = names.map((name) => `${name} as "${NAMES} ${name}"`);
  try {
    new vm.SourceTextModule(`${source}\n;export { ${exported} };`, { identifier: 'probe' });
    return undefined;
  } catch (error) {
    return /^Export '(.+)' is not defined in module$/.exec(error.message)?.[1] ?? names[0];
  }
}

// A token is a comment, a string, a template, a regular expression, a word or a character.
const TOKEN = new RegExp([
  /\/\/.*|\/\*[^]*?\*\//,
  /'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"|`(?:[^`\\]|\\[^])*`/,
  /(?<=(?:^|[=(,:;!&|?{}[+>]|\breturn)\s*)\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//,
  /[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/u,
  /[^]/,
].map(({ source }) => source).join('|'), 'gu');
const GAP = /^(?:\s|\/[/*])/;
const WORD = /^[\p{ID_Start}$_]/u;
const OPENS = new Set(['{', '[', '(']);
const CLOSES = new Set(['}', ']', ')']);
const DECLARES = new Set(['const', 'let', 'var', 'import', 'class', 'function']);

// candidates returns the words that may be declared names, grouped by the depth of the brackets around them. It only
// looks at tokens, so some may be wrong.
function candidates(source) {
  const found = [];
  const open = []; // declarations being read: {depth, names: words are names here, single: it declares one name}
  let depth = 0;
  let last;
  for (const [token] of source.matchAll(TOKEN)) {
    const top = open.at(-1);
    if (OPENS.has(token)) depth++;
    else if (CLOSES.has(token)) depth = Math.max(0, depth - 1);
    if (DECLARES.has(token)) {
      if (top?.depth === depth) open.pop();
      open.push({ depth, names: true, single: token === 'class' || token === 'function' });
    } else if (top !== undefined) {
      const ends = depth < top.depth || (depth === top.depth && (token === ';' || (token === '\n' && top.names && last !== ',')));
      if (ends) open.pop();
      else if (top.names && WORD.test(token)) (found[top.depth] ??= new Set()).add(token);
      if (top.single && WORD.test(token)) open.pop();
      if (depth === top.depth && token === '=') top.names = false;
      if (depth === top.depth && token === ',') top.names = true;
    }
    if (!GAP.test(token)) last = token;
  }
  return found.filter((names) => names !== undefined);
}

module.exports = { CALLEE, IDENTIFIER, NAMES, withCallee, withNames };
