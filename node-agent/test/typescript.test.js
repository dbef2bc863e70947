'use strict';
// TypeScript: types are removed, and everything else stays where it is.

const assert = require('node:assert/strict');
const { test, before, after } = require('node:test');
const { start } = require('./link.js');

let agent;
before(async () => { agent = await start(); });
after(() => agent.close());

test('code', async () => {
  const code = 'interface A { n: number }\nfunction f(cb: (n: number) => void): void { const a: A = { n: 2 }; cb(a.n as number) }';
  assert.equal((await agent.run({ code, call: 'f', language: 'typescript' })).value, 2);
  assert.equal((await agent.run({ code, call: 'f' })).name, 'SyntaxError');
});

test('code with await and a last expression', async () => {
  assert.equal((await agent.run({ code: 'const a: number = await Promise.resolve(3); a + 1', language: 'typescript' })).value, 4);
});

test('a source tree', async () => {
  const files = {
    'index.ts': 'import type { N } from "./n.ts"; import { one } from "./one.ts"; import { two } from "./two.mts"; import three from "./three.cts";\nexport const f = (n: N): N => n + one + two + three',
    'n.ts': 'export type N = number',
    'one.ts': 'export const one = 1',
    'two.mts': 'export const two: number = 2',
    'three.cts': 'module.exports = 3 as number',
  };
  assert.equal((await agent.run({ files, file: 'index.ts', call: 'f', args: [4] })).value, 10);
});

test('stacks have the lines and columns of the source', async () => {
  const files = { 'index.ts': 'interface A {\n  a: number\n}\n\nexport default function f(): void { const a: A = { a: 1 }; throw new RangeError(`${a.a}`) }' };
  assert.equal((await agent.run({ files, file: 'index.ts' })).stack, 'RangeError: 1\n    at f (index.ts:5:66)');
  const code = 'type A = string\nconst x: A = "y"; throw new Error(x)';
  assert.equal((await agent.run({ code, language: 'typescript' })).stack, 'Error: y\n    at script.js:2:25');
});

for (const [what, code] of [['enum', 'enum A { B }'], ['namespace', 'namespace A { export const b = 1 }'], ['parameter property', 'class A { constructor(private a: number) {} }'], ['nonsense', 'let a: = 1']]) {
  test(`${what} is a SyntaxError`, async () => {
    const got = await agent.run({ code, language: 'typescript' });
    assert.deepEqual([got.code, got.name], [1000, 'SyntaxError']);
    assert.notEqual(got.message, '');
    const folder = await agent.run({ files: { 'index.ts': `import "./a.ts"`, 'a.ts': code }, file: 'index.ts' });
    assert.deepEqual([folder.code, folder.name], [1000, 'SyntaxError']);
    const caught = 'export default import("./a.ts").catch((e) => [e.name, e instanceof SyntaxError])';
    assert.deepEqual((await agent.run({ files: { 'index.mjs': caught, 'a.ts': code }, file: 'index.mjs' })).value, ['SyntaxError', true]);
    const required = 'try { require("./a.ts") } catch (e) { module.exports = [e.name, e instanceof SyntaxError] }';
    assert.deepEqual((await agent.run({ files: { 'index.cjs': required, 'a.ts': code }, file: 'index.cjs' })).value, ['SyntaxError', true]);
  });
}
