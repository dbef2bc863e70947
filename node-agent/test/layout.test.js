'use strict';
// What the files of the agent may know of each other.

const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');
const files = ['agent', 'worker', 'shared'].flatMap((dir) => fs.readdirSync(path.join(root, dir)).map((name) => `${dir}/${name}`));
const read = (file) => fs.readFileSync(path.join(root, file), 'utf8');
const required = (file) => [...read(file).matchAll(/require\('(\.[^']+)'\)/g)].map(([, name]) => path.posix.join(path.posix.dirname(file), name));

test('a file requires files of its own process, and shared ones', () => {
  for (const file of files) {
    const dir = path.posix.dirname(file);
    for (const other of required(file)) assert.ok([dir, 'shared'].includes(path.posix.dirname(other)), `${file} requires ${other}`);
  }
});

test('no circle of files', () => {
  const follow = (file, above) => {
    assert.ok(!above.includes(file), [...above, file].join(' → '));
    for (const other of required(file)) follow(other, [...above, file]);
  };
  files.forEach((file) => follow(file, []));
});

test('error codes have their numbers in shared/failures.js alone', () => {
  for (const file of files) {
    if (file !== 'shared/failures.js') assert.doesNotMatch(read(file), /\b100\d\b/, file);
  }
});
