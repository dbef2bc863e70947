package daemon_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/jsdtest"
)

// statsIn is what a reply tells of its call.
func statsIn(t testing.TB, r reply) jsdtest.Stats {
	t.Helper()
	stats, err := r.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

func TestStats(t *testing.T) {
	everywhereWith(t, []string{"--concurrency", "1", "--max-containers", "2"}, func(t *testing.T, dial func(*testing.T) *client) {
		c := dial(t)
		tenant := fmt.Sprint("stats-", c.Duplex)
		first := c.Stats(script{"code": "1", "tenant": tenant})
		spins := c.Stats(called("function f() { for (let i = 0; i < 3e7; i++); return 1 }", "tenant", tenant))
		if !*first.Cold || *spins.Cold || first.Container == "" || first.Container != spins.Container || *spins.CPU <= 0 {
			t.Errorf("first %+v, then %+v", first, spins)
		}
		waits := f("setTimeout(cb, 100)")
		if got := c.Stats(with(waits, "tenant", tenant)); *got.CPU >= 100 {
			t.Errorf("waiting counts as %v ms of processor time", *got.CPU)
		}
		var answers []<-chan reply
		for range 3 { // one after the other
			_, answer := c.Start("runtime.execute", with(waits, "tenant", tenant, "stats", true))
			answers = append(answers, answer)
		}
		longest := 0.0
		for _, answer := range answers {
			longest = max(longest, *statsIn(t, c.Wait(answer)).Queue)
		}
		if longest < 150 || longest > 6000 {
			t.Errorf("behind two calls of 100 ms: %v ms in the queue", longest)
		}
		for _, s := range []script{{"code": "1"}, {"code": "1", "stats": false}} {
			var keys map[string]any
			if json.Unmarshal(c.Execute(s).Result, &keys); len(keys) != 3 {
				t.Errorf("not asked for stats: %v", keys)
			}
		}
		var keys map[string]any
		if json.Unmarshal(c.Execute(script{"code": "1", "stats": true}).Result, &keys); len(keys) != 4 {
			t.Errorf("asked for stats: %v", keys)
		}
	})
}

func TestConsoleAndResultLimits(t *testing.T) {
	const full, limit = "console limit reached, the rest is dropped", 65536
	everywhereWith(t, []string{"--result", fmt.Sprint(limit)}, func(t *testing.T, dial func(*testing.T) *client) {
		c := dial(t)
		lines := func(r reply) (lines []string) {
			if err := json.Unmarshal([]byte(r.Console()), &lines); err != nil {
				t.Error(err)
			}
			return lines
		}
		for _, test := range []struct {
			name, body string
			want       int // lines, the last of which says that there were more
			cut        bool
		}{
			{"as many lines as there may be", "for (let i = 0; i < 1000; i++) console.log(i)", 1000, false},
			{"one more", "for (let i = 0; i < 1001; i++) console.log(i)", 1001, true},
			{"many more", "for (let i = 0; i < 5000; i++) console.error(i)", 1001, true},
			{"as many bytes as there may be", "console.log('x'.repeat(65536))", 1, false},
			{"one more", "console.log('x'.repeat(65536)); console.log('y')", 2, true},
			{"one large line", "console.log('x'.repeat(1e6))", 1, true},
			{"bytes, not characters", "console.log('é'.repeat(32769))", 1, true},
		} {
			for end, want := range map[string]string{"cb(1)": "1", "throw 'x'": "1000 x"} {
				got := c.Execute(with(f(test.body+"; "+end), "timeout", 10000))
				printed := lines(got)
				if got.String() != want || len(printed) != test.want || (printed[len(printed)-1] == full) != test.cut {
					t.Errorf("%s, then %s: %v with %d lines", test.name, end, got, len(printed))
				}
			}
		}
		got := c.Execute(with(f("for (let i = 0; i < 1000; i++) console.log('a line', i); for (;;);"), "timeout", 300))
		if printed := lines(got); got.String() != waits || len(printed) != 1000 {
			t.Errorf("before a loop that never ends: %v with %d lines", got, len(printed))
		}
		for body, want := range map[string]string{
			fmt.Sprintf("cb('x'.repeat(%d))", limit-2):           "",
			fmt.Sprintf("cb('x'.repeat(%d))", limit-1):           "1004 Limit exceeded",
			fmt.Sprintf("cb('é'.repeat(%d))", limit/2):           "1004 Limit exceeded",
			"cb('\\x00'.repeat(11_000))":                         "1004 Limit exceeded", // six bytes each
			"console.log('p'); cb(new Array(20_000).fill(null))": "1004 Limit exceeded",
		} {
			got := c.Execute(with(f(body), "timeout", 30000))
			if want == "" && len(got.String()) == limit {
				continue
			}
			if got.String() != want || got.Data("limit") != "result" || strings.Contains(body, "console") != (got.Console() == `["p"]`) {
				t.Errorf("%s: got %.50s %s", body, got, got.Data("limit"))
			}
		}
	})
}

func TestMemoryOfACall(t *testing.T) {
	everywhere(t, func(t *testing.T, c *client) {
		tenant := fmt.Sprint("memory-", c.Duplex)
		grows := with(f("const a = []; for (let i = 0; i < 100; i++) a.push(Buffer.alloc(1 << 20, 1)); setTimeout(() => cb(a.length), 100)"), "tenant", tenant, "timeout", 20000)
		_, beside := c.Start("runtime.execute", with(f("setTimeout(cb, 500, 'lives')"), "memory", 32, "tenant", tenant))
		got := c.Execute(with(grows, "memory", 32))
		if got.String() != "1004 Limit exceeded" || got.Data("limit") != "memory" {
			t.Errorf("got %v %s, want 1004 memory", got, got.Data("limit"))
		}
		if got := c.Execute(script{"code": "3", "memory": 32, "tenant": tenant}).String(); got != "3" {
			t.Errorf("the next call got %s", got)
		}
		if got := c.Wait(beside).String(); got != `"lives"` {
			t.Errorf("the call beside it got %s", got)
		}
		if got := c.Execute(with(grows, "memory", 200)).String(); got != "100" {
			t.Errorf("with enough memory: %s", got)
		}
	})
}

func TestContainersForOneCall(t *testing.T) {
	everywhere(t, func(t *testing.T, c *client) {
		tenants := c.Stats(script{"code": "1"})
		seen := []string{tenants.Container}
		note := func(s jsdtest.Stats) {
			if slices.Contains(seen, s.Container) || !*s.Cold {
				t.Errorf("a container for one call: %+v, seen were %v", s, seen)
			}
			seen = append(seen, s.Container)
		}
		note(c.Stats(script{"code": "1", "reuse": "call"}))
		var answers []<-chan reply
		for range 3 {
			_, answer := c.Start("runtime.execute", with(f("setTimeout(cb, 200)"), "reuse", "call", "stats", true))
			answers = append(answers, answer)
		}
		_, beside := c.Start("runtime.execute", script{"code": "1", "reuse": "tenant", "stats": true})
		if got := statsIn(t, c.Wait(beside)); got.Container != tenants.Container {
			t.Errorf("the tenant's call ran in %s, its container is %s", got.Container, tenants.Container)
		}
		for _, answer := range answers {
			note(statsIn(t, c.Wait(answer)))
		}
		bundle := c.Put(script{"index.js": "exports.f = (cb) => cb(1)"})
		note(c.Stats(script{"bundle": bundle, "call": "f", "reuse": "call"}))
	})
}

func TestSecrets(t *testing.T) {
	secrets := script{"key": "s3cr3t-key", "deep": list(script{"pem": "-----BEGIN-----\nAbCdEfGh==\n-----END-----"}), "quoted": "a\"b\\c\nd-e", "short": "abc", "number": 123456}
	everywhere(t, func(t *testing.T, c *client) {
		for _, test := range []struct{ name, body, want, console, message string }{
			{"the value stays", "cb(secrets.key)", `"s3cr3t-key"`, `[]`, ""},
			{"console", "console.log('is', secrets.key, secrets.short, secrets.number); cb()", "null", `["is *** abc 123456"]`, ""},
			{"console of an object", "console.log({k: secrets.key, q: secrets.quoted}); cb()", "null", `["{ k: '***', q: '***' }"]`, ""},
			{"console of JSON", "console.error(JSON.stringify([secrets.quoted])); cb()", "null", `["[\"***\"]"]`, ""},
			{"console in pieces", "console.log('s3cr3t-' + 'key'); cb()", "null", `["***"]`, ""},
			{"console of lines", "console.log(secrets.deep[0].pem); cb()", "null", `["***"]`, ""},
			{"message and stack", "throw new Error('no ' + secrets.key)", "1000 Error", "", "no ***"},
			{"a name", "const e = new Error('m'); e.name = secrets.key; throw e", "1000 ***", "", "m"},
			{"a thrown string", "throw `no ${secrets.key}!`", "1000 no ***!", "", ""},
			{"a thrown object", "throw {key: secrets.key}", "1000 Error", "", "{ key: '***' }"},
			{"a rejection", "return Promise.reject(secrets.key)", "1000 ***", "", ""},
			{"a message of lines", "throw new TypeError(secrets.deep[0].pem)", "1000 TypeError", "", "***"},
			{"before a timeout", "console.log(secrets.key); for (;;);", waits, `["***"]`, ""},
			{"no value", "console.log(secrets.key); cb({toJSON() { throw new Error(secrets.key) }})", "1008 Not serializable", `["***"]`, ""},
			{"a function named so", "const o = {[secrets.key]() { throw new Error('m') }}; o[secrets.key]()", "1000 Error", "", "m"},
		} {
			timeout := 20_000
			if test.want == waits {
				timeout = 300
			}
			got := c.Execute(with(f(test.body), "secrets", secrets, "timeout", timeout))
			if got.String() != test.want || test.console != "" && got.Console() != test.console || got.Data("message") != test.message {
				t.Errorf("%s: got %v, console %s, message %q", test.name, got, got.Console(), got.Data("message"))
			}
			if got.Error != nil && strings.Contains(string(got.Error.Data), "s3cr3t") {
				t.Errorf("%s: %s", test.name, got.Error.Data)
			}
			if stack := got.Data("stack"); strings.HasPrefix(test.name, "message and") && stack != "Error: no ***\n    at f (script.js:1:24)" {
				t.Errorf("stack %s", stack)
			}
		}
		if got := c.Execute(f("cb(typeof secrets)")).String(); got != `"undefined"` {
			t.Errorf("the next call finds secrets: %s", got)
		}
		if got := c.Execute(f("console.log('s3cr3t-key'); cb()")).Console(); got != `["s3cr3t-key"]` {
			t.Errorf("the next call's console: %s", got)
		}
		got := c.Execute(with(script{"files": script{"index.js": "exports.f = () => { throw new Error(secrets.key) }"}, "call": "f"}, "secrets", secrets))
		if got.Data("message") != "***" {
			t.Errorf("in a folder: %v %s", got, got.Data("message"))
		}
	})
}

func TestBundleSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ arguments, want string }{
		{"--bundles 0", "--bundles has to be above 0"},
		{"--all-bundles 0", "--all-bundles has to be above 0"},
		{"--bundles 5 --all-bundles 4", "--bundles 5 is more than --all-bundles 4"},
	} {
		if _, err := settings(t, strings.Fields(test.arguments)...); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.arguments, err, test.want)
		}
	}
	d := start(t, "process", "--bundles", "3", "--all-bundles", "7")
	c := d.Dial(t, "json-rpc")
	_, answer := c.Start("runtime.info", script{})
	if got := string(c.Wait(answer).Result); !strings.Contains(got, `"bundles":3145728`) {
		t.Errorf("runtime.info says %s", got)
	}
}
