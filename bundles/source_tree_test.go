package bundles

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/call"
)

// treeOf makes a source tree of parts, JSON objects.
func treeOf(t testing.TB, parts ...string) *SourceTree {
	t.Helper()
	f := &SourceTree{}
	for _, part := range parts {
		if err := add(f, part); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func add(f *SourceTree, part string) error {
	var sources map[string]json.RawMessage
	if err := json.Unmarshal([]byte(part), &sources); err != nil {
		return err
	}
	return f.Add(json.RawMessage(part), sources)
}

func TestIDStandsForContent(t *testing.T) {
	same := [][]string{
		{`{"a.js":"1","b.js":"é\n"}`},
		{`{ "b.js" : "\u00e9\u000a", "a.js" : "1" }`},
		{`{"a.js":"1"}`, `{"b.js":"é\n"}`},
		{`{"a.js":"0","b.js":"é\n"}`, `{"a.js":"1"}`},
		{`{"a.js":"0","b.js":"é\n","a.js":"1"}`},
	}
	want := treeOf(t, same[0]...).bundle().ID
	if len(want) != 64 || strings.Trim(want, "0123456789abcdef") != "" {
		t.Errorf("no SHA-256 in lower case: %s", want)
	}
	for _, parts := range same {
		if got := treeOf(t, parts...).bundle().ID; got != want {
			t.Errorf("%s: got another ID", parts)
		}
	}
	seen := map[string]string{}
	for _, part := range []string{
		same[0][0], `{}`, `{"a":"b"}`, `{"ab":""}`, `{"a":"","b":""}`, `{"a":"b","b":""}`, `{"b":"a"}`,
		`{"a":"\ud800"}`, `{"a":"\ud801"}`, `{"a":"\ufffd"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ude00\ud83d"}`, `{"a":"\\ud800"}`,
	} {
		id := treeOf(t, part).bundle().ID
		if other, there := seen[id]; there {
			t.Errorf("%s and %s have the same ID", part, other)
		}
		seen[id] = part
	}
}

func TestAppendText(t *testing.T) {
	for quoted, want := range map[string]string{
		`""`:                         "",
		`"aé\u00e9\u0041"`:           "aééA",
		`"\"\\\/\b\f\n\r\t"`:         "\"\\/\b\f\n\r\t",
		`"\ud83d\ude00\uD83D\uDE00"`: "😀😀",
		`"a\ud83d"`:                  "a\xed\xa0\xbd",
		`"\ude00b"`:                  "\xed\xb8\x80b",
		`"\ud83d\ud83d\ude00"`:       "\xed\xa0\xbd😀",
		`"\ud83d\n"`:                 "\xed\xa0\xbd\n",
		`"\ud83d\u0041"`:             "\xed\xa0\xbdA",
	} {
		if got := string(appendText(nil, json.RawMessage(quoted))); got != want {
			t.Errorf("%s: got %q, want %q", quoted, got, want)
		}
	}
}

func TestSourceTreeKeepsNothingOfARequest(t *testing.T) {
	part := json.RawMessage(`{"a.js":"1"}`)
	f := &SourceTree{}
	if err := f.Add(part, map[string]json.RawMessage{"a.js": part[8:11]}); err != nil {
		t.Fatal(err)
	}
	clear(part) // as when another frame takes its place
	if got := string(f.bundle().Parts[0]); got != `{"a.js":"1"}` {
		t.Errorf("got %q", got)
	}
}

func TestSourceTreeIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range call.MaxFiles {
		fmt.Fprintf(&b, `,"%d":""`, i)
	}
	f := treeOf(t, `{`+b.String()[1:]+`}`)
	before := f.Size()
	if err := add(f, `{"0":"1","one more":""}`); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v", err)
	}
	if f.Size() != before || f.Files() != call.MaxFiles {
		t.Errorf("a part that was refused changed the source tree")
	}
	if err := add(f, `{"0":"1"}`); err != nil {
		t.Errorf("a new source for a file that is there: %v", err)
	}
	if small := treeOf(t, `{"a":""}`).Size(); small < bundleOverhead+fileOverhead {
		t.Errorf("many small bundles count for next to nothing: %d", small)
	}
}

func TestHas(t *testing.T) {
	b := treeOf(t, `{"b.js":"","a.js":""}`, `{"__proto__":"","constructor":""}`).bundle()
	for path, want := range map[string]bool{
		"a.js": true, "b.js": true, "__proto__": true, "constructor": true, "c.js": false, "": false, "toString": false,
	} {
		if b.Has(path) != want {
			t.Errorf("%q: got %v", path, !want)
		}
	}
}
