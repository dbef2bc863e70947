package attack

// What never ends by itself. Each is told of its time within moments of it, whatever holds the processor, and its
// worker is gone then.
func endlessTheme() theme {
	endless := func(name, tries, code string, or ...string) attack {
		return attack{name: name, tries: tries, script: script{"code": code, "timeout": 300}, want: "1002 wall", or: or}
	}
	wasm := `new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,102,0,0,10,9,1,7,0,3,64,12,0,11,11])`
	return theme{name: "endless", attacks: []attack{
		endless("loop", "a loop", `for (;;);`),
		endless("promises", "promises that always have another behind them", `(async () => { for (;;) await null })()`),
		endless("nothing", "a promise that never settles", `new Promise(() => {})`),
		endless("regular expression", "backtracking without end", `/^(a+)+$/.test('a'.repeat(60) + 'b')`),
		endless("regular expression of the replace kind", "backtracking in native string functions", `'x'.repeat(30000).replace(/(x+x+)+y/g, '')`),
		endless("WebAssembly", "a loop in machine code", `new WebAssembly.Instance(new WebAssembly.Module(`+wasm+`)).exports.f()`),
		endless("Atomics.wait", "sleeping with the thread", `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)`),
		endless("scrypt", "native crypto at once", `require('crypto').scryptSync('a', 'b', 64, { N: 2 ** 14, r: 8, p: 2 ** 12, maxmem: 2 ** 30 })`),
		endless("pbkdf2", "native crypto at once, by rounds", `require('crypto').pbkdf2Sync('a', 'b', 1e9, 64, 'sha512')`),
		endless("primes", "native crypto at once, by luck", `for (;;) require('crypto').generatePrimeSync(8192, { safe: true })`),
		endless("crypto on other threads", "jobs of the thread pool that outlast the call", `for (let i = 0; i < 64; i++) require('crypto').pbkdf2('a', 'b', 1e8, 64, 'sha512', () => {});
new Promise(() => {})`),
		endless("big numbers", "BigInt that takes minutes for one operation", `3n ** (3n ** 15n) % 7n; for (let n = 3n; ; n = n ** 3n % (2n ** 4000000n)) n * n`, "1000 RangeError", "1004 memory"),
		endless("a value", "toJSON that never returns", `({ toJSON() { for (;;); } })`),
		endless("an error", "a getter of the error that never returns", `throw { get message() { for (;;); } }`),
		endless("console", "a value that prints without end", `console.log({ [Symbol.for('nodejs.util.inspect.custom')]() { for (;;); } })`),
		endless("sorting", "a comparison that changes what is sorted", `const a = [...Array(1e5).keys()]; for (;;) a.sort(() => { a.length = 1e5;
return Math.random() - 0.5 })`),
		endless("a proxy", "prototypes that ask each other", `const p = new Proxy({}, { getPrototypeOf: () => p }); for (;;) try { p instanceof Array } catch {}`),
		endless("an import", "a module that awaits for ever", `await new Promise(() => {}); export default 1`),
		endless("compression", "zlib at once, over and over", `for (;;) require('zlib').brotliCompressSync(Buffer.alloc(1 << 22, 'ab'))`),
		endless("callbacks", "callbacks whose answers never come", `host.never()`).with(script{"callbacks": []string{"never"}}).silent("never"),
		{
			name: "past its reply", tries: "a loop behind the value, which keeps the worker from the next call",
			script: script{"code": `function f(cb) { cb(1); for (;;); }`, "call": "f"}, want: `1`,
		},
		{
			name: "a session's", tries: "a loop while a session is opened",
			script: script{"code": `let n = 0; for (;;) n++`, "timeout": 300}, want: "1002 wall",
		},
	}}
}
