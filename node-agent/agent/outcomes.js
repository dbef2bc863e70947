'use strict';
// Checks the outcome that a worker sends. A script may have taken over its worker, so an outcome may have only the
// codes and fields that a worker uses. Whatever else it has is dropped, or costs the worker its life.

const { codes } = require('../shared/failures.js');
const { KIND } = require('../shared/frames.js');

const WORKER_CODES = new Set([codes.exception, codes.notImplemented, codes.notSerializable, codes.limitExceeded]);

const textOf = (value) => (typeof value === 'string' ? value : undefined);
const timeOf = ({ time }) => (Number.isSafeInteger(time) && time >= 0 ? time : 0);
const cpuOf = ({ cpu }) => (Number.isFinite(cpu) && cpu >= 0 ? cpu : undefined);

// outcomeOf returns {value, time, cpu} of a result, or {code, …} of a failure. It throws for a code that no worker
// sends.
function outcomeOf(kind, header, body) {
  if (kind === KIND.result) return { value: body ?? Buffer.from('null'), time: timeOf(header), cpu: cpuOf(header) };
  const { code, name, message, stack } = header;
  if (!WORKER_CODES.has(code)) throw new Error(`a worker does not send code ${code}`);
  if (code === codes.limitExceeded) return { code, limit: 'result' };
  return { code, name: textOf(name), message: textOf(message), stack: textOf(stack) };
}

module.exports = { outcomeOf };
