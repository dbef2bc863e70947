'use strict';
// What realm.js gets of the worker: plain functions that end in the run which has taken the context.
// Between calls there is none, and nothing happens.

const { isBuiltin } = require('node:module');
const util = require('node:util');
const { METHODS } = require('../shared/console.js');
const { isAgentFile } = require('../shared/failures.js');
const { isInstance, SHARED_CLASSES } = require('../shared/modules.js');

function hostOf(modules, lazyGlobals) {
  const host = {
    run: undefined,
    consoleMethods: METHODS,
    lazyGlobals,
    isPromise: util.types.isPromise,
    fail: (error) => host.run?.fail(error),
    print: (method, args) => host.run?.print(method, args),
    callback: (name, args, settle) => host.run?.callback(name, args, settle),
    setTimer: (kind, delay, fire) => (host.run === undefined ? 0 : host.run.setTimer(kind, delay, fire)),
    clearTimer: (id) => host.run?.clearTimer(id),
    sharedClasses: SHARED_CLASSES,
    taint: () => modules.taint(),
    isAgentFile,
    isInstance,
    isBuiltIn: (name) => isBuiltin(name),
    requireModule: (name) => host.run?.loader.require(name),
    allows: (name) => modules.allows(name),
    require: (name) => modules.require(name),
    borrow: (name) => modules.borrow(name),
  };
  return host;
}

module.exports = { hostOf };
