// What modules find in a context, besides what realm.js gives to every script: the registry of CommonJS modules,
// `require`, and for packages a `process` and stand-ins for built-ins that scripts may not load. This file is evaluated
// inside of the context when a module is first loaded, so that everything that a module can touch belongs to the
// context's realm. `bridge` (Loader.#bridge) never leaves the closure. `intrinsics` are from before the script ran.
(function (bridge, intrinsics) {
  'use strict';
  const { apply, create, defineProperty, errors, freeze, parse, Proxy: RealmProxy } = intrinsics;
  const { Error: RealmError, TypeError: RealmTypeError, SyntaxError: RealmSyntaxError } = errors;

  const registry = create(null); // id → module
  const nothing = () => {};

  const refusal = ({ name, message, code, stack }) => {
    const error = new (errors[name] ?? RealmError)(message);
    if (code !== undefined) error.code = code;
    if (stack !== undefined) error.stack = stack;
    return error;
  };

  const parseJson = (text, id) => {
    try {
      return parse(text);
    } catch (error) {
      throw new RealmSyntaxError(`${id}: ${error.message}`);
    }
  };

  // load returns the exports of the module found: {builtIn, module}, {id, kind, …} or {refused}.
  const load = (found) => {
    if (found.refused !== undefined) throw refusal(found.refused);
    if (found.builtIn !== undefined) return builtIn(found);
    if (found.kind === 'module') return bridge.importNow(found.id);
    const registered = registry[found.id];
    if (registered !== undefined) return registered.exports;
    const module = { id: found.filename, filename: found.filename, path: found.dirname, loaded: false, exports: {}, children: [], paths: [] };
    registry[found.id] = module;
    try {
      run(module, found);
    } catch (error) {
      delete registry[found.id];
      // A package whose native add-on is refused may throw any error. The refusal says more.
      const refused = found.own ? undefined : bridge.refusedAddOn();
      throw refused === undefined ? error : refusal(refused);
    }
    module.loaded = true;
    return module.exports;
  };

  const run = (module, found) => {
    const text = bridge.source(found.id); // never throws: {json}, {body}, {refused} or {error}
    if (text.refused !== undefined) throw refusal(text.refused);
    if (text.error !== undefined) throw text.error;
    if (text.json !== undefined) {
      module.exports = parseJson(text.json, found.display);
      return;
    }
    module.require = makeRequire(found.id);
    const args = [module.exports, module.require, module, found.filename, found.dirname];
    if (text.body.length > args.length) args[args.length] = process(); // the code of a package that uses it
    apply(text.body, module.exports, args);
  };

  // resolver returns the function import.meta.resolve of a module.
  const resolver = (from) => function resolve(specifier) {
    const found = bridge.urlOf(`${specifier}`, from);
    if (found.refused !== undefined) throw refusal(found.refused);
    return found.url;
  };

  const makeRequire = (from) => {
    function require(specifier) {
      if (typeof specifier !== 'string') throw new RealmTypeError('The "id" argument must be of type string');
      return load(bridge.find(specifier, from));
    }
    require.resolve = function resolve(specifier) {
      const found = bridge.find(`${specifier}`, from);
      if (found.refused !== undefined) throw refusal(found.refused);
      return found.builtIn ?? found.filename;
    };
    require.cache = create(null);
    require.main = undefined;
    return require;
  };

  // standIn returns an object in place of a built-in that is not allowed. Many packages load built-ins that they do not
  // use, so only a use throws: the error that a script would get from `require`.
  const standIns = create(null);
  const standIn = (name, path = name) => {
    if (path in standIns) return standIns[path];
    const refuse = () => { throw refusal({ message: `${path} is not available: ${bridge.refusal(name)}`, code: 'ERR_ACCESS_DENIED' }); };
    const stand = new RealmProxy(function () {}, {
      get(target, key) {
        if (typeof key === 'symbol' || key === 'then' || key === '__esModule') return undefined;
        if (key === 'prototype' || key in target) return target[key];
        return standIn(name, `${path}.${key}`);
      },
      apply: refuse,
      construct: refuse,
    });
    standIns[path] = stand;
    return stand;
  };

  const constant = (value) => () => value;
  const own = {
    __proto__: null,
    process: () => process(),
    os: () => ({
      EOL: '\n', arch: constant('x64'), cpus: () => [], endianness: constant('LE'), freemem: constant(0), homedir: constant('/'), hostname: constant('localhost'),
      platform: constant('linux'), release: constant(''), tmpdir: constant('/tmp'), totalmem: constant(0), type: constant('Linux'), uptime: constant(0), version: constant(''),
      constants: { signals: {} },
    }),
    tty: () => ({ isatty: constant(false) }),
    fs: () => files(standIn('fs')),
    module: () => ({ createRequire: (url) => makeRequire(bridge.idOf(`${url}`)), builtinModules: parse(bridge.builtInNames()), isBuiltin: (name) => bridge.isBuiltIn(`${name}`) }),
    http: () => withNames('http'),
    https: () => standIn('https'),
  };
  const made = create(null);
  const builtIn = (found) => {
    if (found.module !== undefined) return found.module;
    const { builtIn: name } = found;
    made[name] ??= name in own ? own[name]() : standIn(name);
    return made[name];
  };

  const withNames = (name) => {
    const stand = standIn(name);
    const { methods, statuses } = parse(bridge.httpNames());
    stand.METHODS = methods;
    stand.STATUS_CODES = statuses;
    return stand;
  };

  // files is the part of node:fs that packages may use: reading files of packages.
  const files = (rest) => {
    const fail = (path) => {
      const error = new RealmError(`ENOENT: no such file or directory, open '${path}'`);
      error.code = 'ENOENT';
      error.errno = -2;
      return error;
    };
    const readFileSync = (path, options) => {
      const text = bridge.readPackageFile(`${path}`);
      if (text === undefined) throw fail(path);
      const encoding = typeof options === 'string' ? options : options?.encoding;
      return encoding ? text : bridge.buffer(text);
    };
    const existsSync = (path) => bridge.packageFileKind(`${path}`) !== 'none';
    const statSync = (path) => {
      const kind = bridge.packageFileKind(`${path}`);
      if (kind === 'none') throw fail(path);
      return { isFile: () => kind === 'file', isDirectory: () => kind === 'directory', isSymbolicLink: () => false };
    };
    return new RealmProxy({ readFileSync, existsSync, statSync, lstatSync: statSync, realpathSync: (path) => path }, {
      get: (target, key) => (key in target ? target[key] : rest[key]),
    });
  };

  // process is a `process` that reveals nothing and can do no harm.
  let theProcess;
  const process = () => {
    if (theProcess !== undefined) return theProcess;
    const stream = (level) => ({ isTTY: false, columns: 80, fd: -1, write(text) { bridge.print(level, [`${text}`.replace(/\n$/, '')]); return true; }, on: nothing, once: nothing, emit: nothing, end: nothing });
    const started = bridge.now();
    const seconds = () => (bridge.now() - started) / 1e3;
    const hrtime = (before) => {
      const now = seconds();
      const whole = Math.floor(now);
      const rest = Math.floor((now - whole) * 1e9);
      if (before === undefined) return [whole, rest];
      return rest < before[1] ? [whole - before[0] - 1, rest - before[1] + 1e9] : [whole - before[0], rest - before[1]];
    };
    hrtime.bigint = () => BigInt(Math.floor(seconds() * 1e9));
    const chained = () => theProcess;
    theProcess = {
      title: 'node', version: bridge.version, versions: { node: bridge.version.slice(1) }, release: { name: 'node' }, arch: 'x64', platform: 'linux',
      pid: 1, ppid: 0, argv: ['node'], argv0: 'node', execArgv: [], execPath: '/node', exitCode: undefined, features: {}, config: {},
      env: { NODE_ENV: 'production' },
      stdout: stream('log'), stderr: stream('error'),
      cwd: () => '/', uptime: seconds, hrtime, umask: () => 0o22, memoryUsage: () => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }),
      nextTick(callback, ...args) { queueMicrotask(() => apply(callback, undefined, args)); },
      emitWarning: nothing, emit: () => false, listeners: () => [], listenerCount: () => 0,
      on: chained, once: chained, off: chained, addListener: chained, removeListener: chained, removeAllListeners: chained, prependListener: chained, setMaxListeners: chained,
      exit() { throw refusal({ message: 'process.exit is not available', code: 'ERR_ACCESS_DENIED' }); },
    };
    defineProperty(theProcess, Symbol.toStringTag, { value: 'process', configurable: true });
    return theProcess;
  };

  return freeze({
    load,
    resolver,
    refusal,
    require: makeRequire(bridge.root),
  });
})
