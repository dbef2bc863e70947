package attack

import (
	"encoding/json"
	"strings"
	"testing"
)

// The container's standard output is the link to the daemon. A worker of the same user can open it behind the agent's
// back, and say what it likes as the agent: answers to calls of that container are lies then, and that is all.
func linkTheme() theme {
	// Numbers of calls in a container: 1 was before, 2 is the tenant's other call, 3 its own.
	as := func(name, tries, body, want string, or ...string) attack {
		return costs(name, tries, `const out = linkOut(), answered = 1, other = 2, me = 3;
const frame = (kind, header, body) => say(out, encode(kind, header, body));
`+body, want, or...)
	}
	const waits = `; return forever()`
	return theme{name: "breached-link", breached: true, policy: `maxTimeout: 60s`, attacks: []attack{
		as("answers for itself", "a result under its own number", `frame(4, { id: me, time: 0 }, '"forged"')`+waits, `"forged"`),
		as("answers for another", "a result for the tenant's other call, which is its own tenant's loss",
			`frame(4, { id: other, time: 0 }, '"forged"'); return 'said'`, `"said"`, lost).lying(),
		as("answers twice", "two results for one call: the first is its answer, the second ends the container",
			`frame(4, { id: me, time: 0 }, '"first"'); frame(4, { id: me, time: 0 }, '"second"')`+waits, `"first"`),
		as("answers for others", "results for calls of other containers, by guessed numbers",
			`for (let id = 1000; id < 5000; id++) frame(4, { id, time: 0 }, '"forged"')`+waits, lost),
		as("a number that is none", "ids that are negative, large, text, a fraction",
			`for (const id of ['1', -1, 1e30, 1.5, null, [2], {}]) frame(4, { id, time: 0 }, '"forged"')`+waits, lost),
		as("half a frame", "a frame of 4 KiB of which nothing more comes: the agent's own are taken for its rest",
			`const head = Buffer.alloc(15, 'x'); head.writeUInt32BE(4096); head[4] = 4; say(out, head)`+waits, lost, "1002 wall").within(2000),
		as("half a large frame", "a frame of 8 MiB of which nothing more comes, so that whatever is said is swallowed",
			`const head = Buffer.alloc(15, 'x'); head.writeUInt32BE(8 << 20); head[4] = 4; say(out, head)`+waits, "1002 wall").within(2000),
		as("a byte at a time", "frames that come a byte at a time, for ever, in the middle of the agent's",
			`for (;;) { say(out, Buffer.from([0])); await sleep(1) }`, lost),
		as("a huge length", "a frame of 4 GiB", `say(out, Buffer.from([255, 255, 255, 255, 4]))`+waits, lost),
		as("garbage", "text and noise without end", `const noise = load('crypto').randomBytes(1 << 16); for (;;) say(out, noise)`, lost),
		as("empty frames", "a million frames of nothing", `for (;;) say(out, Buffer.alloc(1 << 16))`, lost),
		as("a second hello", "saying hello again, as another version with other modules", `frame(1, { version: 5, node: 'v99', modules: ['fs'] })`+waits, lost),
		as("calls of its own", "frames that only the daemon sends", `frame(2, { id: 77 }, '{"code":"1","tenant":"neighbour"}'); frame(9, { bundle: 'x' }, '{}')`+waits, lost),
		as("lines without end", "printing for its own call past all limits", `for (;;) frame(10, { id: me, level: 'log' }, 'x'.repeat(10000))`, lost).streamed(),
		as("lines of nobody", "printing for calls that have been answered, for ever", `for (;;) frame(10, { id: answered, level: 'log' }, 'x')`, lost),
		as("lies about a result", "times, processor time and console as they cannot be: negative, of centuries, a million lines",
			`frame(4, { id: me, time: -5, cpu: 1e11, console: Array(50000).fill('\u0000"<script>') }, '1')`+waits, `1`).checked(func(t *testing.T, _ *siege, got reply) {
			if got.Result.Time != 0 || len(got.Result.Console) > 1001 {
				t.Errorf("time %d, %d lines", got.Result.Time, len(got.Result.Console))
			}
		}),
		as("impossible figures", "processor time that is negative or no number", `frame(4, { id: me, cpu: -1 }, '1')`+waits, lost),
		as("no JSON", "a value that is no JSON, and one nested a million deep", `frame(4, { id: me, time: 0 }, '['.repeat(1e6))`+waits, "1008 Not serializable"),
		as("forged fields", "a value that closes the daemon's own reply and adds to it", `frame(4, { id: me, time: 0 }, '1,"error":{"code":1007}}\n{"jsonrpc":"2.0","id":1,"result":{"value":"forged"}')`+waits, "1008 Not serializable"),
		as("a long failure", "a name, message and stack of megabytes, with control characters", `frame(5, { id: me, code: 1000, name: 'N'.repeat(1e5), message: '\u001b[2J\n'.repeat(1e4), stack: 'x'.repeat(2e5) })`+waits, "1000 "+strings.Repeat("N", 64<<10)).checked(atMost(600_000)),
		as("codes of the daemon's", "a failure by which the client would think itself forbidden", `frame(5, { id: me, code: 1007, limit: 'tenant' })`+waits, lost),
		as("a limit it makes up", "a limit that was not passed: a lie about its own call", `frame(5, { id: me, code: 1004, limit: '<b>x' })`+waits, "1004 <b>x"),
		as("callbacks that were not offered", "asking the client in the name of a call that offers nothing", `frame(11, { id: me, callback: 1, name: 'finish' }, '[]')`+waits, lost),
		as("callbacks without end", "asking the client more than may wait", `for (let n = 1; ; n++) frame(11, { id: me, callback: n, name: 'never' }, '[]')`, lost).with(script{"callbacks": []string{"never"}}).silent("never"),
		as("connections", "streams, where there are no hosts", `frame(17, { id: me, stream: 1, host: '127.0.0.1', port: $FORBIDDEN })`+waits, lost),
		as("sessions and pongs", "ends of sessions that were never opened, and answers to pings that nobody sent", `frame(14, { session: 99 })`+waits, lost),
		as("pongs", "answers to pings that nobody sent", `for (let i = 0; i < 1000; i++) frame(16, {})`+waits, lost),
		as("standard error", "a hundred megabytes on standard error, forged lines of a log among them",
			`const err = fs.openSync('/proc/' + agent + '/fd/2', 'w'); const line = '{"level":"info","message":"forged by a script","tenant":"neighbour"}\n';
for (let i = 0; i < 100; i++) say(err, Buffer.from(line.repeat(15000))); return 'said'`, `"said"`),
	}}
}

