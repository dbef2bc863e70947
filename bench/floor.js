'use strict';
// Baseline (b), the floor: as many processes as cores, each making contexts and running the script, with
// no socket and no one to answer. Nothing that gives each call a fresh context can do more.
//
//   node floor.js MILLISECONDS   prints {"processes", "runs", "perSecond"}

const { fork } = require('node:child_process');
const { once } = require('node:events');
const { availableParallelism } = require('node:os');
const { performance } = require('node:perf_hooks');
const vm = require('node:vm');

const CODE = 'function run(cb){ cb(a + 1) }';
const WARM_UP = 200; // ms, so that what is measured is compiled code

function runOnce() {
  const context = vm.createContext({ a: 1 });
  vm.runInContext(CODE, context);
  let value;
  vm.runInContext('run', context)((v) => { value = v; });
  if (value !== 2) throw new Error(`the script came to ${value}`);
}

// runFor counts the runs of a span and gives them as a rate too.
function runFor(milliseconds) {
  const started = performance.now();
  let runs = 0;
  let elapsed = 0;
  do {
    runOnce();
    runs++;
    elapsed = performance.now() - started;
  } while (elapsed < milliseconds);
  return { runs, perSecond: (runs * 1000) / elapsed };
}

// All children are ready before any is told to start, so that they compete as calls would.
async function main(milliseconds) {
  const children = Array.from({ length: availableParallelism() }, () => fork(__filename, ['child']));
  await Promise.all(children.map((child) => once(child, 'message')));
  const results = await Promise.all(children.map(async (child) => {
    child.send(milliseconds);
    const [result] = await once(child, 'message');
    child.disconnect();
    return result;
  }));
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  console.log(JSON.stringify({ processes: children.length, runs: sum('runs'), perSecond: Math.round(sum('perSecond')) }));
}

if (process.argv[2] === 'child') {
  process.on('message', (milliseconds) => process.send(runFor(milliseconds)));
  runFor(WARM_UP);
  process.send('ready');
} else {
  main(Number(process.argv[2]) || 1000);
}
