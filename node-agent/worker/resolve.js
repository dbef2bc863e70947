'use strict';
// Finds the file that a specifier means, by Node's rules for CommonJS and for ES modules, in trees that nothing leads out
// of. See "Modules: Packages" and "Modules: ECMAScript modules" in Node's documentation.
//
//   Resolver.resolve ─► #find      chooses by the form of the specifier:
//     #relative                      ./file, ../file or /file
//     #internal                      #name of "imports" in package.json
//     #bare ─► inPackage             name or name/path of a package, by "exports" or "main" in package.json

const { isBuiltin } = require('node:module');
const { posix } = require('node:path');
const { NOT_LISTED } = require('../shared/allowed-modules.js');

const CONDITIONS = Object.freeze({
  require: new Set(['node', 'require', 'module-sync', 'default']),
  import: new Set(['node', 'import', 'module-sync', 'default']),
});
const EXTENSIONS = ['.js', '.json', '.node'];
const TYPESCRIPT = ['.ts', '.mts', '.cts'];
const ODD = /[%\\\0-\x1f]/; // characters by which a path could mean another one than it shows
const SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const PACKAGE_NAME = /^(?:@[^/@.][^/]*\/)?[^/@.][^/]*/;

// Unresolved says why there is no such module. It is an error of the worker's realm: scripts get one of their own realm
// with the same message and code.
class Unresolved extends Error {
  constructor(specifier, why, code = 'MODULE_NOT_FOUND') {
    super(`Cannot find module '${specifier.slice(0, 200)}': ${why}`);
    this.code = code;
  }
}

const isRelative = (specifier) => /^\.\.?(?:\/|$)/.test(specifier);

// ownUrl returns the path of a file URL, which a script makes from import.meta.url. It returns undefined for a specifier
// that is no URL.
function ownUrl(specifier, from) {
  if (!SCHEME.test(specifier)) return undefined;
  const file = specifier.startsWith('file:///') ? specifier.slice('file://'.length) : '';
  if (!posix.normalize(file).startsWith(`${from.tree.mount}/`)) throw new Unresolved(specifier, 'URLs are not allowed');
  return file;
}

// manifest returns the package.json of a directory as {found, content}. content is {} if there is none, or none that
// parses.
function manifest(tree, dir) {
  const file = posix.join(dir, 'package.json');
  let entry = tree.compiled.get(`manifest ${file}`);
  if (entry === undefined) {
    entry = { found: tree.isFile(file), content: {} };
    try {
      if (entry.found) entry.content = JSON.parse(tree.read(file)) ?? {};
    } catch {
      // It counts as empty.
    }
    tree.compiled.set(`manifest ${file}`, entry);
  }
  return entry;
}

// scope returns the nearest directory above a file that has a package.json, as {dir, content}, or undefined.
function scope(tree, file) {
  for (let dir = posix.dirname(file); ; dir = posix.dirname(dir)) {
    const { found, content } = manifest(tree, dir === '.' ? '' : dir);
    if (found) return { dir: dir === '.' ? '' : dir, content };
    if (dir === '.' || dir.endsWith('node_modules')) return undefined;
  }
}

// inside joins a relative specifier to the directory of the file `from`.
function inside(specifier, from) {
  if (specifier.startsWith('/')) {
    const file = posix.normalize(specifier);
    // A module makes such a path from its __dirname. Other absolute paths mean nothing here.
    if (!file.startsWith(`${from.tree.mount}/`)) throw new Unresolved(specifier, 'absolute paths are not allowed');
    return file.slice(from.tree.mount.length + 1);
  }
  const joined = posix.join(posix.dirname(from.path), specifier);
  if (joined === '..' || joined.startsWith('../')) throw new Unresolved(specifier, 'it leads out of the folder');
  return joined === '.' || joined === './' ? '' : joined.replace(/\/$/, '');
}

function asFile(tree, file) {
  if (tree.isFile(file)) return file;
  return EXTENSIONS.map((extension) => file + extension).find((candidate) => tree.isFile(candidate));
}

