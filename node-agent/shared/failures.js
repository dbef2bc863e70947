'use strict';
// Turns whatever a script threw into data. Everything here may meet an object made to break it (a
// getter that throws, a Proxy, a name that is no string), so each look at it is taken alone and may fail.

const path = require('node:path');
const util = require('node:util');

const CODE = Object.freeze({
  exception: 1000,
  notImplemented: 1001,
  timeout: 1002,
  cancelled: 1003,
  limitExceeded: 1004,
  lost: 1005,
  notSerializable: 1008,
  notFound: 1009,
});

const MAX_STACK = 1024 * 1024; // characters of a stack that are looked at
const MAX_TEXT = 16 * 1024; // characters of a name, message or stack that go into a reply

const clip = (text, most = MAX_TEXT) => (text.length > most ? text.slice(0, most) + '…' : text);

// text reads a property that should be a string; anything else counts as absent.
function text(object, name, most = MAX_TEXT) {
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

const ROOT = path.dirname(__dirname); // of all files that agent and workers consist of
// A frame of the agent's own: its files, Node's, and the realm's start-up code.
const AGENT_FRAME = new RegExp(`(?:\\(|at (?:async )?)(?:node:|jsd:|(?:file://)?${RegExp.escape(ROOT)})`);
// isAgentFile says the same of a file's name.
const isAgentFile = (name) => typeof name === 'string' && (/^(?:node|jsd):/.test(name) || name.startsWith(`${ROOT}/`) || name.startsWith(`file://${ROOT}/`));
const FRAME = /^\s+at /;
const NATIVE_FRAME = /<anonymous>\)?$/;

// placed gives the stack of a source that does not parse a frame for the place. V8 puts that in front, with a
// picture of the line, in which the agent's own wrapping could be seen.
function placed(lines) {
  const place = /^(.+:\d+)$/.exec(lines[0])?.[1];
  const head = lines.findIndex((line) => /^\w*Error\b/.test(line));
  if (place === undefined || head < 1) return lines;
  const behind = lines.slice(head).findIndex((line) => FRAME.test(line));
  const message = behind < 0 ? lines.slice(head) : lines.slice(head, head + behind);
  return [...message, `    at ${place}`, ...(behind < 0 ? [] : lines.slice(head + behind))];
}

// ownFrames leaves the script's own frames of a stack, and native ones (JSON.parse) that it called.
function ownFrames(stack) {
  if (stack === undefined) return undefined;
  const lines = placed(stack.split('\n')).filter((line) => !FRAME.test(line) || !AGENT_FRAME.test(line));
  while (lines.length > 0 && FRAME.test(lines.at(-1)) && NATIVE_FRAME.test(lines.at(-1))) lines.pop();
  return clip(lines.join('\n'));
}

// exception describes something thrown: {code, name, message, stack}, all strings or undefined.
function exception(thrown) {
  if (typeof thrown === 'string') return { code: CODE.exception, name: clip(thrown) };
  if (thrown === null || (typeof thrown !== 'object' && typeof thrown !== 'function')) {
    return { code: CODE.exception, name: String(thrown) };
  }
  const stack = ownFrames(text(thrown, 'stack', MAX_STACK));
  const message = text(thrown, 'message') ?? (stack === undefined ? inspect(thrown) : undefined);
  return { code: CODE.exception, name: text(thrown, 'name') ?? 'Error', message, stack };
}

// notSerializable describes what JSON.stringify threw.
function notSerializable(thrown) {
  return { ...exception(thrown), code: CODE.notSerializable };
}

module.exports = { CODE, exception, isAgentFile, notSerializable, ownFrames };
