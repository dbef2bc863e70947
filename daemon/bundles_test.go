package daemon_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// wants runs a bundle's f and compares the reply.
func wants(c *client, want, bundle string, pairs ...any) {
	c.T.Helper()
	if got := c.Execute(with(script{"bundle": bundle, "call": "f"}, pairs...)); got.String() != want {
		c.T.Errorf("got %v %s%s, want %s", got, got.Data("message"), got.Data("limit"), want)
	}
}

func TestBundles(t *testing.T) {
	everywhereWith(t, []string{"--bundles", "1"}, func(t *testing.T, dial func(*testing.T) *client) {
		c := dial(t)
		files := script{"index.js": "exports.f = (a) => require('./lib/add')(a, 1); exports.n = 0; exports.g = (cb) => cb(++exports.n)", "lib/add.js": "module.exports = (a, b) => a + b"}
		bundle := c.Put(files)

		t.Run("many calls from several clients", func(t *testing.T) {
			var all sync.WaitGroup
			for range 3 {
				client := dial(t)
				for i := range 60 {
					_, answer := client.Start("runtime.execute", script{"bundle": bundle, "call": "f", "args": list(i)})
					all.Go(func() {
						if got := client.Wait(answer).String(); got != fmt.Sprint(i+1) {
							t.Errorf("got %s, want %d", got, i+1)
						}
					})
				}
			}
			all.Wait()
		})
		t.Run("no state from one call to the next", func(t *testing.T) {
			for range 5 {
				wants(c, "1", bundle, "call", "g")
			}
		})
		t.Run("in several frames", func(t *testing.T) {
			for path, source := range files {
				if id, failed := c.TryPut(script{path: source}, "upload", "u", "more", true); id != "" || failed != "" {
					t.Fatalf("got %q, %s", id, failed)
				}
			}
			if got := c.Put(script{}, "upload", "u"); got != bundle {
				t.Errorf("the parts make %s, the whole %s", got, bundle)
			}
		})
		t.Run("with another entry", func(t *testing.T) {
			wants(c, "5", bundle, "file", "lib/add.js", "call", nil, "args", list(2, 3))
			got := c.Execute(script{"bundle": bundle, "file": "lib/sub.js"}).String()
			if got != `-32602 Invalid params: file must be one of the files, which "lib/sub.js" is not` {
				t.Errorf("got %s", got)
			}
		})
		t.Run("unknown", func(t *testing.T) {
			for _, id := range []string{strings.Repeat("0", 64), "", "../x", "__proto__", bundle[:63], strings.Repeat("x", 100_000)} {
				wants(c, "1009 Not found", id)
			}
			wants(c, "1009 Not found", bundle, "tenant", "other") // another tenant's
		})
		t.Run("the same of another tenant", func(t *testing.T) {
			if got := c.Put(files, "tenant", "other-"+fmt.Sprint(c.Duplex)); got != bundle {
				t.Errorf("got %s, want %s", got, bundle)
			}
			wants(c, "3", bundle, "tenant", "other-"+fmt.Sprint(c.Duplex), "args", list(2))
		})
		t.Run("a bundle of TypeScript", func(t *testing.T) {
			typed := c.Put(script{"index.ts": "export const f = (a: number): number => {\n  if (a > 1) throw new RangeError('big')\n  return a }"})
			for range 3 { // compiled, then from what was kept
				wants(c, "1", typed, "args", list(1))
				got := c.Execute(script{"bundle": typed, "call": "f", "args": list(2)})
				if frames := framesOf(got.Data("stack")); got.String() != "1000 RangeError" || frames != "    at f (index.ts:2:20)" {
					t.Errorf("got %v\n%s", got, frames)
				}
			}
		})
		tenant := fmt.Sprint("large-", c.Duplex) // in a container of its own: this fills workers
		t.Run("5,000 files", func(t *testing.T) {
			files := script{"index.js": "exports.f = (first, last) => { let sum = 0; for (let i = first; i < last; i++) sum += require(`./m/${i}`).n; return sum }"}
			for i := range 4999 {
				files[fmt.Sprintf("m/%d.js", i)] = fmt.Sprintf("exports.n = %d", i)
			}
			bundle := c.Put(files, "tenant", tenant)
			wants(c, "11", bundle, "args", list(5, 7), "tenant", tenant)
			wants(c, "12492501", bundle, "args", list(0, 4999), "timeout", 30000, "tenant", tenant)
		})
		t.Run("evicted, and put again", func(t *testing.T) {
			folder := func(mark string) script {
				return script{"index.js": "exports.f = () => require('./data').length // " + mark, "data.json": `"` + strings.Repeat("x", 600_000) + `"`}
			}
			first := c.Put(folder("first"), "tenant", tenant)
			_, running := c.Start("runtime.execute", script{"bundle": first, "call": "f", "tenant": tenant, "timeout": 20000,
				"caller": "async (callee, cb) => { await new Promise((done) => setTimeout(done, 300)); cb(callee()) }"})
			second := c.Put(folder("second"), "tenant", tenant)
			wants(c, "600000", second, "tenant", tenant)
			wants(c, "1009 Not found", first, "tenant", tenant)
			if got := c.Wait(running).String(); got != "600000" {
				t.Errorf("a call whose bundle went out got %s", got)
			}
			if again := c.Put(folder("first"), "tenant", tenant); again != first {
				t.Error("the same content has another bundle")
			}
			wants(c, "600000", first, "tenant", tenant)
			wants(c, "1009 Not found", second, "tenant", tenant)
		})
		t.Run("too large", func(t *testing.T) {
			want := `1004 Limit exceeded {"limit":"bundle"}`
			if _, failed := c.TryPut(script{"a": strings.Repeat("x", 1<<20)}); failed != want {
				t.Errorf("in one frame: got %q", failed)
			}
			for i, want := range []string{"", want, want} {
				if _, failed := c.TryPut(script{fmt.Sprint(i): strings.Repeat("x", 600_000)}, "upload", "u", "more", i < 2); failed != want {
					t.Errorf("part %d: got %q", i, failed)
				}
			}
			wants(c, "1", c.Put(script{"index.js": "exports.f = (cb) => cb(1)"}, "upload", "u"))
		})
	})
}

// 20 MiB in frames of 5.
func TestLargeBundle(t *testing.T) {
	t.Parallel()
	c := start(t, "docker").Dial(t, "duplex")
	file := strings.Repeat("x", 512<<10-2)
	for part := range 4 {
		var files strings.Builder
		for i := range 10 {
			fmt.Fprintf(&files, `,"data/%d.json":"\"%s\""`, 10*part+i, file)
		}
		if got := c.CallRaw("runtime.put", `{"upload":"large","more":true,"files":{`+files.String()[1:]+`}}`); got.Error != nil {
			t.Fatalf("got %v %s", got, got.Error.Data)
		}
	}
	bundle := c.Put(script{"index.js": "exports.f = (i) => require(`./data/${i}.json`).length"}, "upload", "large")
	for i := range 8 {
		wants(c, fmt.Sprint(len(file)), bundle, "args", list(5*i))
	}
}
