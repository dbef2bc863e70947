package rpc

import (
	"testing"

	"github.com/coder/websocket"
)

func TestDuplex(t *testing.T) {
	r := start(t)
	p := r.dialDuplex()
	const next, nextReply = `{"type":"req","id":99,"method":"runtime.execute","payload":{"code":"1"}}`,
		`{"type":"rep","id":99,"payload":{"value":1,"console":[],"time":3}}`
	for _, test := range []struct{ name, frame, reply string }{
		{"execute", `{"type":"req","id":1,"method":"runtime.execute","payload":{"code":"1"}}`,
			`{"type":"rep","id":1,"payload":{"value":1,"console":[],"time":3}}`},
		{"ext is echoed", `{"type":"req","id":2,"method":"runtime.execute","payload":{"code":"1"},"ext":{"b":1,"a":[2.0]}}`,
			`{"type":"rep","id":2,"payload":{"value":1,"console":[],"time":3},"ext":{"b":1,"a":[2.0]}}`},
		{"ext is echoed with an error", `{"type":"req","id":3,"method":"runtime.execute","payload":{"code":"throw"},"ext":"e"}`,
			`{"type":"rep","id":3,"error":{"code":1000,"message":"TypeError","data":{"message":"x","stack":"at main.js:1"}},"ext":"e"}`},
		{"unknown fields", `{"type":"req","id":1,"more":false,"error":null,"ext":null,"x":1,"method":"runtime.execute","payload":{"code":"1","x":2}}`,
			`{"type":"rep","id":1,"payload":{"value":1,"console":[],"time":3}}`},
		{"wrong type", `{"type":"req","id":1,"method":"runtime.execute","payload":{"code":1}}`,
			`{"type":"rep","id":1,"error":{"code":-32602,"message":"Invalid params: code must be a string"}}`},
		{"no payload", `{"type":"req","id":1,"method":"runtime.execute"}`,
			`{"type":"rep","id":1,"error":{"code":-32602,"message":"Invalid params: exactly one of code, files and bundle must be there"}}`},
		{"payload a string", `{"type":"req","id":1,"method":"runtime.execute","payload":"x"}`,
			`{"type":"rep","id":1,"error":{"code":-32602,"message":"Invalid params: params must be an object, or an array that holds just it"}}`},
		{"unknown method", `{"type":"req","id":1,"method":"nothing"}`,
			`{"type":"rep","id":1,"error":{"code":-32601,"message":"Method not found"}}`},
		{"no id", `{"type":"req","method":"runtime.execute","payload":{"code":"1"}}`, ""},
		{"id null", `{"type":"req","id":null,"method":"nothing"}`, ""},
		{"reply", `{"type":"rep","id":1,"payload":1}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &client{t, p.conn, p.ctx}
			p.send(test.frame)
			if test.reply != "" {
				p.expect(test.reply)
			}
			p.send(next)
			p.expect(nextReply)
		})
	}
}

func TestDuplexCancelAndDuplicateID(t *testing.T) {
	r := start(t)
	p := r.dialDuplex()
	const call = `{"type":"req","id":1,"method":"runtime.execute","payload":{"code":"wait"}}`
	p.send(call)
	r.running(1)
	p.send(call)
	p.expect(`{"type":"rep","id":1,"error":{"code":-32600,"message":"Invalid Request: this id is in flight already"}}`)
	p.send(`{"type":"req","method":"runtime.cancel","payload":{"id":1}}`)
	p.expect(`{"type":"rep","id":1,"error":{"code":1003,"message":"Cancelled"}}`)
}

func TestNotDuplex(t *testing.T) {
	r := start(t)
	for _, test := range []struct{ name, frame, reason string }{
		{"not JSON", `{`, "JSON"},
		{"handshake again", `SIMPLEX/1.0;json`, "JSON"},
		{"an array", `[]`, "object"},
		{"JSON-RPC", request1(`1`, "1"), "type"},
		{"other type", `{"type":"x","id":1,"method":"runtime.info"}`, "type"},
		{"type a number", `{"type":1,"id":1,"method":"runtime.info"}`, "type"},
		{"no method", `{"type":"req","id":1}`, "method"},
		{"id zero", `{"type":"req","id":0,"method":"runtime.info"}`, "id"},
		{"id a string", `{"type":"req","id":"1","method":"runtime.info"}`, "id"},
		{"id a fraction", `{"type":"req","id":1.5,"method":"runtime.info"}`, "id"},
		{"id negative", `{"type":"req","id":-1,"method":"runtime.info"}`, "id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &rig{TB: t, http: r.http}
			p := r.dialDuplex()
			p.send(test.frame)
			p.expectClose(websocket.StatusProtocolError, test.reason)
		})
	}
}

func TestDuplexHandshake(t *testing.T) {
	r := start(t)
	for _, frame := range []string{"SIMPLEX/1.0;msgpack", "SIMPLEX/2.0;json", "SIMPLEX/", "SIMPLEX/1.0;jsonx"} {
		t.Run(frame, func(t *testing.T) {
			p := (&rig{TB: t, http: r.http}).dial()
			p.send(frame)
			p.expectClose(websocket.StatusProtocolError, "SIMPLEX/1.0;json")
		})
	}
	p := r.dial()
	p.send("SIMPLEX/1.0;json\n")
	p.expect("+OK")

	p = r.dial()
	p.send(request1(`1`, "1"))
	p.expect(result1(`1`))
	p.send("SIMPLEX/1.0;json") // only the first frame decides
	p.expect(failure1(`null`, -32700, `"message":"Parse error"`))
}
