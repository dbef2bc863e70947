package rpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func request1(id, code string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"runtime.execute","params":{"code":%q}}`, id, code)
}

func result1(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":{"value":1,"console":[],"time":3}}`
}

func failure1(id string, code int, rest string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,%s}}`, id, code, rest)
}

// jsonRPCCases are frames and their replies, on a WebSocket and by POST; "" is no reply.
var jsonRPCCases = []struct{ name, frame, reply string }{
	{"id natural", request1(`1`, "1"), result1(`1`)},
	{"id string", request1(`"a"`, "1"), result1(`"a"`)},
	{"id string with escapes", request1(`"\u0061\"\\"`, "1"), result1(`"\u0061\"\\"`)},
	{"id empty string", request1(`""`, "1"), result1(`""`)},
	{"id null", request1(`null`, "1"), result1(`null`)},
	{"id zero", request1(`0`, "1"), result1(`0`)},
	{"id negative", request1(`-1`, "1"), result1(`-1`)},
	{"id fraction", request1(`1.5`, "1"), result1(`1.5`)},
	{"id exponent", request1(`1e3`, "1"), result1(`1e3`)},
	{"id huge", request1(`123456789012345678901234567890`, "1"), result1(`123456789012345678901234567890`)},
	{"spaces", " \n" + `{ "jsonrpc" : "2.0" , "id" : 1 , "method" : "runtime.execute" , "params" : { "code" : "1" } } `, result1(`1`)},
	{"escaped names", `{"jsonrpc":"2.0","\u0069d":1,"method":"runtime\u002eexecute","params":{"c\u006fde":"1"}}`, result1(`1`)},
	{"params in an array", `{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":[{"code":"1"}]}`, result1(`1`)},
	{"other members", `{"jsonrpc":"2.0","id":1,"meta":{},"method":"runtime.execute","params":{"code":"1"}}`, result1(`1`)},
	{"value as it came", request1(`1`, "order"), `{"jsonrpc":"2.0","id":1,"result":{"value":{"b":1.0,"a":12345678901234567890,"<":"\u003c"},"console":[],"time":3}}`},
	{"value null", request1(`1`, "null"), `{"jsonrpc":"2.0","id":1,"result":{"value":null,"console":[],"time":3}}`},
	{"value missing", request1(`1`, "none"), `{"jsonrpc":"2.0","id":1,"result":{"value":null,"console":[],"time":3}}`},
	{"console", request1(`1`, "print"), `{"jsonrpc":"2.0","id":1,"result":{"value":0,"console":["a<b>&","\u2028é"],"time":1}}`},
	{"script throws", request1(`1`, "throw"), failure1(`1`, 1000, `"message":"TypeError","data":{"message":"x","stack":"at main.js:1"}`)},
	{"internal", request1(`1`, "odd"), failure1(`1`, -32603, `"message":"Internal error"`)},

	{"notification", `{"jsonrpc":"2.0","method":"runtime.execute","params":{"code":"1"}}`, ""},
	{"notification of nothing", `{"jsonrpc":"2.0","method":"nothing"}`, ""},
	{"notification that fails", `{"jsonrpc":"2.0","method":"runtime.execute","params":{"code":7}}`, ""},
	{"response", `{"jsonrpc":"2.0","id":1,"result":5}`, ""},
	{"error response", `{"jsonrpc":"2.0","id":1.5,"error":{"code":1,"message":"x"}}`, ""},

	{"not JSON", `{"jsonrpc":`, failure1(`null`, -32700, `"message":"Parse error"`)},
	{"empty", ``, failure1(`null`, -32700, `"message":"Parse error"`)},
	{"not UTF-8", "\"\xff\"", failure1(`null`, -32700, `"message":"Parse error"`)},
	{"two values", `{} {}`, failure1(`null`, -32700, `"message":"Parse error"`)},
	{"nested deeply", strings.Repeat("[", 100000) + strings.Repeat("]", 100000), `[` + failure1(`null`, -32600, `"message":"Invalid Request: a request is an object"`) + `]`},
	{"nested without end", strings.Repeat("[", 100000), failure1(`null`, -32700, `"message":"Parse error"`)},
	{"a number", `1`, failure1(`null`, -32600, `"message":"Invalid Request: a request is an object"`)},
	{"no version", `{"id":1,"method":"runtime.info"}`, failure1(`1`, -32600, `"message":"Invalid Request: jsonrpc must be \"2.0\""`)},
	{"version 1", `{"jsonrpc":"1.0","id":1,"method":"runtime.info"}`, failure1(`1`, -32600, `"message":"Invalid Request: jsonrpc must be \"2.0\""`)},
	{"no method", `{"jsonrpc":"2.0","id":1}`, failure1(`1`, -32600, `"message":"Invalid Request: method must be a string"`)},
	{"method a number", `{"jsonrpc":"2.0","method":1,"params":"bar"}`, failure1(`null`, -32600, `"message":"Invalid Request: method must be a string"`)},
	{"id an object", `{"jsonrpc":"2.0","id":{},"method":"runtime.info"}`, failure1(`null`, -32600, `"message":"Invalid Request: id must be a string, a number or null"`)},
	{"id a boolean", `{"jsonrpc":"2.0","id":true,"method":"runtime.info"}`, failure1(`null`, -32600, `"message":"Invalid Request: id must be a string, a number or null"`)},
	{"params a string", `{"jsonrpc":"2.0","id":1,"method":"runtime.info","params":"x"}`, failure1(`1`, -32600, `"message":"Invalid Request: params must be an object or an array"`)},
	{"unknown method", `{"jsonrpc":"2.0","id":1,"method":"runtime.nothing"}`, failure1(`1`, -32601, `"message":"Method not found"`)},
	{"method in capitals", `{"jsonrpc":"2.0","id":1,"method":"Runtime.Execute"}`, failure1(`1`, -32601, `"message":"Method not found"`)},

	{"empty batch", ` []`, failure1(`null`, -32600, `"message":"Invalid Request: an empty batch"`)},
	{"batch of nonsense", `[1]`, `[` + failure1(`null`, -32600, `"message":"Invalid Request: a request is an object"`) + `]`},
	{"batch broken", `[` + request1(`1`, "1") + `,`, failure1(`null`, -32700, `"message":"Parse error"`)},
	{"batch of notifications", `[{"jsonrpc":"2.0","method":"runtime.info"},{"jsonrpc":"2.0","method":"nothing"}]`, ""},
	{"batch of all", `[` + strings.Join([]string{
		request1(`"s"`, "1"), `{"jsonrpc":"2.0","method":"runtime.execute","params":{"code":"1"}}`, `7`,
		`{"jsonrpc":"2.0","id":null,"method":"x"}`, `[]`, request1(`-1.5`, "throw"), `{"jsonrpc":"2.0","id":9,"result":1}`,
		request1(`"s"`, "1"),
	}, ",") + `]`, `[` + strings.Join([]string{
		result1(`"s"`), failure1(`null`, -32600, `"message":"Invalid Request: a request is an object"`),
		failure1(`null`, -32601, `"message":"Method not found"`), failure1(`null`, -32600, `"message":"Invalid Request: a request is an object"`),
		failure1(`-1.5`, 1000, `"message":"TypeError","data":{"message":"x","stack":"at main.js:1"}`),
		failure1(`"s"`, -32600, `"message":"Invalid Request: this id is in flight already"`),
	}, ",") + `]`},
	{"batch too long", `[` + strings.Repeat("1,", 10_000) + `1]`, failure1(`null`, -32600, `"message":"Invalid Request: a batch has at most 10000 requests"`)},
}

