'use strict';
// Packages of the image: found by Node's rules, and evaluated in the call's context with a harmless `process`.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test, before, after } = require('node:test');
const { start } = require('./link.js');

const FILES = {
  'plain/package.json': '{"main":"./lib/main"}',
  'plain/lib/main.js': 'exports.n = 1; exports.set = (x) => { exports.n = x }; exports.realm = Array; exports.here = [__filename, __dirname]',
  'plain/lib/other.js': 'module.exports = "other"',
  'dual/package.json': '{"exports":{".":{"import":"./e.mjs","require":"./c.cjs"},"./sub/*":"./sub/*.js","./none":null}}',
  'dual/e.mjs': 'export default "esm"; export const name = "esm"',
  'dual/c.cjs': 'module.exports = "cjs"',
  'dual/sub/a.js': 'module.exports = "a"',
  'dual/secret.js': '',
  'esm/package.json': '{"type":"module","exports":"./index.js"}',
  'esm/index.js': 'import { readFileSync } from "fs"; import { inner } from "./inner.js"; export const env = process.env.NODE_ENV; export { inner }; export default readFileSync',
  'esm/inner.js': 'import process from "process"; export const inner = process.platform',
  'json/package.json': '{"main":"data.json"}',
  'json/data.json': '{"a":[1]}',
  '@scope/one/index.js': 'module.exports = require("dep")',
  '@scope/one/node_modules/dep/index.js': 'module.exports = "nested"',
  'dep/index.js': 'module.exports = "top"',
  'needs/index.js': 'const fs = require("fs"); const net = require("net"); const https = require("https"); class A extends net.Socket {}; exports.data = fs.readFileSync(__dirname + "/data.txt", "utf8"); exports.read = (f) => fs.readFileSync(f, "utf8"); exports.listen = () => net.createServer(); exports.make = () => new A(); exports.get = () => https.get("https://x.test/"); exports.methods = require("http").METHODS.length; exports.os = require("os").EOL',
  'needs/data.txt': 'its own',
  'proc/index.js': 'module.exports = process; process.env.SEEN = (process.env.SEEN ?? "") + "x"',
  'native/index.js': 'try { module.exports = require("./a.node") } catch { throw new Error("try npm rebuild") }',
  'native/a.node': '',
  'throws/index.js': 'throw new TypeError("at load")',
  'wasm/index.mjs': 'export default 1',
  'timer/index.js': 'setInterval(() => {}, 10); module.exports = "ticks"',
  'poison/index.js': 'Array.prototype.poison = 1; Object.prototype.poison = 1; module.exports = 1',
  'declares/index.js': 'const process = "its own"; module.exports = process',
  'amb/index.js': 'module.exports = require("./esm.js")',
  'amb/esm.js': 'export const a = 1',
  'npm/index.js': 'module.exports = 1',
};

let root;
let agent;
before(async () => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'jsd-packages-'));
  fs.writeFileSync(path.join(root, 'outside.js'), 'module.exports = "outside"');
  for (const [file, text] of Object.entries(FILES)) {
    fs.mkdirSync(path.dirname(path.join(root, 'node_modules', file)), { recursive: true });
    fs.writeFileSync(path.join(root, 'node_modules', file), text);
  }
  fs.symlinkSync('../outside.js', path.join(root, 'node_modules', 'link.js'));
  fs.mkdirSync(path.join(root, 'node_modules', 'links'));
  fs.symlinkSync('../../outside.js', path.join(root, 'node_modules', 'links', 'index.js'));
  fs.symlinkSync('nowhere', path.join(root, 'node_modules', '@dangling'));
  fs.symlinkSync('dep', path.join(root, 'node_modules', 'alias'));
  agent = await start({}, { JSD_PACKAGES: path.join(root, 'node_modules') });
});
after(async () => {
  await agent.close();
  fs.rmSync(root, { recursive: true });
});

