package rpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/call"
)

// putOne puts a source tree and gives the bundle's ID.
func (a asker) putOne(params string) string {
	a.Helper()
	var result PutResult
	if got := a.ask(put, params); json.Unmarshal([]byte(got), &result) != nil || len(result.Bundle) != 64 || result.Upload != "" {
		a.Fatalf("got %s, want a bundle", got)
	}
	return result.Bundle
}

func TestPut(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		id := a.putOne(`{"files":{ "index.js" : "\ud800" ,"lib/a.mjs":"9007199254740993","__proto__":""}}`)
		other := a.putOne(`{"files":{"main.ts":"x"},"tenant":"other"}`)
		if again := a.putOne(`{"files":{"lib/a.mjs":"9007199254740993","__proto__":"","index.js":"\ud800"},"tenant":"other"}`); again != id {
			t.Error("the same content has another ID")
		}
		for _, test := range []struct{ params, want string }{
			{`{"bundle":"` + id + `"}`, `{"file":"index.js"}`},
			{`{"bundle":"` + id + `","file":"lib/a.mjs","call":"f","stats":false}`, `{"file":"lib/a.mjs","call":"f"}`},
			{`{"bundle":"` + id + `","file":"__proto__"}`, `{"file":"__proto__"}`},
			{`{"bundle":"` + other + `","tenant":"other","file":"main.ts"}`, `{"file":"main.ts"}`},
		} {
			a.expectOutcome(execute, test.params, one)
			got := <-r.runner.seen
			if string(got.Script) != test.want || got.Bundle == nil || !strings.Contains(test.params, got.Bundle.ID) {
				t.Errorf("%s: got %s, %+v", test.params, got.Script, got.Bundle)
			}
			if got.Bundle.ID == id && string(got.Bundle.Parts[0]) != `{ "index.js" : "\ud800" ,"lib/a.mjs":"9007199254740993","__proto__":""}` {
				t.Errorf("not as it was written: %s", got.Bundle.Parts)
			}
		}
		for _, test := range []struct{ params, want string }{
			{`{"bundle":"` + id + `","file":"lib/b.mjs"}`, wrong(`file must be one of the files, which "lib/b.mjs" is not`)},
			{`{"bundle":"` + id + `","file":"constructor"}`, wrong(`file must be one of the files, which "constructor" is not`)},
			{`{"bundle":"` + other + `","tenant":"other"}`, wrong("file must be there where there is no index.js, index.mjs, index.cjs or index.ts")},
			{`{"bundle":"` + other + `"}`, unknown}, // another tenant's
			{`{"bundle":"` + other + `","tenant":"third"}`, unknown},
			{`{"bundle":"` + strings.ToUpper(id) + `"}`, unknown},
			{`{"bundle":""}`, unknown},
			{`{"bundle":"` + other + `","timeout":60001}`, notAllowed("timeout")}, // judged before
		} {
			a.expectOutcome(execute, test.params, test.want)
		}
	})
}

func TestPutParams(t *testing.T) {
	const (
		aTree = "files must be an object from path to source"
		aName = " must be 1 to 64 characters of A-Z a-z 0-9 . _ -"
	)
	tests := []struct{ params, want string }{
		{`{}`, wrong(aTree)},
		{`{"files":[]}`, wrong(aTree)},
		{`{"files":{"a.js":{}}}`, wrong(aTree + `: the source of "a.js" is no string`)},
		{`{"files":{"../x":""}}`, wrong(aTree + `: the path "../x" has an empty, . or .. segment, or one longer than 255 bytes`)},
		{`{"files":{"../x":""},"upload":"u","more":true}`, wrong(aTree + `: the path "../x" has an empty, . or .. segment, or one longer than 255 bytes`)},
		{`{"files":{}}`, wrong("files must hold a file")},
		{`{"files":{},"upload":"u"}`, wrong("files must hold a file")},
		{`{"files":{"a":""},"more":true}`, wrong("upload must be there where there is more")},
		{`{"files":{"a":""},"more":1,"upload":"u"}`, wrong("more must be true or false")},
		{`{"files":{"a":""},"upload":""}`, wrong("upload" + aName)},
		{`{"files":{"a":""},"upload":1}`, wrong("upload" + aName)},
		{`{"files":{"a":""},"upload":"a/b"}`, wrong("upload" + aName)},
		{`{"files":{"a":""},"upload":"` + strings.Repeat("u", 65) + `"}`, wrong("upload" + aName)},
		{`{"files":{"a":""},"tenant":"a b"}`, wrong("tenant" + aName)},
	}
	eachDialect(t, func(_ *rig, a asker) {
		for _, test := range tests {
			a.expectOutcome(put, test.params, test.want)
		}
		if got := a.ask(put, `{"files":{"a":""},"x":1}`); a.duplex == strings.Contains(got, "unknown field") {
			t.Errorf("an unknown field: got %s", got)
		}
	})
}

