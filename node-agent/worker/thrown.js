'use strict';
// Describes what a script threw as plain data. A script may throw an object that is made to break this code (a getter
// that throws, a Proxy, a name that is no string), so each property is read by itself, and each read may fail.

const path = require('node:path');
const util = require('node:util');
const { codes } = require('../shared/failures.js');

const MAX_STACK = 1024 * 1024; // characters of a stack that are read
const MAX_TEXT = 16 * 1024; // characters of a name, message or stack that go into a reply

const ROOT = path.dirname(__dirname); // the directory of all files that the agent and its workers consist of
const AGENT_FRAME = new RegExp(`(?:\\(|at (?:async )?)(?:node:|jsd:|(?:file://)?${RegExp.escape(ROOT)})`);
const FRAME = /^\s+at /;
const NATIVE_FRAME = /<anonymous>\)?$/;

const clip = (text, most = MAX_TEXT) => (text.length > most ? text.slice(0, most) + '…' : text);

// isAgentFile reports whether a stack frame's file belongs to the agent, to Node, or to the start-up code of a context.
const isAgentFile = (name) => typeof name === 'string' && (/^(?:node|jsd):/.test(name) || name.startsWith(`${ROOT}/`) || name.startsWith(`file://${ROOT}/`));

// readText reads a property that should be a string. It returns undefined for anything else.
function readText(object, name, most = MAX_TEXT) {
  try {
    const value = object[name];
    return typeof value === 'string' && value !== '' ? clip(value, most) : undefined;
  } catch {
    return undefined;
  }
}

function inspect(value) {
  try {
    return clip(util.inspect(value, { depth: 1, customInspect: false, breakLength: Infinity }));
  } catch {
    return undefined;
  }
}

// withPlace turns the place in front of a syntax error's stack into a stack frame. V8 puts the place there, together
// with the source line, which may show the code that the agent wraps around a module.
function withPlace(lines) {
  const place = /^(.+:\d+)$/.exec(lines[0])?.[1];
  const head = lines.findIndex((line) => /^\w*Error\b/.test(line));
  if (place === undefined || head < 1) return lines;
  const behind = lines.slice(head).findIndex((line) => FRAME.test(line));
  const message = behind < 0 ? lines.slice(head) : lines.slice(head, head + behind);
  return [...message, `    at ${place}`, ...(behind < 0 ? [] : lines.slice(head + behind))];
}

// ownFrames removes the agent's frames from a stack. The script's own frames stay, and native functions (JSON.parse)
// that the script called.
function ownFrames(stack) {
  if (stack === undefined) return undefined;
  const lines = withPlace(stack.split('\n')).filter((line) => !FRAME.test(line) || !AGENT_FRAME.test(line));
  while (lines.length > 0 && FRAME.test(lines.at(-1)) && NATIVE_FRAME.test(lines.at(-1))) lines.pop();
  return clip(lines.join('\n'));
}

// exception describes a thrown value as {code, name, message, stack}. Each text is a string or undefined.
function exception(thrown) {
  if (typeof thrown === 'string') return { code: codes.exception, name: clip(thrown) };
  if (thrown === null || (typeof thrown !== 'object' && typeof thrown !== 'function')) {
    return { code: codes.exception, name: String(thrown) };
  }
  const stack = ownFrames(readText(thrown, 'stack', MAX_STACK));
  const message = readText(thrown, 'message') ?? (stack === undefined ? inspect(thrown) : undefined);
  return { code: codes.exception, name: readText(thrown, 'name') ?? 'Error', message, stack };
}

// notSerializable describes what JSON.stringify threw.
function notSerializable(thrown) {
  return { ...exception(thrown), code: codes.notSerializable };
}

module.exports = { exception, isAgentFile, notSerializable, ownFrames };