const rows = [
  ['main', 'require("plain").n', 1],
  ['a file of a package', 'require("plain/lib/other")', 'other'],
  ['a file that is not there', 'require("plain/nothing")', /^Cannot find module 'plain\/nothing': its package has no such file/],
  ['of the script\'s own realm', 'require("plain").realm === Array', true],
  ['where it thinks it is', 'require("plain").here', ['/packages/plain/lib/main.js', '/packages/plain/lib']],
  ['exports, required', 'require("dual")', 'cjs'],
  ['exports, imported', 'import("dual").then((m) => m.default)', 'esm'],
  ['exports, a pattern', 'require("dual/sub/a")', 'a'],
  ['exports, not named', 'require("dual/secret.js")', /does not export that/],
  ['exports, null', 'require("dual/none")', /does not export that/],
  ['an ES module only, required', 'require("esm").inner', 'linux'],
  ['an ES module only, imported', 'import { env } from "esm"; env', 'production'],
  ['JSON', 'require("json")', { a: [1] }],
  ['a scope, and its nested dependency', 'require("@scope/one")', 'nested'],
  ['another one by a way round', 'require("plain/../dep")', /it leads out of its package/],
  ['npm by a way round', 'require("plain/../npm/index.js")', /it leads out of its package/],
  ['another one through a pattern', 'require("dual/sub/../../dep/index")', /it leads out of its package/],
  ['one with a process of its own', 'require("declares")', 'its own'],
  ['one that is CommonJS and hands on', 'import("amb").then((m) => m.default.a)', 1],
  ['a file of that one, later', 'require("amb/esm.js").a', 1],
  ['a link inside', 'require("alias")', 'top'],
  ['a link that leads out', 'require("links")', /Cannot find module 'links'/],
  ['a file beside the packages', 'require("link.js")', /no package of that name/],
  ['nothing of the kind', 'require("nothing")', /^Cannot find module 'nothing': no package of that name is in the runtime image$/],
  ['npm itself', 'require("npm")', /no package of that name/],
  ['a native add-on', 'require("native")', /^Cannot find module 'node_modules\/native\/a.node': it is a native add-on/],
  ['one that throws', 'require("throws")', /^at load$/],
  ['with `new` before it', 'typeof new require("plain")', 'object'],
  ['a file of its own, read', 'require("needs").data', 'its own'],
  ['a file of the machine, not', 'require("needs").read("/etc/passwd")', /ENOENT/],
  ['a file by a way round, not', 'require("needs").read("/packages/../../../../etc/passwd")', /ENOENT/],
  ['a built-in that it may not use', 'require("needs").listen()', /net\.createServer is not available: there are no hosts that scripts may reach/],
  ['a class on such a one', 'require("needs").make()', /net\.Socket is not available/],
  ['the network', 'require("needs").get()', /https\.get is not available/],
  ['what is harmless', '[require("needs").methods > 20, require("needs").os]', [true, '\n']],
  ['a process that ends nothing', 'require("proc").exit(1)', /process.exit is not available/],
  ['a process without secrets', 'Object.keys(require("proc").env).sort()', ['NODE_ENV', 'SEEN']],
  ['a process that is not the worker\'s', 'require("proc").constructor.constructor === Function', true],
  ['no process for the script', 'require("proc"); typeof process', 'undefined'],
];

for (const [name, code, want] of rows) {
  test(name, async () => {
    const got = await agent.run({ code });
    if (want instanceof RegExp) assert.match(got.message ?? JSON.stringify(got), want);
    else assert.deepEqual(got.value, want, JSON.stringify(got));
  });
}

test('hello names the packages', () => {
  const { modules } = agent.hello;
  assert.ok(['assert', 'plain', '@scope/one', 'esm'].every((name) => modules.includes(name)));
  assert.ok(!modules.includes('npm') && !modules.includes('fs') && !modules.includes('link.js'));
});

test('the state of a package does not outlast a call', async () => {
  for (let i = 0; i < 6; i++) {
    assert.equal((await agent.run({ code: 'const p = require("plain"); p.set(p.n + 1); require("plain").n' })).value, 2);
    assert.equal((await agent.run({ code: 'require("proc").env.SEEN' })).value, 'x');
    assert.deepEqual((await agent.run({ code: 'require("poison"); [].poison' })).value, 1);
    assert.equal((await agent.run({ code: 'typeof [].poison' })).value, 'undefined');
    assert.equal((await agent.run({ code: 'require("timer")' })).value, 'ticks');
  }
});

test('a list of modules allows the names in it, and nothing else', async () => {
  const own = await start({ modules: ['path', 'plain'] }, { JSD_PACKAGES: path.join(root, 'node_modules') });
  try {
    assert.deepEqual(own.hello.modules, ['path', 'plain']);
    assert.equal((await own.run({ code: 'require("plain").n + require("path").sep' })).value, '1/');
    for (const name of ['dep', 'util', 'fs']) {
      const { message } = await own.run({ code: `require("${name}")` });
      assert.equal(message, `Cannot find module '${name}': it is not in the list of modules that scripts may use (jsd serve --modules)`);
      assert.match((await own.run({ code: `import("${name}")` })).message, /is not in the list/);
    }
  } finally {
    await own.close();
  }
});

test('source trees and packages together', async () => {
  const files = { 'index.mjs': 'import dual from "dual"; import plain from "plain"; import other from "./lib/c.cjs"; export default [dual, plain.n, other]', 'lib/c.cjs': 'module.exports = require("dual")' };
  assert.deepEqual((await agent.run({ files, file: 'index.mjs' })).value, ['esm', 1, 'cjs']);
});