func TestUpload(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		whole := a.putOne(`{"files":{"index.js":"2","a.js":"1","b.js":"3"}}`)
		collects := func(id, rest string) {
			a.expectOutcome(put, `{"upload":"`+id+`","more":true,`+rest+`}`, `{"upload":"`+id+`"}`)
		}
		collects("u", `"files":{"index.js":"1","a.js":"1"}`)
		collects("v", `"files":{"other.js":""},"tenant":"t"`)
		collects("u", `"files":{}`)
		a.expectOutcome(put, `{"files":{"index.js":1},"upload":"u","more":true}`,
			wrong(`files must be an object from path to source: the source of "index.js" is no string`)) // changes nothing
		a.expectOutcome(put, `{"files":{"x":""},"upload":"v"}`, wrong("tenant must be the one that the upload began with"))
		a.expectOutcome(put, `{"files":{"x":""},"upload":"u","tenant":"t","more":true}`, wrong("tenant must be the one that the upload began with"))
		collects("u", `"files":{"index.js":"2"}`)
		if got := a.putOne(`{"files":{"b.js":"3"},"upload":"u","more":false}`); got != whole {
			t.Error("the parts make another bundle than the whole")
		}
		if got := a.putOne(`{"files":{"index.js":"2","a.js":"1","b.js":"3"},"upload":"u"}`); got != whole {
			t.Error("an upload's name is not free when it has ended")
		}
		part := a.putOne(`{"files":{"index.js":"later","a.js":""},"upload":"v","tenant":"t"}`)
		a.expectOutcome(execute, `{"bundle":"`+part+`","tenant":"t"}`, one)
		parts := (<-r.runner.seen).Bundle.Parts
		if got := fmt.Sprintf("%s", parts); got != `[{"other.js":""} {"index.js":"later","a.js":""}]` {
			t.Errorf("got %s", got)
		}
	})
}

// sourceOf is a source tree with one file of about so many bytes.
func sourceOf(path string, bytes int) string {
	return `{"` + path + `":"` + strings.Repeat("x", bytes) + `"}`
}

func TestBundleLimits(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		a.expectOutcome(put, `{"files":`+sourceOf("a", 10_000)+`}`, tooLarge)

		// bundles go out, the one least recently used first
		first, second := a.putOne(`{"files":`+sourceOf("a", 3000)+`,"tenant":"t"}`), a.putOne(`{"files":`+sourceOf("b", 3000)+`,"tenant":"t"}`)
		uses := func(id, want string) {
			a.expectOutcome(execute, `{"bundle":"`+id+`","tenant":"t","file":"x"}`, want)
		}
		there := wrong(`file must be one of the files, which "x" is not`)
		uses(first, there)
		a.putOne(`{"files":` + sourceOf("c", 3000) + `,"tenant":"t"}`)
		uses(second, unknown)
		uses(first, there)

		// an upload beyond the limit stays refused to its end, and another may take its room
		more := func(upload, tenant string, bytes int, want string) {
			a.expectOutcome(put, `{"files":`+sourceOf("p"+fmt.Sprint(bytes), bytes)+`,"upload":"`+upload+`","tenant":"`+tenant+`","more":true}`, want)
		}
		more("u", "t", 4000, `{"upload":"u"}`)
		more("v", "other", 4000, tooLarge) // both are of this connection
		more("u", "t", 4001, tooLarge)
		more("u", "t", 1, tooLarge)
		more("w", "other", 4000, `{"upload":"w"}`)
		a.expectOutcome(put, `{"files":{"a":""},"upload":"u","tenant":"t"}`, tooLarge)
		a.expectOutcome(put, `{"files":{"a":""},"upload":"v","tenant":"other"}`, tooLarge)
		a.putOne(`{"files":{"a":""},"upload":"w","tenant":"other"}`)

		// many files count, however small they are
		var b strings.Builder
		for i := range call.MaxFiles {
			fmt.Fprintf(&b, `,"%d":""`, i)
		}
		a.expectOutcome(put, `{"files":{`+b.String()[1:]+`},"tenant":"t"}`, tooLarge)
	}, func(c *Config) { c.Policy = allowed(Policy{Bundles: 9000}) })
}

