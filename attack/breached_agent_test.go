package attack

import (
	"strings"
	"testing"
)

// What a process of the container's user may do to the others in there: to the agent, to workers of other calls of
// its tenant, to the init. It ends there.
func agentTheme() theme {
	const waits = `; return forever()`
	never := func(words ...string) func(*testing.T, *siege, reply) {
		return func(t *testing.T, _ *siege, got reply) {
			for _, word := range append(words, credential, neighbourSecret) {
				if strings.Contains(got.whole, word) {
					t.Errorf("%q is in the reply", word)
				}
			}
		}
	}
	return theme{name: "breached-agent", breached: true, attacks: []attack{
		costs("kills the agent", "SIGKILL to the agent", `process.kill(agent, 'SIGKILL')`+waits, lost),
		costs("kills all", "SIGKILL to everything it may send to", `process.kill(-1, 'SIGKILL')`+waits, lost),
		costs("kills the init", "signals to the first process of its container, and to the engine's shim by number",
			`for (const signal of ['SIGKILL', 'SIGSTOP', 'SIGSEGV']) for (const pid of [1, 2, 0x7fffff]) await attempt(() => process.kill(pid, signal));
await sleep(200); return fs.readFileSync('/proc/1/stat', 'latin1').length > 0`, `true`, lost),
		costs("stops the agent", "SIGSTOP to the agent, so that it neither answers nor ends", `process.kill(agent, 'SIGSTOP')`+waits, "1002 wall").within(1500),
		costs("signals without end", "every signal there is, to agent and workers, a thousand times over",
			`for (let i = 0; i < 1000; i++) for (const pid of pids()) if (pid !== process.pid) for (let s = 1; s < 65; s++) if (![9,
19].includes(s)) await attempt(() => process.kill(pid, s)); return 'sent'`, lost, `"sent"`),
		costs("a debugger for the agent", "SIGUSR1, by which Node listens for a debugger: there is nothing to listen on",
			`process.kill(agent, 'SIGUSR1'); await sleep(300); return probe('connect', 'tcp', '127.0.0.1:9229')`, `[]`).gvisor(`["127.0.0.1:9229"]`),
		costs("kills its siblings", "SIGKILL to the workers of its tenant's other calls",
			`let n = 0;
for (const pid of pids()) if (pid !== process.pid && read('/proc/' + pid + '/cmdline').includes('worker.js')) { process.kill(pid, 'SIGKILL'); n++ }
return n > 0`, `true`),
		costs("takes the agent's input", "reading calls of its tenant from the pipe, so that the agent does not get them",
			`const fd = linkIn(); fs.readSync(fd, Buffer.alloc(1)); return 'read'`, "1002 wall", `"read"`, lost).within(1500),
		costs("writes the agent's memory", "machine code and data of the agent, by /proc/PID/mem",
			`const maps = read('/proc/' + agent + '/maps').split('\n').filter((line) => / r-xp /.test(line) || / rw-p /.test(line));
const fd = fs.openSync('/proc/' + agent + '/mem', 'r+'); let n = 0; for (const line of maps) { const at = parseInt(line, 16);
try { n += fs.writeSync(fd, Buffer.alloc(4096, 0xcc), 0, 4096, at) } catch {} } return n > 0`, `true`, lost, "1000 Error"),
		costs("limits of the agent", "prlimit, nice and OOM order of the agent: made worse, never better",
			`const got = [];
for (const [file, value] of [['oom_score_adj', '-1000'], ['oom_adj', '-17'], ['oom_score_adj', '-1']]) for (const pid of ['self', agent,
1]) if (await attempt(() => fs.writeFileSync('/proc/' + pid + '/' + file, value)) === 'done') got.push(pid + value);
await attempt(() => fs.writeFileSync('/proc/' + agent + '/oom_score_adj', '1000')); await attempt(() => load('os').setPriority(process.pid, -20));
return [got, load('os').getPriority() < 0, probe('limits')]`, `[[],false,[]]`).gvisor(`[["self-1000","2-1000","1-1000","self-1","2-1","1-1"],true,[]]`),
		costs("forged frames to a sibling", "writing into the sockets between agent and other workers, by /proc/PID/fd",
			`let n = 0;
for (const pid of pids()) if (pid !== process.pid) for (const fd of [0, 1, 2, 3, 18, 19, 20, 21, 22,
23]) if (await attempt(() => { const it = fs.openSync('/proc/' + pid + '/fd/' + fd, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
if (fs.readlinkSync('/proc/' + pid + '/fd/' + fd).startsWith('socket')) n++; fs.closeSync(it) }) === 'done'); return n`, `0`, lost),
		holds("secrets of its tenant", "memory of workers beside it: whatever is in there is its own tenant's, and no other's",
			`let text = ''; for (const pid of pids()) { if (pid === process.pid) continue;
text += read('/proc/' + pid + '/environ') + read('/proc/' + pid + '/cmdline'); await attempt(() => { const fd = fs.openSync('/proc/' + pid + '/mem');
for (const line of read('/proc/' + pid + '/maps').split('\n')) { if (!/ rw-p /.test(line)) continue;
const [from, to] = line.split(' ')[0].split('-').map((x) => parseInt(x, 16)); if (to - from > 1 << 26) continue; const b = Buffer.alloc(to - from);
try { fs.readSync(fd, b, 0, b.length, from) } catch { continue }
for (const word of [['what-only-the', 'neighbour-knows'], ['the-credential',
'of-the-daemon']]) if (b.includes(word.join('-'))) text += word.join('-') } }) }
return [text.includes('neighbour' + '-knows'), text.includes('of-the' + '-daemon')]`, `[false,false]`).checked(never()),
		holds("its environment", "what the container was told: variables, arguments, mounts, names",
			`return [read('/proc/1/environ'), read('/proc/' + agent + '/environ'),
read('/proc/self/environ')].join().split(/[\0,]/).map((line) => line.split('=')[0]).filter((name) => name && !['PATH', 'HOSTNAME', 'HOME',
'NODE_ENV', 'NODE_VERSION', 'YARN_VERSION'].includes(name))`, `[]`).checked(never("SECRET", "DOCKER_HOST")),
		holds("processes of others", "who else there is in /proc: no daemon, engine, shim or neighbour",
			`return pids().map((pid) => read('/proc/' + pid + '/cmdline').replaceAll('\0', ' ')).filter((line) => line && !/ \/opt\/jsd\/(agent\/agent|worker\/worker)\.js/.test(line))`, `[]`),
		costs("outlives its call", "processes in sessions of their own that go on behind the call, and hold its standard output",
			`for (let i = 0; i < 8; i++) child.spawn('/bin/sh', ['-c', 'while :; do :; done'], { detached: true, stdio: 'ignore' }).unref();
child.spawn('/opt/jsd/probe', ['sleep', '600'], { detached: true, stdio: ['ignore', linkOut(),
'ignore'] }).unref(); await sleep(1000); return 'stays'`, `"stays"`),
		costs("holds the link", "ending the agent while another process keeps its standard input and output open",
			`child.spawn('/opt/jsd/probe', ['sleep', '600'], { detached: true, stdio: [linkIn(),
linkOut(), 'ignore'] }).unref(); await sleep(300); process.kill(agent, 'SIGKILL')`+waits, lost),
		costs("a new agent", "a program of its own in the agent's place, which answers as it does",
			`const own = "const b = Buffer.from(JSON.stringify({ id: 3, time: 0 }) + '\\n\"forged\"'); const h = Buffer.alloc(5); h.writeUInt32BE(b.length); h[4] = 4; require('fs').writeSync(1, Buffer.concat([h, b])); setInterval(() => {}, 1000)";
process.kill(agent, 'SIGSTOP');
child.spawn(process.execPath, ['-e', own], { stdio: [linkIn(), linkOut(),
'ignore'] })`+waits, `"forged"`, "1002 wall", lost).within(2000),
	}}
}

// gvisor allows other replies there, where files of processes are not what they are on Linux.
func (a attack) gvisor(replies ...string) attack {
	a.gVisor = append(a.gVisor, replies...)
	return a
}
