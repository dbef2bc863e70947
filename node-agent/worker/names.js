'use strict';
// The names at the top level of a module. Those of a script are its context's; a session wants the same of
// modules, where only exports can be seen from outside.

const vm = require('node:vm');
const { compilesAsModule } = require('./source.js');

// NAMES is the export under which a module hands out a function that gives accessors to its names. The
// function can be called before the module has been evaluated.
const NAMES = 'jsd:names';

const MOST_TRIES = 100;
const MOST_CHARACTERS = 4 * 1024 * 1024; // of all tries

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

// candidates finds what may be declared, by depth of the brackets around it. It only looks at tokens, and so may
// be wrong: V8 has the last word.
function candidates(source) {
  const found = [];
  const open = []; // declarations that are being read: {depth, names: words are names here, single: only one is}
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

// firstUndeclared gives the first of the names that a module does not have; undefined where it has them all.
function firstUndeclared(source, names) {
  const exported = names.map((name) => `${name} as "${NAMES} ${name}"`);
  try {
    new vm.SourceTextModule(`${source}\n;export { ${exported} };`, { identifier: 'probe' });
    return undefined;
  } catch (error) {
    return /^Export '(.+)' is not defined in module$/.exec(error.message)?.[1] ?? names[0];
  }
}

function topLevelNames(source) {
  const names = [];
  let tries = Math.min(MOST_TRIES, MOST_CHARACTERS / source.length);
  for (const group of candidates(source)) {
    let left = [...group].filter((name) => compilesAsModule(`let ${name};`)); // else a word of the language
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

// withNames lets a module hand out the names at its top level. A long one may keep some to itself.
function withNames(source) {
  const accessors = topLevelNames(source).map((name) => `get ${name}() { return ${name}; }, set ${name}(jsd$value) { ${name} = jsd$value; }`);
  if (accessors.length === 0) return source;
  const whole = `${source}\n;export { jsd$names as "${NAMES}" }; function jsd$names() { return { ${accessors} }; }`;
  return compilesAsModule(whole) ? whole : source;
}

module.exports = { NAMES, withNames };
