package attack

import (
	"strings"
	"testing"
)

// frameAttacks are on what a worker has to talk with: its socket to the agent, which is descriptor 3. A worker that
// says what a worker does not say loses its life, and the call that it was at.
func frameAttacks() []attack {
	const encode = `const fs = load('fs');
const frame = (kind, header, body) => { const payload = Buffer.from(JSON.stringify(header) + (body === undefined ? '' : '\n' + body));
const head = Buffer.alloc(5); head.writeUInt32BE(payload.length); head[4] = kind; return Buffer.concat([head, payload]) };
const send = (bytes) => { for (let at = 0; at < bytes.length;) { try { at += fs.writeSync(3, bytes, at) } catch (e) { if (e.code !== 'EAGAIN') throw e } } };
`
	forged := func(name, tries, body, want string, or ...string) attack {
		return attack{name: name, tries: tries, script: reaching(encode + body), want: want, or: or}
	}
	const waits = `; await new Promise(() => {})`
	return []attack{
		forged("a result of its own", "an answer to its own call that the agent did not make: it may say what it likes of itself",
			`send(frame(4, { time: 1 }, '"forged"'))`+waits, `"forged"`),
		forged("a result for another call", "an answer with the number of another call, which the agent counts for its own",
			`for (let id = 1; id < 50; id++) send(frame(4, { id, time: 1 }, '"forged"'))`+waits, `"forged"`),
		forged("a code of the daemon's", "failures that only agent or daemon may tell of",
			`send(frame(5, { code: 1002, limit: 'wall' }))`+waits, lost),
		forged("a limit of the daemon's", "a limit that was not passed: it is told as the one that a worker may tell",
			`send(frame(5, { code: 1004, limit: 'memory' }))`+waits, "1004 result"),
		forged("another kind", "frames of the daemon's kinds: hello, call, cancel, ping, ended, opened",
			`for (const kind of [1, 2, 3, 14, 15, 16, 18, 23, 0, 255]) send(frame(kind, { id: 1, session: 1, stream: 1, version: 5 }, '{"code":"1"}'))`+waits, lost),
		forged("a long frame", "a frame that says it has 4 GiB",
			`send(Buffer.from([255, 255, 255, 255, 4]))`+waits, lost),
		forged("no JSON", "a frame whose header is no object",
			`send(Buffer.from([0, 0, 0, 2, 4, 91, 93]))`+waits, lost),
		forged("half a frame", "a frame that never ends, so that the agent waits: the call's own time runs out",
			`send(Buffer.from([0, 0, 16, 0, 4, 123]))`+waits, "1002 wall").within(1500),
		forged("a flood of lines", "lines without end past all limits, which the agent has to read and drop",
			`for (;;) send(frame(10, {}, 'x'.repeat(10_000)))`, "1002 wall").within(1500),
		forged("a flood of idle", "being idle a hundred thousand times while it is busy, so that others get this worker",
			`const idle = Buffer.concat(Array(1000).fill(frame(8, { ready: 4, refilling: false }))); for (let i = 0; i < 100; i++) send(idle);
send(frame(4, { time: 1 }, '"over"'))`+waits, `"over"`),
		forged("a callback that was not offered", "asking the client for a name that is none of the call's",
			`send(frame(11, { name: 'finish' }, '[]'))`+waits, lost),
		forged("a connection", "a stream where there are no hosts",
			`send(frame(17, { stream: 1, host: '169.254.169.254', port: 80 }))`+waits, lost),
		forged("answers after the answer", "results for the calls to come of the same worker",
			`send(frame(4, { time: 1 }, '"first"')); for (let i = 0; i < 20; i++) send(frame(4, { time: 1 }, '"forged"'))`+waits, `"first"`),
		forged("reads for others", "what comes over the socket: taking it away from the worker, to get the next call's",
			`try { fs.readSync(3, Buffer.alloc(100)) } catch (e) { return e.code }`, `"EAGAIN"`),
		forged("ends itself", "ending by process.exit, reallyExit and a fatal error",
			`worker.on('exit', () => { throw 1 }); worker.reallyExit(0)`, lost),
		{
			name: "answers beside", tries: "frames between those of its own result, by replacing what the worker encodes with",
			script: reaching(encode + `const { Socket } = load('net'); const own = Socket.prototype.write;
Socket.prototype.write = function (bytes, ...rest) { if (bytes[4] === 4) bytes = frame(4, { time: 2 }, '"replaced"');
return own.call(this, bytes, ...rest) }; return 'mine'`),
			want: `"replaced"`, stays: true,
		},
		{
			name: "stays behind", tries: "changing the worker for calls to come: its Socket, JSON, timers and the Promise of its realm",
			script: reaching(`const { JSON, Promise, Object } = F('return globalThis')(); JSON.stringify = () => '{"poisoned":1}';
Object.prototype.poisoned = 1; F('return globalThis')().poisoned = 1; return 1`),
			want: `1`, or: []string{lost, "1008 Error"}, stays: true,
			why: "what its own result is made by may be what it changed",
		},
		{
			name: "garbage for V8", tries: "cached code that was made up, which V8 takes for its own (CVE-2022-39266 of isolated-vm): at most its worker crashes",
			script: reaching(`const vm = load('vm'); const source = 'function f(a) { return a + 1 } f(1)';
const good = new vm.Script(source).createCachedData(); for (let i = 0; i < 200; i++) { const bad = Buffer.from(good);
for (let j = 0; j < 20; j++) bad[24 + Math.floor(Math.random() * (bad.length - 24))] ^= 1 << (i % 8);
try { new vm.Script(source, { cachedData: bad }).runInThisContext() } catch {} } return 'survived'`),
			want: `"survived"`, or: []string{lost, "1004 memory"},
			why: "a crash is told by the signal it ends with",
		},
		{
			name: "secrets of the call beside", tries: "finding what another call of the tenant was sent: its own worker has it, and no other",
			script: reaching(`const text = [];
for (const run of [F('return globalThis')(), worker,
load('module')]) { try { text.push(load('util').inspect(run, { depth: 6, showHidden: true, getters: true })) } catch {} }
return [text.length > 0, text.join().includes(['what', 'only', 'the', 'other'].join('-'))]`),
			want: `[true,false]`,
			after: func(t *testing.T, _ *siege, got reply) {
				if strings.Contains(got.whole, "what-only") {
					t.Error("the other call's secret is in the reply")
				}
			},
		},
	}
}

// within gives an attack another timeout, in ms.
func (a attack) within(timeout int) attack {
	a.script = a.script.with(script{"timeout": timeout})
	return a
}
