'use strict';

const { test } = require('node:test');
const assert = require('node:assert/strict');
const { start } = require('./link.js');

test('an agent answers each ping, also while all its workers are busy', async () => {
  const agent = await start({ concurrency: 2, workers: 1 });
  await agent.ping();
  const calls = [1, 2].map(() => agent.run({ code: 'while (true) {}' }, { timeout: 1000 }));
  await Promise.all([agent.ping(), agent.ping(), agent.ping()]);
  for (const { code } of await Promise.all(calls)) assert.equal(code, 1002);
  await agent.ping();
  assert.deepEqual(agent.strays, []);
  await agent.close();
});