func TestTooManyFilesInParts(t *testing.T) {
	eachDialect(t, func(_ *rig, a asker) {
		var b strings.Builder
		for i := range call.MaxFiles {
			fmt.Fprintf(&b, `,"%d":""`, i)
		}
		a.expectOutcome(put, `{"files":{`+b.String()[1:]+`},"upload":"u","more":true}`, `{"upload":"u"}`)
		a.expectOutcome(put, `{"files":{"one more":""},"upload":"u"}`, wrong("files must be at most 10000 in all"))
	})
}

func TestTooManyUploads(t *testing.T) {
	eachDialect(t, func(_ *rig, a asker) {
		for i := range maxUploads {
			a.expectOutcome(put, fmt.Sprintf(`{"files":{},"upload":"%d","more":true}`, i), fmt.Sprintf(`{"upload":"%d"}`, i))
		}
		a.expectOutcome(put, `{"files":{},"upload":"u","more":true}`, tooLarge)
		a.putOne(`{"files":{"a":""},"upload":"0"}`)
		a.expectOutcome(put, `{"files":{},"upload":"u","more":true}`, `{"upload":"u"}`)
	})
}

// Uploads are a connection's own, count against their tenant over all connections, and are gone with theirs.
func TestUploadBelongsToConnection(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		begin := `{"files":` + sourceOf("index.js", 6000) + `,"upload":"u","more":true}`
		a.expectOutcome(put, begin, `{"upload":"u"}`)
		other := asker{r.dial(), false}
		other.expectOutcome(put, begin, tooLarge)
		other.expectOutcome(put, `{"files":{"a":""},"upload":"u"}`, tooLarge)
		lonely := other.putOne(`{"files":{"a":""},"upload":"u"}`)
		if lonely != other.putOne(`{"files":{"a":""}}`) {
			t.Error("a connection continues the upload of another")
		}
		_ = a.conn.CloseNow()
		r.eventually("its connection is gone", func() bool { return open(r) == 1 })
		other.expectOutcome(put, begin, `{"upload":"u"}`)
	}, func(c *Config) { c.Policy = allowed(Policy{Bundles: 9000}) })
}

// An unknown bundle is told before a busy daemon, and kept ones take no slot.
func TestNotFoundComesBeforeBusy(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxInFlight = 1 })
	p := r.dial()
	p.send(request1(`"w"`, "wait"))
	r.running(1)
	a := asker{p, false}
	id := a.putOne(`{"files":{"index.js":""}}`)
	a.expectOutcome(execute, `{"bundle":"0"}`, unknown)
	a.expectOutcome(execute, `{"bundle":"`+id+`","file":"x"}`, wrong(`file must be one of the files, which "x" is not`))
	a.expectOutcome(execute, `{"bundle":"`+id+`"}`, `{"code":1006,"message":"Busy","data":{"retryAfter":100}}`)
}

func TestPutByPost(t *testing.T) {
	r := start(t)
	part := func(id, params string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"runtime.put","params":` + params + `}`
	}
	_, body := r.post(`[` + part(`1`, `{"files":{"a.js":"1"},"upload":"u","more":true}`) + `,` + part(`2`, `{"files":{"index.js":"1"},"upload":"u"}`) + `]`)
	var replies []struct{ Result PutResult }
	if err := json.Unmarshal([]byte(body), &replies); err != nil || len(replies) != 2 || replies[0].Result.Upload != "u" {
		t.Fatalf("got %s", body)
	}
	_, body = r.post(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":{"bundle":"` + replies[1].Result.Bundle + `","file":"a.js"}}`)
	if want := `{"jsonrpc":"2.0","id":1,"result":` + one + `}`; body != want {
		t.Errorf("got %s", body)
	}
}
