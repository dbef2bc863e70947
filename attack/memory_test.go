package attack

import (
	"encoding/json"
	"testing"
)

// What takes memory: each costs its own call. Under gVisor, and by memory that the kernel counts before the agent looks
// at it, it may cost the container, and then its tenant's other calls.
func memoryTheme() theme {
	const memory = "1004 memory"
	bomb := func(name, tries, code string, or ...string) attack {
		return attack{name: name, tries: tries, script: script{"code": code}, want: memory, or: append(or, lost), beside: []string{lost, memory},
			why: "where the kernel is faster than the agent it takes a worker of its choice, or the whole container"}
	}
	return theme{name: "memory", attacks: []attack{
		bomb("objects", "objects in the heap", `const a = []; for (;;) a.push({ a })`),
		bomb("strings", "strings that double", `let s = 'x'; const all = []; for (;;) { s = (s + s).slice(0, 2 ** 28); all.push(s.split('').join('-')) }`, "1000 RangeError"),
		bomb("buffers", "memory outside of the heap", `const a = []; for (;;) a.push(Buffer.alloc(1 << 20, 1))`),
		bomb("one large", "a gigabyte at once", `new Uint8Array(2 ** 30).fill(1)`, "1000 RangeError"),
		bomb("shared buffers", "shared memory, which belongs to no heap", `const a = []; for (;;) { a.push(new SharedArrayBuffer(1 << 20));
new Uint8Array(a.at(-1)).fill(1) }`),
		bomb("growing buffers", "buffers that grow up to what they reserved", `const b = new ArrayBuffer(0, { maxByteLength: 2 ** 32 });
for (let n = 1 << 20; ; n += 1 << 20) { b.resize(n); new Uint8Array(b, n - (1 << 20)).fill(1) }`, "1000 RangeError"),
		bomb("WebAssembly", "memory of a module", `const m = new WebAssembly.Memory({ initial: 1, maximum: 65536 }); for (;;) { const end = m.grow(16) << 16;
new Uint8Array(m.buffer, end).fill(1) }`, "1000 RangeError"),
		bomb("contexts of code", "functions made from text", `const a = []; for (let i = 0; ; i++) a.push(Function('return ' + JSON.stringify('x'.repeat(10000) + i)))`),
		bomb("zlib bomb", "ten kilobytes that are ten gigabytes", `const z = require('zlib'); let b = z.gzipSync(Buffer.alloc(1 << 26)); const all = [];
for (;;) all.push(z.gunzipSync(b).fill(1))`),
		bomb("promises", "promises that wait", `const a = []; for (;;) a.push(new Promise(() => {}).then(() => a))`),
		bomb("timers", "timers and what they hold", `for (;;) setTimeout(() => {}, 1e6, 'x'.repeat(1000))`),
		{
			name: "stack", tries: "a recursion without end, an error the script may catch",
			script: script{"code": `const f = () => f() + 1; f()`}, want: "1000 RangeError",
		},
		{
			name: "result", tries: "a value of more than is allowed",
			script: script{"code": `'x'.repeat(9 * 2 ** 20)`}, want: "1004 result", after: atMost(1000),
		},
		{
			name: "result of many", tries: "a value that is small here and large as JSON",
			script: script{"code": `'\u0001'.repeat(3 * 2 ** 20)`}, want: "1004 result", after: atMost(1000),
		},
		{
			name: "log bomb", tries: "printing without end, streamed: the rest is dropped here, and in no log",
			script: script{"code": `for (let i = 0; i < 300; i++) console.log('x'.repeat(1 << 20)); 'printed'`, "stream": true}, want: `"printed"`, after: atMost(200_000),
		},
		{
			name: "callbacks", tries: "twenty thousand callbacks at once, more than may wait",
			script: script{"code": `const all = []; for (let i = 0; i < 2e4; i++) all.push(host.echo('x'.repeat(100)).catch((e) => 'refused'));
Promise.all(all).then((got) => got.filter((x) => x === 'refused').length > 18e3)`, "callbacks": []string{"echo"}},
			want: `true`, before: echoes,
		},
		{
			name: "less than its tenant may", tries: "more than the memory that its own call may take",
			// It grows slowly, so that the agent looks at it before the container is full.
			script: script{"code": `const a = []; (async () => { for (;;) { a.push(Buffer.alloc(1 << 20, 1));
await new Promise((done) => setTimeout(done, 10)) } })()`, "memory": 16}, want: memory,
		},
		{
			name: "eight at once", tries: "eight greedy calls, each within its limits and all over the container's",
			script: script{"code": `const a = []; for (let i = 0; i < 60; i++) a.push(Buffer.alloc(1 << 20, 1)); new Promise((done) => setTimeout(done, 300, a.length))`},
			want:   `60`, or: []string{memory, lost}, beside: []string{lost, memory}, why: "whose memory is one too many is the kernel's to say",
			before: func(t *testing.T, _ *siege, c *client, sent script) func() {
				var answers []<-chan reply
				for range 6 {
					answers = append(answers, c.start("runtime.execute", sent.with(nil)))
				}
				return func() {
					for _, answer := range answers {
						if got := await(answer).String(); got != `60` && got != memory && got != lost {
							t.Errorf("one of them got %s", got)
						}
					}
				}
			},
		},
	}}
}

// with gives an attack more to send.
func (a attack) with(more script) attack {
	a.script = a.script.with(more)
	return a
}

// silent never answers a callback.
func (a attack) silent(name string) attack {
	a.before = func(_ *testing.T, _ *siege, c *client, _ script) func() {
		c.offer(name, func([]json.RawMessage) any { return unanswered })
		return nil
	}
	return a
}
