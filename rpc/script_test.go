package rpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jsd-project/jsd/call"
)

func TestScriptRefused(t *testing.T) {
	const (
		oneSource = "exactly one of code, files and bundle must be there"
		noEntry   = "file must be there where there is no index.js, index.mjs, index.cjs or index.ts"
		aTree     = "files must be an object from path to source"
		aMemory   = "memory must be a positive whole number of MiB"
		aReuse    = `reuse must be "tenant" or "call"`
		segment   = " has an empty, . or .. segment, or one longer than 255 bytes"
	)
	many := func(n int, entry string) string {
		return `{` + strings.Repeat(entry+",", n) + `"a.js":""}`
	}
	files := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"%d":"",`, i)
		}
		return `{` + b.String() + `"index.js":""}`
	}
	secrets := `{"s":[` + strings.Repeat(`"secret",`, 1000) + `"secret"]}`
	tests := []struct{ params, want string }{
		{`{"code":"1","files":{"index.js":""}}`, wrong(oneSource)},
		{`{"code":"1","bundle":"b"}`, wrong(oneSource)},
		{`{"files":{"index.js":""},"bundle":"b"}`, wrong(oneSource)},
		{`{"file":"index.js"}`, wrong(oneSource)},
		{`{"code":"1","file":"index.js"}`, wrong("file must come with files or bundle")},
		{`{"files":{"index.js":""},"language":"typescript"}`, wrong("language must come with code: in a source tree the names of files tell it")},
		{`{"bundle":1}`, wrong("bundle must be a string")},
		{`{"bundle":"b","file":1}`, wrong("file must be a string")},
		{`{"code":"1","file":{}}`, wrong("file must be a string")},

		{`{"files":"index.js"}`, wrong(aTree)},
		{`{"files":[]}`, wrong(aTree)},
		{`{"files":{"index.js":1}}`, wrong(aTree + `: the source of "index.js" is no string`)},
		{`{"files":{"index.js":null}}`, wrong(aTree + `: the source of "index.js" is no string`)},
		{`{"files":{"index.js":"","../x":""}}`, wrong(aTree + `: the path "../x"` + segment)},
		{`{"files":{"a/./x":""}}`, wrong(aTree + `: the path "a/./x"` + segment)},
		{`{"files":{"/etc/x":""}}`, wrong(aTree + `: the path "/etc/x"` + segment)},
		{`{"files":{"":""}}`, wrong(aTree + `: the path "" is empty or longer than 512 bytes`)},
		{`{"files":{"..\\x":""}}`, wrong(aTree + `: the path "..\\x" has a \, a %, a control character or half a surrogate pair`)},
		{`{"files":{"\ud800":""}}`, wrong(aTree + `: the path "�" has a \, a %, a control character or half a surrogate pair`)},
		{`{"files":` + files(10_000) + `}`, wrong(aTree + ", at most 10000")},
		{`{"files":{}}`, wrong(noEntry)},
		{`{"files":{"main.js":""}}`, wrong(noEntry)},
		{`{"files":{"index.js":""},"file":"main.js"}`, wrong(`file must be one of the files, which "main.js" is not`)},
		{`{"files":{"index.js":""},"file":"./index.js"}`, wrong(`file must be one of the files, which "./index.js" is not`)},
		{`{"files":{"index.js":""},"file":"constructor"}`, wrong(`file must be one of the files, which "constructor" is not`)},
		{`{"files":{"a.js":""},"file":"","language":"python"}`, wrong(`file must be one of the files, which "" is not`)},

		{`{"code":"1","secrets":[]}`, wrong("secrets must be an object")},
		{`{"code":"1","secrets":"x"}`, wrong("secrets must be an object")},
		{`{"code":"1","secrets":` + secrets + `}`, wrong("secrets must be an object with at most 1,000 lines and 64 KiB in its strings of 6 characters or more")},
		{`{"code":"1","secrets":{},"globals":{"secrets":null}}`, wrong("globals must not have the key secrets where there are secrets")},
		{`{"code":"1","secrets":{},"globals":{"a":1,"s\u0065crets":1}}`, wrong("globals must not have the key secrets where there are secrets")},

		{`{"code":"1","memory":0}`, wrong(aMemory)},
		{`{"code":"1","memory":-1}`, wrong(aMemory)},
		{`{"code":"1","memory":1.5}`, wrong(aMemory)},
		{`{"code":"1","memory":"64"}`, wrong(aMemory)},
		{`{"code":"1","reuse":"never"}`, wrong(aReuse)},
		{`{"code":"1","reuse":""}`, wrong(aReuse)},
		{`{"code":"1","reuse":true}`, wrong(aReuse)},
		{`{"code":"1","stats":1}`, wrong("stats must be true or false")},
		{`{"code":"1","stats":"true"}`, wrong("stats must be true or false")},

		{`{"code":"1","memory":65}`, notAllowed("memory")},
		{`{"code":"1","memory":1e999}`, notAllowed("memory")},
		{`{"code":"1","language":"python"}`, notAllowed("language")},
		{`{"code":"1","language":"TypeScript"}`, notAllowed("language")},
		{`{"bundle":"b","language":"python"}`, notAllowed("language")},
		{`{"bundle":"b"}`, unknown},
		{`{"bundle":"` + strings.Repeat("a", 64) + `","file":"x"}`, unknown},
	}
	eachDialect(t, func(_ *rig, a asker) {
		for _, test := range tests {
			a.expectOutcome(execute, test.params, test.want)
		}
		a.expectOutcome(execute, `{"files":`+many(10_001, `"a.js":""`)+`,"file":"a.js"}`, one)
	}, func(c *Config) { c.Policy = allowed(Policy{Memory: 64}) })
}

func TestScriptPassesOn(t *testing.T) {
	defaults := call.Call{Timeout: 3 * time.Second, CPU: 3 * time.Second}
	with := func(change func(c *call.Call)) call.Call {
		c := defaults
		change(&c)
		return c
	}
	tests := []struct {
		params, script string
		want           call.Call // but for Script
	}{
		{`{"files":{"index.js":"1"}}`, `{"files":{"index.js":"1"},"file":"index.js"}`, defaults},
		{`{"files":{"index.ts":"","index.mjs":""}}`, `{"files":{"index.ts":"","index.mjs":""},"file":"index.mjs"}`, defaults},
		{`{"files":{"a/b.json":"1"},"file":"a\/b.json","call":"f","args":[]}`,
			`{"files":{"a/b.json":"1"},"file":"a\/b.json","call":"f","args":[]}`, defaults},
		{`{"code":null,"files":{"index.js":""},"bundle":null,"file":null,"secrets":null,"memory":null,"reuse":null,"stats":null}`,
			`{"files":{"index.js":""},"file":"index.js"}`, defaults},
		{`{"code":"x","language":"typescript"}`, `{"code":"x","language":"typescript"}`, defaults},
		{`{"code":"x","secrets":{"k":"v","k":"w"},"globals":{"Secrets":1}}`,
			`{"code":"x","globals":{"Secrets":1},"secrets":{"k":"v","k":"w"}}`, defaults},
		{`{"code":"x","globals":{"secrets":1}}`, `{"code":"x","globals":{"secrets":1}}`, defaults},
		{`{"code":"x","memory":64.0}`, `{"code":"x"}`, with(func(c *call.Call) { c.Memory = 64 })},
		{`{"code":"x","reuse":"call"}`, `{"code":"x"}`, with(func(c *call.Call) { c.OneShot = true })},
		{`{"code":"x","reuse":"tenant"}`, `{"code":"x"}`, defaults},
		{`{"code":"x","stats":false}`, `{"code":"x"}`, defaults},

		// the last of a name counts, whatever came before
		{`{"code":1,"code":"x"}`, `{"code":"x"}`, defaults},
		{`{"code":"x","files":[],"files":null}`, `{"code":"x"}`, defaults},
		{`{"files":{"index.js":1,"index.js":"x"}}`, `{"files":{"index.js":1,"index.js":"x"},"file":"index.js"}`, defaults},

		// what a decoder in between would lose
		{`{"code":"\ud800","globals":{"__proto__":{"a":1},"constructor":9007199254740993},"args":[1e400,-0,"\udc00"],"secrets":{"__proto__":"\ud800secret"}}`,
			`{"code":"\ud800","globals":{"__proto__":{"a":1},"constructor":9007199254740993},"args":[1e400,-0,"\udc00"],"secrets":{"__proto__":"\ud800secret"}}`, defaults},
		{`{"files":{"__proto__":"\ud800","constructor":""},"file":"__proto__"}`,
			`{"files":{"__proto__":"\ud800","constructor":""},"file":"__proto__"}`, defaults},
	}
	eachDialect(t, func(r *rig, a asker) {
		for _, test := range tests {
			a.expectOutcome(execute, test.params, one)
			got := <-r.runner.seen
			if got.Execution == "" {
				t.Errorf("%s: its execution has no name", test.params)
			}
			test.want.Script, test.want.Execution = json.RawMessage(test.script), got.Execution
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) {
				t.Errorf("%s\ngot  %s %+v\nwant %s %+v", test.params, got.Script, got, test.script, test.want)
			}
		}
	})
}

// What is nested deeply is passed on, or refused for what it is, and the connection lives on.
func TestDeepNesting(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	objects := strings.Repeat(`{"a":`, 100_000) + `"secret"` + strings.Repeat("}", 100_000)
	eachDialect(t, func(r *rig, a asker) {
		for _, params := range []string{
			`{"code":"x","globals":{"a":` + deep + `}}`, `{"code":"x","globals":` + objects + `}`,
			`{"code":"x","args":` + deep + `}`,
			`{"code":"x","secrets":{"a":` + deep + `}}`, `{"code":"x","secrets":` + objects + `}`,
		} {
			a.expectOutcome(execute, params, one)
			if got := <-r.runner.seen; string(got.Script) != params {
				t.Errorf("got %.50s… of %d bytes", got.Script, len(got.Script))
			}
		}
		const aTree = "files must be an object from path to source"
		a.expectOutcome(execute, `{"files":`+deep+`}`, wrong(aTree))
		a.expectOutcome(put, `{"files":`+deep+`}`, wrong(aTree))
		a.expectOutcome(execute, `{"code":`+deep+`}`, wrong("code must be a string"))
		a.expectOutcome("runtime.cancel", `{"id":`+deep+`}`, wrong("id must be the id of a request, a string or a number"))
	})
}

func TestStats(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		for code, took := range map[string]call.Result{
			"warm": {Queue: 1234567 * time.Nanosecond, CPU: 49 * time.Microsecond, Container: "c<1>"},
			"cold": {Queue: 250 * time.Microsecond, CPU: 2 * time.Second, Container: "c2", Cold: true},
		} {
			r.runner.scripts[code] = func(_ ctx, _ string, c call.Call) (result, error) {
				took.Value, took.Time = json.RawMessage(`1`), 3
				if !c.Stats {
					took.Value = json.RawMessage(`0`)
				}
				return took, nil
			}
		}
		for params, want := range map[string]string{
			`{"code":"warm","stats":true}`:  `{"value":1,"console":[],"time":3,"stats":{"queue":1.2,"cold":false,"cpu":0,"container":"c<1>"}}`,
			`{"code":"cold","stats":true}`:  `{"value":1,"console":[],"time":3,"stats":{"queue":0.3,"cold":true,"cpu":2000,"container":"c2"}}`,
			`{"code":"cold","stats":false}`: `{"value":0,"console":[],"time":3}`,
			`{"code":"cold"}`:               `{"value":0,"console":[],"time":3}`,
		} {
			a.expectOutcome(execute, params, want)
		}
	})
}
