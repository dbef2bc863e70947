package rpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestExecuteParams(t *testing.T) {
	r := start(t)
	p := r.dial()
	const aTenant = "tenant must be 1 to 64 characters of A-Z a-z 0-9 . _ -"
	const aTimeout = "timeout must be a positive whole number of milliseconds"
	const oneSource = "exactly one of code, files and bundle must be there"
	const oneObject = "params must be an object, or an array that holds just it"
	for _, test := range []struct {
		params string
		code   int
		says   string
	}{
		{`{}`, -32602, oneSource},
		{`{"code":null}`, -32602, oneSource},
		{`{"code":1}`, -32602, "code must be a string"},
		{`{"code":"1","CODE":"1"}`, -32602, `unknown field "CODE"`},
		{`{"code":"1","x":1}`, -32602, `unknown field "x"`},
		{`{"code":"1","x":null}`, -32602, `unknown field "x"`},
		{`{"code":"1","globals":[]}`, -32602, "globals must be an object"},
		{`{"code":"1","globals":"{}"}`, -32602, "globals must be an object"},
		{`{"code":"1","call":{}}`, -32602, "call must be a string"},
		{`{"code":"1","caller":true}`, -32602, "caller must be a string"},
		{`{"code":"1","args":{}}`, -32602, "args must be an array"},
		{`{"code":"1","timeout":0}`, -32602, aTimeout},
		{`{"code":"1","timeout":-1}`, -32602, aTimeout},
		{`{"code":"1","timeout":0.5}`, -32602, aTimeout},
		{`{"code":"1","timeout":1.5}`, -32602, aTimeout},
		{`{"code":"1","timeout":-1e999}`, -32602, aTimeout},
		{`{"code":"1","timeout":"200"}`, -32602, aTimeout},
		{`{"code":"1","tenant":""}`, -32602, aTenant},
		{`{"code":"1","tenant":"a/b"}`, -32602, aTenant},
		{`{"code":"1","tenant":"é"}`, -32602, aTenant},
		{`{"code":"1","tenant":1}`, -32602, aTenant},
		{`{"code":"1","tenant":"` + strings.Repeat("x", 65) + `"}`, -32602, aTenant},
		{`{"code":"1","language":1}`, -32602, "language must be a string"},
		{`[{"code":"1"},1]`, -32602, oneObject},
		{`["1"]`, -32602, oneObject},
		{`[]`, -32602, oneSource},
		{`null`, -32602, oneSource},
		{`{"code":"1","language":"python"}`, 1007, "language"},
		{`{"code":"1","timeout":60001}`, 1007, "timeout"},
		{`{"code":"1","timeout":1e999}`, 1007, "timeout"},
	} {
		t.Run(test.params, func(t *testing.T) {
			p := &client{t, p.conn, p.ctx}
			p.send(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":` + test.params + `}`)
			want := fmt.Sprintf(`"message":"Invalid params: %s"`, strings.ReplaceAll(test.says, `"`, `\"`))
			if test.code == 1007 {
				want = fmt.Sprintf(`"message":"Forbidden","data":{"what":%q}`, test.says)
			}
			p.expect(failure1(`1`, test.code, want))
		})
	}
}

func TestExecutePassesCallOn(t *testing.T) {
	r := start(t)
	p := r.dial()
	for _, test := range []struct{ params, want string }{
		{`{"code":"call"}`,
			`{"call":{"code":"call"},"cpu":3000,"tenant":"default","timeout":3000}`},
		{`{"code":"call","globals":null,"call":null,"caller":null,"args":null,"timeout":null,"tenant":null,"language":null}`,
			`{"call":{"code":"call"},"cpu":3000,"tenant":"default","timeout":3000}`},
		{`{"code":"call","globals":{"b":1.0,"a":9007199254740993},"call":"f.g","caller":"c","args":[ 1,"]"],"timeout":200.0,"tenant":"A-z.0_9","language":"javascript"}`,
			`{"call":{"code":"call","globals":{"b":1.0,"a":9007199254740993},"call":"f.g","caller":"c","args":[1,"]"],"language":"javascript"},"cpu":200,"tenant":"A-z.0_9","timeout":200}`},
		{`{"code":"call","timeout":6e4,"call":""}`,
			`{"call":{"code":"call","call":""},"cpu":60000,"tenant":"default","timeout":60000}`},
	} {
		p.send(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":` + test.params + `}`)
		p.expect(`{"jsonrpc":"2.0","id":1,"result":{"value":` + test.want + `,"console":[],"time":0}}`)
	}
}

func TestCancelParams(t *testing.T) {
	p := start(t).dial()
	for params, want := range map[string]string{
		`{}`:                           "exactly one of id and execution must be there",
		`{"tenant":"t"}`:               "exactly one of id and execution must be there",
		`{"id":1,"execution":"e"}`:     "exactly one of id and execution must be there",
		`{"execution":1}`:              "execution must be 1 to 64 characters of A-Z a-z 0-9 . _ -",
		`{"execution":"a b"}`:          "execution must be 1 to 64 characters of A-Z a-z 0-9 . _ -",
		`{"execution":"e","tenant":1}`: "tenant must be 1 to 64 characters of A-Z a-z 0-9 . _ -",
		`{"id":[]}`:                    "id must be the id of a request, a string or a number",
		`{"id":1,"ids":2}`:             `unknown field \"ids\"`,
	} {
		p.send(`{"jsonrpc":"2.0","id":1,"method":"runtime.cancel","params":` + params + `}`)
		p.expect(failure1(`1`, -32602, `"message":"Invalid params: `+want+`"`))
	}
	p.send(`{"jsonrpc":"2.0","id":1,"method":"runtime.cancel","params":{"id":"unknown"}}`)
	p.expect(`{"jsonrpc":"2.0","id":1,"result":{"cancelled":false}}`)
}

func TestInfo(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Modules = func() []string { return []string{"assert", "url"} }
		c.Limits = func(string) map[string]int64 { return map[string]int64{"memory": 256 << 20, "timeout": 90_000} }
	})
	p := r.dial()
	p.send(`{"jsonrpc":"2.0","id":1,"method":"runtime.info"}`)
	var reply struct{ Result Info }
	if err := json.Unmarshal([]byte(p.receive()), &reply); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v", reply.Result)
	want := "{Version:1.2.3 Boot:b Languages:[javascript typescript] Modules:[assert url] Limits:map[memory:268435456 timeout:90000]}"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
