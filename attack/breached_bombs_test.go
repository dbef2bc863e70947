package attack

// What uses up a container: each costs that container, at most, and all of it is given back.
func bombsTheme() theme {
	return theme{name: "breached-bombs", breached: true, attacks: []attack{
		costs("forks", "processes that make processes, in sessions of their own", `return await attempt(() => { probe('forks', 60) }) !== undefined`, `true`, lost, "1002 wall").within(8000),
		costs("a shell's fork bomb", "functions of a shell that call themselves twice", `await attempt(() => shell(':(){ :|:& };:; sleep 2')); return 'over'`, `"over"`, lost, "1002 wall").within(8000),
		costs("threads", "threads that wait: no more than the container may have processes", `const got = await attempt(() => probe('threads', 100000));
return typeof got !== 'number' || got < 128`, `true`, lost),
		costs("memory", "four times the container's memory, page by page", `return await attempt(() => probe('memory', 1024)) === 1024`, `false`, lost, "1004 memory"),
		costs("memory of many", "eight processes that each take half of the container's memory", `for (let i = 0; i < 8; i++) child.spawn('/opt/jsd/probe', ['memory',
'128'], { detached: true }); await sleep(1500); return 'over'`, `"over"`, lost, "1004 memory"),
		costs("disk", "files in /tmp without end: no more than its size, and nowhere else", `
let bytes = 0, n = 0; const chunk = Buffer.alloc(1 << 20, 1); try { for (;;) { const fd = fs.openSync('/tmp/MARKER' + n++, 'w');
for (let i = 0; i < 8; i++) bytes += fs.writeSync(fd, chunk); fs.closeSync(fd) } } catch (e) { return [e.code, bytes <= 16 << 20, bytes > 1 << 20] }`, `["ENOSPC",true,true]`, lost),
		costs("inodes", "empty files without end, and links, folders and pipes", `
let n = 0; try { for (;;) { fs.writeFileSync('/tmp/MARKER' + n, ''); n++; if (n > 20000) return 'more' } } catch (e) { return [e.code, n < 5000] }`, `["ENOSPC",true]`, lost).gvisor(`"more"`, "1002 wall"),
		costs("deep folders", "folders in folders, as deep as it goes", `
process.chdir('/tmp'); let n = 0; try { for (; n < 6000; n++) { fs.mkdirSync('d'); process.chdir('d') } } catch {} return n < 5000`, `true`, lost).gvisor(`false`, "1002 wall"),
		costs("sparse files", "a file of a terabyte that takes nothing, mapped and copied", `const fd = fs.openSync('/tmp/MARKER', 'w+');
return await attempt(() => { fs.ftruncateSync(fd, 2 ** 40);
fs.copyFileSync('/tmp/MARKER', '/tmp/MARKER2') }) === 'done' && fs.statSync('/tmp/MARKER2').blocks * 512 > 16 << 20`, `false`, lost, "1002 wall").within(5000),
		costs("descriptors", "files open in one process, up to its limit", `let n = 0; try { for (;;) { fs.openSync('/opt/jsd/agent/agent.js');
n++ } } catch (e) { return [e.code, n <= 1024] }`, `["EMFILE",true]`, lost),
		costs("descriptors of many", "files open in as many processes as there may be", `
for (let i = 0; i < 100; i++) { try { child.spawn('/bin/sh', ['-c',
'i=3; while [ $i -lt 1000 ]; do eval "exec $i</dev/null" || break; i=$((i+1)); done; sleep 5'], { detached: true, stdio: 'ignore' }).on('error', () => {}) } catch {} }
await sleep(2000); return 'over'`, `"over"`, lost, "1002 wall").within(15_000),
		costs("pipes", "pipes filled to the brim", `
const all = [];
for (let i = 0; i < 100; i++) { try { const p = child.spawn('/opt/jsd/probe', ['sleep', '20'], { stdio: ['pipe', 'ignore', 'ignore'] });
p.on('error', () => {}); p.stdin.on('error', () => {}); p.stdin.write(Buffer.alloc(1 << 20)); all.push(p) } catch { break } } await sleep(500);
return all.length > 1`, `true`, lost, "1004 memory"),
		costs("processor", "fifty loops: no more than the container's share of the processors", `child.spawn('/bin/sh', ['-c',
'for i in 1 2 3 4 5 6 7 8 9 0; do for j in 1 2 3 4 5; do (while :; do :; done) & done; done'], { stdio: 'ignore', detached: true }).unref();
await sleep(2000); return 'over'`, `"over"`, lost, "1002 wall").within(5000),
		costs("caches", "reading everything there is, again and again, so that the machine's page cache is its own", `return await attempt(() => shell('for i in 1 2; do cat /usr/bin/* /usr/lib/x86_64-linux-gnu/* >/dev/null 2>&1; done; echo read', { timeout: 8000 }).trim())`, `"read"`, `"ETIMEDOUT"`, lost, "1002 wall").within(15_000),
		costs("a worker's output", "frames of the largest kind to the agent, faster than it can pass them on", `
const big = encode(11, { name: 'never' }, JSON.stringify(['x'.repeat(4 << 20)])); for (;;) say(3, big)`, lost).with(script{"callbacks": []string{"never"}}).silent("never"),
	}}
}