// The agent's stdio where there are hosts: its tenant's list is the daemon's to judge by.
func hostsTheme() theme {
	const open = `const out = linkOut();
const ask = (host, port, stream) => say(out, encode(17, { id: 3, stream, host, port }));
`
	const waits = `; return forever()`
	return theme{name: "breached-hosts", breached: true, policy: `hosts: ["127.0.0.1:$LISTED", "localhost"]`, attacks: []attack{
		costs("a host that is not listed", "a forged opening to a port of the machine that the policy does not list: what the daemon says of it the agent never asked for",
			open+`ask('127.0.0.1', $FORBIDDEN, 1)`+waits, lost).checked(refused("127.0.0.1")),
		costs("metadata", "a forged opening to where clouds keep the machine's credentials",
			open+`ask('169.254.169.254', 80, 1)`+waits, lost).checked(refused("169.254.169.254")),
		costs("a host of a kind", "names that are addresses, empty, too long, or have another behind a NUL",
			open+`let n = 0;
for (const [host, port] of [['::ffff:127.0.0.1', $FORBIDDEN], ['0.0.0.0', $FORBIDDEN], ['127.0.0.1', 0], ['', 80], ['x'.repeat(1e5), 80],
['127.0.0.1\u0000.example', $FORBIDDEN]]) ask(host, port, ++n)`+waits, lost),
		costs("a listed host whose address is not", "an opening to what is listed, and on loopback",
			open+`ask('127.0.0.1', $LISTED, 1)`+waits, lost).checked(refused("127.0.0.1")),
		costs("streams of other calls", "openings for calls that were not made, numbers out of order, and data on what is not open",
			open+`say(out, encode(17, { id: 4711, stream: 1, host: 'localhost', port: 80 }))`+`; return forever()`, lost),
		costs("more than its credit", "data without end on a stream that was refused",
			open+`ask('localhost', 80, 1); for (;;) say(out, load('../shared/frames.js').encodeData(1, Buffer.alloc(16384)))`, lost, "1002 wall").within(3000),
		costs("streams without end", "openings, more than may be open",
			open+`for (let n = 1; ; n++) ask('localhost', 80, n)`, lost),
	}}
}

// refused checks that the daemon judged a connection, and how: it is in its log, and none of that tenant was made.
func refused(host string) func(*testing.T, *siege, reply) {
	return func(t *testing.T, s *siege, _ reply) {
		judged := false
		eventually(t, "the daemon has judged the connection", func() bool {
			for line := range strings.Lines(s.daemon.Log()) {
				var l struct{ Message, Tenant, Host, Outcome string }
				if json.Unmarshal([]byte(line), &l) != nil || l.Message != "connection" || l.Tenant != "breached-hosts" {
					continue
				}
				if judged = judged || l.Host == host; l.Outcome == "connected" {
					t.Errorf("connected: %s", line)
				}
			}
			return judged
		})
	}
}

// lying says that the tenant's other call may get what was forged for it, and nothing else but its own value and
// the end of its container.
func (a attack) lying() attack {
	a.beside = []string{`"forged"`, lost}
	return a
}

func (a attack) streamed() attack { return a.with(script{"stream": true}) }

func (a attack) checked(after func(*testing.T, *siege, reply)) attack {
	a.after = after
	return a
}
