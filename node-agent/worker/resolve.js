'use strict';
// Which file a specifier means, by Node's rules for CommonJS and for ES modules, in trees that nothing
// leads out of. See "Modules: Packages" and "Modules: ECMAScript modules" in Node's documentation.

const { isBuiltin } = require('node:module');
const { posix } = require('node:path');
const { NOT_LISTED } = require('../shared/modules.js');

const CONDITIONS = Object.freeze({
  require: new Set(['node', 'require', 'module-sync', 'default']),
  import: new Set(['node', 'import', 'module-sync', 'default']),
});
const EXTENSIONS = ['.js', '.json', '.node'];
const TYPESCRIPT = ['.ts', '.mts', '.cts'];
const ODD = /[%\\\0-\x1f]/; // what could mean another path than it shows
const SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const PACKAGE_NAME = /^(?:@[^/@.][^/]*\/)?[^/@.][^/]*/;

// Unresolved says why there is no such module. It is the agent's own: scripts get an error of their
// realm with the same message and code.
class Unresolved extends Error {
  constructor(specifier, why, code = 'MODULE_NOT_FOUND') {
    super(`Cannot find module '${specifier.slice(0, 200)}': ${why}`);
    this.code = code;
  }
}

const isRelative = (specifier) => /^\.\.?(?:\/|$)/.test(specifier);

// ownUrl gives the path of a file URL made from import.meta.url; undefined for what is no URL.
function ownUrl(specifier, from) {
  if (!SCHEME.test(specifier)) return undefined;
  const file = specifier.startsWith('file:///') ? specifier.slice('file://'.length) : '';
  if (!posix.normalize(file).startsWith(`${from.tree.mount}/`)) throw new Unresolved(specifier, 'URLs are not allowed');
  return file;
}

// manifest gives the package.json of a folder, {} where there is none or it cannot be read.
function manifest(tree, dir) {
  const file = posix.join(dir, 'package.json');
  let entry = tree.compiled.get(`manifest ${file}`);
  if (entry === undefined) {
    entry = { found: tree.isFile(file), content: {} };
    try {
      if (entry.found) entry.content = JSON.parse(tree.read(file)) ?? {};
    } catch {
      // as if it said nothing
    }
    tree.compiled.set(`manifest ${file}`, entry);
  }
  return entry;
}

// scope is the nearest folder above a file that has a package.json: {dir, content}, or undefined.
function scope(tree, file) {
  for (let dir = posix.dirname(file); ; dir = posix.dirname(dir)) {
    const { found, content } = manifest(tree, dir === '.' ? '' : dir);
    if (found) return { dir: dir === '.' ? '' : dir, content };
    if (dir === '.' || dir.endsWith('node_modules')) return undefined;
  }
}

// inside joins a relative specifier to the folder of the file it stands in.
function inside(specifier, from) {
  if (specifier.startsWith('/')) {
    const file = posix.normalize(specifier);
    // What a module makes of its __dirname; other absolute paths have no meaning here.
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

function asFolder(tree, dir) {
  if (!tree.isFolder(dir)) return undefined;
  const { main } = manifest(tree, dir).content;
  const index = (below) => EXTENSIONS.map((extension) => posix.join(below, `index${extension}`)).find((file) => tree.isFile(file));
  if (typeof main === 'string') {
    const wanted = posix.join(dir, main);
    if (!wanted.startsWith('..')) {
      const found = asFile(tree, wanted) ?? (tree.isFolder(wanted) ? index(wanted) : undefined);
      if (found !== undefined) return found;
    }
  }
  return index(dir);
}

// ESCAPES is a segment that Node refuses in what a package exports and imports, and in what is asked of it.
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

// match finds a key in "exports" or "imports", the one with the longest part before its star first.
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

// inPackage finds the file of a package's folder that `name/subpath` means.
function inPackage(specifier, tree, dir, subpath, how) {
  const { exports } = manifest(tree, dir).content;
  if (ESCAPES.test(subpath.slice(2))) throw new Unresolved(specifier, 'it leads out of its package');
  if (exports !== undefined && exports !== null) return exported(specifier, tree, dir, subpath, CONDITIONS[how]);
  const wanted = posix.join(dir, subpath);
  if (subpath === '.' || subpath === './') return asFolder(tree, dir);
  return asFile(tree, wanted) ?? asFolder(tree, wanted);
}

// Resolver knows the packages, and which of them and of the built-ins scripts may load.
class Resolver {
  #packages;
  #allows;

  constructor(packages, allows) {
    this.#packages = packages;
    this.#allows = allows;
  }

  // resolve is #resolve with the code that Node gives an import that finds nothing.
  resolve(specifier, from, how) {
    try {
      return this.#resolve(specifier, from, how);
    } catch (error) {
      if (how === 'import' && error.code === 'MODULE_NOT_FOUND') error.code = 'ERR_MODULE_NOT_FOUND';
      throw error;
    }
  }

  // #resolve says what a specifier means in a file {tree, path}, how 'require' or 'import': {builtIn: name} or
  // {tree, path}. It throws Unresolved. Whether a built-in is allowed is not judged here.
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
    if (how === 'require') found ??= asFile(tree, wanted) ?? asFolder(tree, wanted);
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
      if (!tree.isFolder(dir)) continue;
      const found = inPackage(specifier, tree, dir, subpath, how);
      if (found === undefined) throw new Unresolved(specifier, 'its package has no such file');
      return { tree, path: found };
    }
    throw new Unresolved(specifier, 'no package of that name is in the runtime image');
  }

  // places are the folders that may hold a package, nearest first.
  * #places(from, name) {
    for (let dir = posix.dirname(from.path); ; dir = posix.dirname(dir)) {
      const here = dir === '.' ? '' : dir;
      if (!here.endsWith('node_modules') && (from.tree.own || here !== '')) yield { tree: from.tree, dir: posix.join(here, 'node_modules', name) };
      if (here === '') break;
    }
    if (!this.#packages.has(name)) return;
    // What a package needs comes with it.
    if (from.tree.own && !this.#allows(name)) throw new Unresolved(name, NOT_LISTED);
    yield { tree: this.#packages, dir: name };
  }
}

module.exports = { Resolver, Unresolved, scope };
