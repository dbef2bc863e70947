package attack

import (
	"strings"
	"testing"
)

// What is broken in a context on purpose, so that those who work with it afterwards stumble: each call still gets its
// one reply, and the next one nothing of it.
func poisonTheme() theme {
	return theme{name: "poison", attacks: []attack{
		{
			name: "intrinsics", tries: "JSON, Promise, Object, Array, Reflect and Function gone or throwing, while the call's value is taken",
			script: script{"code": `
const names = Object.getOwnPropertyNames;
for (const of of [JSON, Promise, Promise.prototype, Array.prototype, Reflect, Function.prototype, Map.prototype, String.prototype, Error, Object])
  for (const name of names(of)) try { if (typeof of[name] === 'function' && name !== 'constructor') of[name] = () => { throw new TypeError('poisoned') } } catch {}
async function f() { return { value: 1 } }`, "call": "f"},
			want: `{"value":1}`,
		},
		{
			name: "prototypes", tries: "Object.prototype with what options and headers are read by: get, set, value, then, toJSON, code, limit, id, time",
			script: script{"code": `for (const name of ['get', 'set', 'then', 'code', 'limit', 'id', 'time', 'callbacks', 'stream', 'session', 'bundle', 'name', 'message', 'stack', 'console', 'poisoned', 'writable', 'configurable', 'cause', 'error', 'kind', 'level']) try { Object.defineProperty(Object.prototype, name, { value: 1005, writable: true, configurable: true }) } catch {}
[1, { a: 2 }]`},
			want: `[1,{"a":2}]`,
		},
		{
			name: "toJSON of all", tries: "a toJSON on Object.prototype, which says something else for every object: only for its own value",
			script: script{"code": `Object.prototype.toJSON = function () { return 'all of them' }; ({ a: 1 })`},
			want:   `"all of them"`,
		},
		{
			name: "timers", tries: "timers without end that are left behind, that throw, that fire for ever, and of odd delays",
			script: script{"code": `for (let i = 0; i < 1000; i++) { setInterval(() => { throw new Error('late') }, 1 + i); setTimeout(() => { for (;;); }, 50 + i); }
for (const d of [NaN, -1, Infinity, 2 ** 40, '7', {}, null]) setTimeout(() => {}, d);
for (const c of [null, {}, -1, 1e9, '1', Symbol.iterator]) try { clearTimeout(c) } catch {} clearInterval(1); clearInterval(2); 'done'`},
			want: `"done"`,
		},
		{
			name: "microtasks", tries: "a promise chain that never gives way, started behind the value",
			script: script{"code": `function f(cb) { cb('value'); const again = () => Promise.resolve().then(again); again() }`, "call": "f"},
			want:   `"value"`,
		},
		{
			name: "two values", tries: "cb called twice, then a rejection, then a throw: the first counts",
			script: script{"code": `function f(cb) { cb(1); cb(2); Promise.reject(new Error('3')); throw new Error('4') }`, "call": "f"},
			want:   `1`,
		},
		{
			name: "a thenable without end", tries: "a value whose then gives another, for ever",
			script: script{"code": `const again = () => ({ then(done) { done(again()) } }); again()`, "timeout": 1000},
			want:   `1002 wall`,
		}, {
			name: "getters of an error", tries: "an error each of whose properties throws, is of another type, or is a megabyte long",
			script: script{"code": `const long = 'x'.repeat(1 << 20);
throw Object.defineProperties({}, { name: { get() { throw 1 } }, message: { value: long }, stack: { get() { return long } }, code: { value: 1005 }, limit: { value: 'memory' }, constructor: { get() { throw 2 } } })`},
			want:  `1000 Error`,
			after: atMost(100_000),
		},
		{
			name: "an error that calls", tries: "properties of an error that end the call another way while they are read",
			script: script{"code": `function f(cb) { throw { get name() { cb('value');
return 'Mine' }, get message() { return host }, get stack() { throw new Error() } } }`, "call": "f"},
			want: `1000 Mine`,
		},
		{
			name: "getters of a value", tries: "a value whose getters throw, recurse, and change it while it is written",
			script: script{"code": `const v = { get a() { v.b = v; return 1 }, b: 2 }; v`},
			want:   `1008 Not serializable`,
		},
		{
			name: "toString of all", tries: "names and paths that are objects: of modules, callbacks, timers, console levels",
			script: script{"code": `const bad = { toString() { throw new Error('mine') }, [Symbol.toPrimitive]() { throw new Error('mine') } }; const got = [];
for (const f of [() => require(bad), () => console.log('%s', bad), () => console.count(bad), () => console.time(bad), () => console.table(bad),
() => setTimeout(bad), () => clearTimeout(bad), () => console.log('%d %i %f', bad, bad, bad), () => console.dir(bad, bad),
() => console.group(bad)]) try { f(); got.push(0) } catch (e) { got.push(e instanceof Error ? 1 : 2) }
got.every((x) => x < 2)`},
			want: `true`,
		},
		{
			name: "console", tries: "what console formats: proxies, getters that print, a million deep, and escapes of a terminal and of lines",
			script: script{"code": `let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep];
console.log(new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 } })); console.log({ get x() { console.log('inner'); return 1 } });
console.log(deep); console.log(new Map([[{}, new Set([new Error('e')])]]));
console.log('\u001b[2J\r\n{"level":"info","message":"forged"}\u0000\u2028'); for (let i = 0; i < 5000; i++) console.log(i); 'printed'`},
			want: `"printed"`,
			after: func(t *testing.T, _ *siege, got reply) {
				if n := len(got.Result.Console); n != 1001 || !strings.HasPrefix(got.Result.Console[1000], "console limit") {
					t.Errorf("%d lines", n)
				}
			},
		},
		{
			name: "Error.prepareStackTrace", tries: "stacks that throw, never end in a string, or hold functions",
			script: script{"code": `Error.prepareStackTrace = (e, sites) => { if (e.message === 'last') return { toString() { throw e } };
throw new Error('last') }; Error.stackTraceLimit = Infinity; null.x`},
			want: `1000 TypeError`, or: []string{"1000 Error"}, why: "which of the errors is thrown is V8's to say",
		},
		{
			name: "secrets", tries: "printing its own secret in ways that blanking misses: it is against accidents, but other calls' never show",
			script: script{"code": `console.log(secrets.own); console.log(secrets.own.split('').join('-')); throw new Error(secrets.own)`, "secrets": script{"own": "a-secret-of-its-own"}},
			want:   `1000 Error`,
			after: func(t *testing.T, _ *siege, got reply) {
				if strings.Contains(got.whole, "a-secret-of-its-own") || !strings.Contains(got.whole, "***") {
					t.Errorf("%.500s", got.whole)
				}
			},
		},
		{
			name: "shared memory and locks", tries: "what modules keep between calls: default event listeners, buffer pools, an OpenSSL engine, zlib's dictionaries",
			script: script{"code": `const events = require('events'); events.defaultMaxListeners = 0; events.EventEmitter.prototype.poisoned = 1;
require('util').inspect.defaultOptions.depth = 0; require('buffer').Buffer.poolSize = 1 << 30; require('stream').setDefaultHighWaterMark(false, 1);
require('crypto').setFips?.call; require('assert').ok = () => {}; Buffer.prototype.toString = () => 'poisoned'; URL.prototype.poisoned = 1; 'changed'`},
			want:  `"changed"`,
			after: func(t *testing.T, s *siege, _ reply) { s.unchanged(t) },
		},
	}}
}

func atMost(bytes int) func(*testing.T, *siege, reply) {
	return func(t *testing.T, _ *siege, got reply) {
		if len(got.whole) > bytes {
			t.Errorf("a reply of %d bytes", len(got.whole))
		}
	}
}

// unchanged checks what modules of the next calls, in each of the container's workers, are like.
func (s *siege) unchanged(t *testing.T) {
	t.Helper()
	c, err := dial(t.Context(), s.daemon.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	const code = `[require('events').defaultMaxListeners, Buffer.from('a').toString(), typeof URL.prototype.poisoned, require('stream').getDefaultHighWaterMark(false) > 1]`
	for range 4 {
		if got := c.execute(script{"code": code, "tenant": "poison", "timeout": 20_000}); got.String() != `[10,"a","undefined",true]` {
			t.Errorf("the next call finds %v", got)
		}
	}
}
