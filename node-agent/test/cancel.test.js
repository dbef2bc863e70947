'use strict';
// Cancelling a call in each of its states.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { KIND } = require('../shared/frames.js');
const { start, inFunction } = require('./link.js');

test('cancel: a running call, a waiting call, an unknown call', async () => {
  const agent = await start({ concurrency: 1, workers: 1 });
  const running = agent.start(inFunction('console.log("on"); for (;;);'), { timeout: 20_000 });
  const waiting = agent.start({ code: '1' });
  const last = agent.start({ code: '2' });
  agent.send(KIND.cancel, { id: waiting.id });
  assert.deepEqual(await waiting.outcome, { code: 1003 });
  agent.send(KIND.cancel, { id: 999 });
  agent.send(KIND.cancel, { id: running.id });
  assert.equal((await running.outcome).code, 1003);
  assert.equal((await last.outcome).value, 2);
  agent.send(KIND.cancel, { id: last.id });
  assert.equal((await agent.run({ code: '3' })).value, 3);
  assert.deepEqual(agent.strays, []);
  await agent.close();
});

test('the end of stdin ends the agent, also while a call runs that never ends', async () => {
  const agent = await start();
  agent.run(inFunction('for (;;);'), { timeout: 20_000 });
  assert.deepEqual(await agent.close(), { code: 0, signal: null });
});
