package attack

import (
	"encoding/json"
	"fmt"
)

// Files, packages and built-ins by names that mean something else than they say.
func modulesTheme() theme {
	refused := func(name, tries, code string, files script) attack {
		return attack{name: name, tries: tries, want: `[]`, script: script{"files": script{"index.mjs": `
import { createRequire } from './required.cjs';
const got = [], require = createRequire;
const attempt = async (specifier) => {
  try { require(specifier); got.push('require ' + specifier) } catch (e) { if (!(e instanceof Error)) got.push('not mine ' + specifier) }
  try { await import(specifier); got.push('import ' + specifier) } catch (e) { if (!(e instanceof Error)) got.push('not mine ' + specifier) }
  try { const url = import.meta.resolve(specifier); if (!/^(node:|file:\/\/\/script\/)/.test(url)) got.push(url) } catch {} // names are no secret
};
` + code + `
export default got`, "required.cjs": "exports.createRequire = require;"}.with(files)}}
	}
	list := func(specifiers ...string) string {
		text, _ := json.Marshal(specifiers)
		return "for (const specifier of " + string(text) + ") await attempt(specifier);"
	}
	return theme{name: "modules", attacks: []attack{
		refused("..", "paths that climb out of the folder, plain and by detours",
			list("..", "../etc/passwd", "./../../etc/passwd", "./a/../../../etc/passwd", ".//..//..//etc/passwd", "./..", "../opt/jsd/worker/worker.js", "./node_modules/../../opt/jsd/agent/agent.js", "x/../../../etc/passwd"), nil),
		refused("absolute paths", "files of the image by their whole names",
			list("/etc/passwd", "/opt/jsd/agent/agent.js", "/proc/self/environ", "//etc/passwd", "/script/../etc/passwd", "/packages/../opt/jsd/agent/agent.js", "/packages", "/usr/local/lib/node_modules/npm", "/script/../opt/jsd/shared/frames.js"), nil),
		refused("URLs", "file:, data:, http:, blob: and node: URLs",
			list("file:///etc/passwd", "file:///script/../etc/passwd", "file:///script/%2e%2e/etc/passwd", "file://localhost/etc/passwd", "FILE:///etc/passwd", "data:text/javascript,export default 1", "http://127.0.0.1:$FORBIDDEN/x.js", "https://example.com/x.js", "blob:nodedata:1", "node:fs/../path", "node:process", "jsd:realm", "wasm:x"), nil),
		refused("encodings", "what may mean a slash or a dot: percent, backslash, NUL, full-width, surrogates",
			list("./%2e%2e/%2e%2e/etc/passwd", "..%2fetc%2fpasswd", "..\\etc\\passwd", "./\u0000/../../etc/passwd", "./index.mjs\u0000", "\uff0e\uff0e/etc/passwd", "./..;/etc/passwd", "./..%c0%af/etc/passwd", "%66s", "node:%66s", " fs", "fs ", "FS", "node:FS", "fs/", "fs/promises/../../fs"), nil),
		refused("exports", "a package of the folder's own, whose exports lead out",
			list("out", "out/a", "out/b/c", "out/d", "out/../../x", "out/e/../../../etc/passwd"), script{
				"node_modules/out/package.json": `{"name":"out","exports":{".":"/etc/passwd","./a":"../../../../etc/passwd","./b/*":"./../../../etc/*","./d":["./../../x","file:///etc/passwd"],"./e/*":"./*"}}`,
			}),
		refused("imports", "a package.json whose imports name files, URLs and built-ins",
			list("#a", "#b", "#c", "#d", "#e/fs", "#f"), script{
				"package.json": `{"imports":{"#a":"/etc/passwd","#b":"./../../etc/passwd","#c":"node:fs","#d":"file:///etc/passwd","#e/*":"node:*","#f":{"node":"child_process","default":"fs"}}}`,
			}),
		refused("main", "a main that leads out, names a folder, itself, or is no string",
			list("m1", "m2", "m3", "m4", "m5"), script{
				"node_modules/m1/package.json": `{"main":"../../../etc/passwd"}`, "node_modules/m2/package.json": `{"main":"/opt/jsd/agent/agent.js"}`,
				"node_modules/m3/package.json": `{"main":{"toString":1}}`, "node_modules/m4/package.json": `{"main":"."}`, "node_modules/m5/package.json": `[`,
			}),
		refused("createRequire and binding", "names that only Node's inside has, and those that end in .node, .wasm or .json",
			list("internal/bootstrap/realm", "node:internal/modules/cjs/loader", "internalBinding", "binding", "_linklist", "./x.node", "./x.wasm", "module", "node:module", "vm", "node:vm", "worker_threads", "node:sea", "node:sqlite", "node:test"), script{
				"x.node": "\x7fELF", "x.wasm": "\x00asm",
			}),
		refused("npm's own", "packages that are npm's, and what is beside the packages of the image",
			list("npm", "npm/lib/cli.js", "corepack", "npm/package.json", "npm/node_modules/semver", ".package-lock.json", "@", "@/x", "@npmcli/run-script", "node_modules", "jsd-runtime"), nil),
		{
			name: "deep and wide", tries: "a graph of modules that require each other in a circle, 500 of them",
			script: script{"files": circles(500)}, want: `500`,
		},
		{
			name: "a patched require", tries: "another call's modules, by the cache and by prototypes of module objects",
			script: script{"files": script{"index.js": `const { f } = require('./f.js'); require.cache['/script/f.js'] = { exports: { f: () => 'patched' } };
Object.getPrototypeOf(module).poisoned = 1; module.constructor._load = () => 'loaded'; require('./f.js').f = () => 'mine';
exports.g = () => [f(), require('./f.js').f()]`, "f.js": "exports.f = () => 'f'"}, "call": "g"},
			want: `["f","mine"]`,
		},
	}}
}

// circles is a folder of modules, each of which requires the next, and the last the first.
func circles(n int) script {
	files := script{"index.js": "globalThis.loaded = 0; require('./0.js'); module.exports = globalThis.loaded"}
	for i := range n {
		files[fmt.Sprintf("%d.js", i)] = fmt.Sprintf("loaded++; require('./%d.js')", (i+1)%n)
	}
	return files
}