function asDirectory(tree, dir) {
  if (!tree.isDirectory(dir)) return undefined;
  const { main } = manifest(tree, dir).content;
  const index = (below) => EXTENSIONS.map((extension) => posix.join(below, `index${extension}`)).find((file) => tree.isFile(file));
  if (typeof main === 'string') {
    const wanted = posix.join(dir, main);
    if (!wanted.startsWith('..')) {
      const found = asFile(tree, wanted) ?? (tree.isDirectory(wanted) ? index(wanted) : undefined);
      if (found !== undefined) return found;
    }
  }
  return index(dir);
}

// ESCAPES is a part of a path that Node refuses in "exports" and "imports", and in the path behind a package's name.
const ESCAPES = /(?:^|\/)(?:\.\.?|node_modules)(?:\/|$)/;

// target follows one entry of "exports" or "imports": a string, conditions, or alternatives.
function target(entry, conditions, star) {
  if (typeof entry === 'string') return entry.replaceAll('*', star);
  if (Array.isArray(entry)) {
    for (const alternative of entry) {
      const found = target(alternative, conditions, star);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (entry === null || typeof entry !== 'object') return entry;
  for (const condition of Object.keys(entry)) {
    if (!conditions.has(condition)) continue;
    const found = target(entry[condition], conditions, star);
    if (found !== undefined) return found;
  }
  return undefined;
}

// match finds a key in "exports" or "imports". Of several patterns that match, the one with the longest part before its
// star counts.
function match(table, key, conditions) {
  if (Object.hasOwn(table, key) && !key.includes('*')) return target(table[key], conditions, '');
  const fitting = Object.keys(table)
    .filter((pattern) => {
      const [before, after, more] = pattern.split('*');
      return after !== undefined && more === undefined && key.length >= pattern.length && key.startsWith(before) && key.endsWith(after);
    })
    .sort((a, b) => b.indexOf('*') - a.indexOf('*') || b.length - a.length);
  if (fitting.length === 0) return undefined;
  const [before, after] = fitting[0].split('*');
  return target(table[fitting[0]], conditions, key.slice(before.length, key.length - after.length));
}

function exported(specifier, tree, dir, subpath, conditions) {
  let table = manifest(tree, dir).content.exports;
  const subpaths = table !== null && typeof table === 'object' && !Array.isArray(table) && Object.keys(table).some((key) => key.startsWith('.'));
  if (!subpaths) table = { '.': table };
  const found = match(table, subpath, conditions);
  if (typeof found !== 'string' || !found.startsWith('./') || ESCAPES.test(found.slice(2))) throw new Unresolved(specifier, 'its package does not export that', 'ERR_PACKAGE_PATH_NOT_EXPORTED');
  const file = posix.join(dir, found);
  if (!tree.isFile(file)) throw new Unresolved(specifier, `its package names ${found}, which is not there`);
  return file;
}

// inPackage finds the file that `name/subpath` means in the directory of a package.
function inPackage(specifier, tree, dir, subpath, how) {
  const { exports } = manifest(tree, dir).content;
  if (ESCAPES.test(subpath.slice(2))) throw new Unresolved(specifier, 'it leads out of its package');
  if (exports !== undefined && exports !== null) return exported(specifier, tree, dir, subpath, CONDITIONS[how]);
  const wanted = posix.join(dir, subpath);
  if (subpath === '.' || subpath === './') return asDirectory(tree, dir);
  return asFile(tree, wanted) ?? asDirectory(tree, wanted);
}

class Resolver {
  #packages;
  #allowed; // AllowedModules

  constructor(packages, allowed) {
    this.#packages = packages;
    this.#allowed = allowed;
  }

  // resolve finds what a specifier means in a file {tree, path}: {builtIn: name} or {tree, path}. how is 'require' or
  // 'import'. It throws Unresolved. Whether a built-in is allowed is not checked here.
  resolve(specifier, from, how) {
    try {
      return this.#resolve(specifier, from, how);
    } catch (error) {
      if (how === 'import' && error.code === 'MODULE_NOT_FOUND') error.code = 'ERR_MODULE_NOT_FOUND';
      throw error;
    }
  }

  #resolve(specifier, from, how) {
    if (isBuiltin(specifier)) return { builtIn: specifier.replace(/^node:/, '') };
    if (ODD.test(specifier) || specifier === '') throw new Unresolved(specifier, 'it is no plain path or package name');
    const found = this.#find(ownUrl(specifier, from) ?? specifier, from, how);
    if (found.builtIn !== undefined) return found;
    const real = found.tree.real(found.path);
    if (real === undefined) throw new Unresolved(specifier, 'it leads out of the packages');
    return { tree: found.tree, path: real };
  }

  #find(specifier, from, how) {
    if (isRelative(specifier) || specifier.startsWith('/')) return { tree: from.tree, path: this.#relative(specifier, from, how) };
    if (specifier.startsWith('#')) return this.#internal(specifier, from, how);
    return this.#bare(specifier, from, how);
  }

  #relative(specifier, from, how) {
    const { tree } = from;
    const wanted = inside(specifier, from);
    let found = tree.isFile(wanted) ? wanted : undefined;
    if (how === 'require') found ??= asFile(tree, wanted) ?? asDirectory(tree, wanted);
    if (found !== undefined) return found;
    const stem = wanted.replace(/\.[cm]?js$/, '');
    const meant = [...EXTENSIONS, '.mjs', '.cjs', ...TYPESCRIPT].map((extension) => stem + extension).find((file) => tree.isFile(file));
    throw new Unresolved(specifier, meant === undefined ? `there is no such file beside ${tree.display(from.path)}` : `is ${posix.basename(meant)} meant?`);
  }

  #internal(specifier, from, how) {
    const at = scope(from.tree, from.path);
    const found = match(at?.content.imports ?? {}, specifier, CONDITIONS[how]);
    if (typeof found !== 'string') throw new Unresolved(specifier, 'its package.json does not say what that is', 'ERR_PACKAGE_IMPORT_NOT_DEFINED');
    if (!found.startsWith('./')) return this.resolve(found, from, how);
    const file = posix.join(at.dir, found);
    if (ESCAPES.test(found.slice(2)) || !from.tree.isFile(file)) throw new Unresolved(specifier, `its package names ${found}, which is not there`);
    return { tree: from.tree, path: file };
  }

  #bare(specifier, from, how) {
    const name = PACKAGE_NAME.exec(specifier)?.[0];
    if (name === undefined) throw new Unresolved(specifier, 'it is no plain path or package name');
    const subpath = `.${specifier.slice(name.length)}`;
    const self = scope(from.tree, from.path);
    if (self?.content.name === name && self.content.exports !== undefined) {
      return { tree: from.tree, path: inPackage(specifier, from.tree, self.dir, subpath, how) };
    }
    for (const { tree, dir } of this.#places(from, name)) {
      if (!tree.isDirectory(dir)) continue;
      const found = inPackage(specifier, tree, dir, subpath, how);
      if (found === undefined) throw new Unresolved(specifier, 'its package has no such file');
      return { tree, path: found };
    }
    throw new Unresolved(specifier, 'no package of that name is in the runtime image');
  }

  // #places are the directories that may hold a package, nearest first.
  * #places(from, name) {
    for (let dir = posix.dirname(from.path); ; dir = posix.dirname(dir)) {
      const here = dir === '.' ? '' : dir;
      if (!here.endsWith('node_modules') && (from.tree.own || here !== '')) yield { tree: from.tree, dir: posix.join(here, 'node_modules', name) };
      if (here === '') break;
    }
    if (!this.#packages.has(name)) return;
    // The code of a package may load all packages: what it needs is installed with it.
    if (from.tree.own && !this.#allowed.hasPackage(name)) throw new Unresolved(name, NOT_LISTED);
    yield { tree: this.#packages, dir: name };
  }
}

module.exports = { Resolver, Unresolved, scope };
