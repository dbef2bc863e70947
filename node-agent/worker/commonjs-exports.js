'use strict';
// Finds the names that a CommonJS module exports, for `import {name}` of an ES module. As in Node, they are found in the
// source before anything runs, in the forms that people write and that compilers emit.

const PROPERTY = /\b(?:module\.)?exports\.([A-Za-z_$][\w$]*)\s*=(?!=)/g;
const QUOTED_PROPERTY = /\b(?:module\.)?exports\[\s*(['"])([A-Za-z_$][\w$]*)\1\s*\]\s*=(?!=)/g;
const DEFINED_PROPERTY = /\bObject\.defineProperty\(\s*(?:module\.)?exports\s*,\s*(['"])([^'"\n]+)\1/g;
const OBJECT = /\bmodule\.exports\s*=\s*\{([^{}]*)/g;
const OBJECT_KEY = /^\s*(?:get\s+)?(['"]?)([A-Za-z_$][\w$]*)\1\s*(?:[:(]|$)/;
const ESBUILD_EXPORT = /__export\(\s*[\w$]+\s*,\s*\{([^}]*)\}/g;
const ESBUILD_KEY = /(?:^|,)\s*([A-Za-z_$][\w$]*)\s*:/g;

const REEXPORTS = [
  /\bmodule\.exports\s*=\s*require\(\s*(['"])([^'"\n]+)\1\s*\)/g,
  /\b__exportStar\(\s*require\(\s*(['"])([^'"\n]+)\1\s*\)/g,
  /\.\.\.require\(\s*(['"])([^'"\n]+)\1\s*\)/g,
];

// withoutComments also removes text of a string that looks like a comment. Names in it are not found.
const withoutComments = (source) => source.replace(/\/\*(?:[^*]|\*(?!\/))*\*\/|\/\/[^\n]*/g, '');

// objectKeys reads the keys of an object literal, up to the first one that is not plain.
function objectKeys(body) {
  const keys = [];
  for (const part of body.split(',')) {
    const found = OBJECT_KEY.exec(part);
    if (found === null) break;
    keys.push(found[2]);
  }
  return keys;
}

function exportNames(commented) {
  const source = withoutComments(commented);
  const names = new Set();
  for (const [, name] of source.matchAll(PROPERTY)) names.add(name);
  for (const [, , name] of source.matchAll(QUOTED_PROPERTY)) names.add(name);
  for (const [, , name] of source.matchAll(DEFINED_PROPERTY)) names.add(name);
  for (const [, body] of source.matchAll(OBJECT)) objectKeys(body).forEach((name) => names.add(name));
  for (const [, body] of source.matchAll(ESBUILD_EXPORT)) {
    for (const [, name] of body.matchAll(ESBUILD_KEY)) names.add(name);
  }
  names.delete('default');
  return [...names];
}

// reexports finds the modules whose exports a CommonJS module exports as its own.
function reexports(source) {
  return REEXPORTS.flatMap((pattern) => [...source.matchAll(pattern)].map((found) => found[2]));
}

module.exports = { exportNames, reexports };
