'use strict';
// The bridge between a context and the worker: plain functions for realm.js, which keeps them from the script. They act
// on the call that has the context. Without a call nothing happens.

const { isBuiltin } = require('node:module');
const util = require('node:util');
const { SHARED_CLASSES, isInstance } = require('./built-ins.js');
const { METHODS } = require('./console.js');
const { isAgentFile } = require('./thrown.js');

// makeBridge returns the bridge of one context. Its call is set when a call gets the context.
function makeBridge(builtIns, webGlobals) {
  const bridge = {
    call: undefined,
    consoleMethods: METHODS,
    webGlobals,
    sharedClasses: SHARED_CLASSES,
    isPromise: util.types.isPromise,
    isAgentFile,
    isInstance,
    isBuiltIn: (name) => isBuiltin(name),
    fail: (error) => bridge.call?.fail(error),
    print: (method, args) => bridge.call?.print(method, args),
    callback: (name, args, complete) => bridge.call?.callback(name, args, complete),
    setTimer: (kind, delay, fire) => (bridge.call === undefined ? 0 : bridge.call.setTimer(kind, delay, fire)),
    clearTimer: (id) => bridge.call?.clearTimer(id),
    requireModule: (name) => bridge.call?.loader.require(name),
    allows: (name) => builtIns.allows(name),
    require: (name) => builtIns.require(name),
    builtInGlobal: (name) => builtIns.global(name),
    taint: () => builtIns.taint(),
  };
  return bridge;
}

module.exports = { makeBridge };