// Every frame is followed by one whose reply shows that nothing else came before, and that the
// connection lives on.
func TestJSONRPC(t *testing.T) {
	r := start(t)
	p := r.dial()
	for _, test := range jsonRPCCases {
		t.Run(test.name, func(t *testing.T) {
			p := &client{t, p.conn, p.ctx}
			p.send(test.frame)
			if test.reply != "" {
				p.expect(test.reply)
			}
			p.send(request1(`"next"`, "1"))
			p.expect(result1(`"next"`))
		})
	}
}

func TestBatchRunsConcurrentlyAndAnswersTogether(t *testing.T) {
	r := start(t)
	p := r.dial()
	p.send(`[` + request1(`1`, "wait") + `,` + request1(`2`, "wait") + `,` + request1(`3`, "1") + `]`)
	r.running(2)
	p.send(`{"jsonrpc":"2.0","id":"c1","method":"runtime.cancel","params":{"id":1}}`)
	p.expect(`{"jsonrpc":"2.0","id":"c1","result":{"cancelled":true}}`)
	r.eventually("1 and 3 have ended", func() bool { return inFlight(r) == 1 })

	p.send(request1(`3`, "1"), `{"jsonrpc":"2.0","id":"c1","method":"runtime.cancel","params":{"id":1}}`)
	p.expect(
		failure1(`3`, -32600, `"message":"Invalid Request: this id is in flight already"`),
		`{"jsonrpc":"2.0","id":"c1","result":{"cancelled":false}}`)

	p.send(`{"jsonrpc":"2.0","id":"c2","method":"runtime.cancel","params":{"id":2}}`)
	p.expectAll(
		`[`+failure1(`1`, 1003, `"message":"Cancelled"`)+`,`+failure1(`2`, 1003, `"message":"Cancelled"`)+`,`+result1(`3`)+`]`,
		`{"jsonrpc":"2.0","id":"c2","result":{"cancelled":true}}`)
	p.send(request1(`3`, "1"))
	p.expect(result1(`3`))
}

func TestBatchReplyIsBounded(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxUnsent = 3 << 20 })
	p := r.dial()
	p.send(`[` + request1(`1`, "big") + `,` + request1(`2`, "big") + `]`)
	var replies []struct {
		Error *struct {
			Code int
			Data struct{ Limit string }
		}
	}
	if err := json.Unmarshal([]byte(p.receive()), &replies); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, reply := range replies {
		if e := reply.Error; e != nil {
			failed++
			if e.Code != 1004 || e.Data.Limit != "batch" {
				t.Errorf("got %+v", e)
			}
		}
	}
	if len(replies) != 2 || failed != 1 {
		t.Errorf("%d of %d replies failed, want 1 of 2", failed, len(replies))
	}
}

func inFlight(r *rig) (n int) {
	for _, c := range r.connected() {
		c.mu.Lock()
		n += c.inFlight
		c.mu.Unlock()
	}
	return n
}
