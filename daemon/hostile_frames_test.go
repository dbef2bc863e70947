package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/jsdtest"
)

// say writes a frame and gives the next one that comes.
func (b *besieged) say(t *testing.T, conn *websocket.Conn, frame string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
		t.Errorf("write: %v", err)
		return ""
	}
	_, answer, err := conn.Read(ctx)
	if err != nil {
		return err.Error()
	}
	return string(answer)
}

func (b *besieged) socket(t *testing.T) *websocket.Conn {
	t.Helper()
	url, options := b.way()
	conn, _, err := websocket.Dial(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// hostileJSON gets exact answers, in both dialects.
func hostileJSON(t *testing.T, b *besieged) {
	const deep = 1_000_000
	open, closed := repeated("[", deep), repeated("]", deep)
	many := func(element string) string { return "[" + repeated(element+",", 99_999) + element + "]" }
	for _, test := range []struct{ name, frame, want string }{
		{"a batch in a batch in a batch", open + closed, `[{"jsonrpc":"2.0","id":null,"error":{"code":-32600`},
		{"brackets that do not close", open, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700`},
		{"braces that do not close", repeated(`{"a":`, deep), `{"jsonrpc":"2.0","id":null,"error":{"code":-32700`},
		{"deep params", request(1, open+closed), `{"jsonrpc":"2.0","id":1,"error":{"code":-32602`},
		{"deep globals", request(1, `{"code":"1","globals":{"a":`+open+closed+`}}`), `{"jsonrpc":"2.0","id":1,"result":{"value":1`},
		{"a deep id", `{"jsonrpc":"2.0","method":"x","id":` + open + closed + `}`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600`},
		{"a batch of 100,000", many(`{"jsonrpc":"2.0","id":1,"method":"x"}`), `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request: a batch has at most 10000`},
		{"100,000 names of callbacks", request(1, `{"code":"1","callbacks":`+many(`"a"`)+`}`), `{"jsonrpc":"2.0","id":1,"error":{"code":-32602`},
		{"keys twice", `{"jsonrpc":"1.0","jsonrpc":"2.0","id":7,"id":8,"method":"a","method":"x"}`, `{"jsonrpc":"2.0","id":8,"error":{"code":-32601`},
		{"a key 100,000 times", `{` + repeated(`"id":1,`, 100_000) + `"jsonrpc":"2.0","method":"x"}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601`},
		{"no UTF-8", request(1, "{\"code\":\"\xff\"}"), `{"jsonrpc":"2.0","id":null,"error":{"code":-32700`},
		{"half a surrogate in UTF-8", request(1, "{\"code\":\"\xed\xa0\x80\"}"), `{"jsonrpc":"2.0","id":null,"error":{"code":-32700`},
		{"a huge id", `{"jsonrpc":"2.0","method":"x","id":"` + repeated("i", 8<<20) + `"}`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request: id must be at most`},
		{"a huge number", `{"jsonrpc":"2.0","method":"x","id":` + repeated("9", 1<<20) + `}`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600`},
		{"a huge method", `{"jsonrpc":"2.0","id":1,"method":"` + repeated("m", 8<<20) + `"}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601`},
		{"a huge unknown field", request(1, `{"code":"1","`+repeated("f", 8<<20)+`":1}`), `{"jsonrpc":"2.0","id":1,"error":{"code":-32602`},
		{"spaces", repeated(" ", 16<<20-100) + `{"jsonrpc":"2.0","id":1,"method":"x"}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601`},
	} {
		conn := b.socket(t)
		if got := b.say(t, conn, test.frame); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %.200s, want %s", test.name, got, test.want)
		}
		if got := b.say(t, conn, `{"jsonrpc":"2.0","id":2,"method":"x"}`); !strings.Contains(got, `"id":2,"error":{"code":-32601`) {
			t.Errorf("%s: the next request got %.200s", test.name, got)
		}
		_ = conn.CloseNow()
	}
	for _, test := range []struct{ name, frame, want string }{
		{"deep", open + closed, "StatusProtocolError"},
		{"not closed", open, "StatusProtocolError"},
		{"no UTF-8", `{"type":"req","id":1,"method":"` + "\xff" + `"}`, "StatusProtocolError"},
		{"a batch", many(`{"type":"req"}`), "StatusProtocolError"},
		{"a huge id", `{"type":"req","method":"x","id":` + repeated("9", 1<<20) + `}`, "StatusProtocolError"},
		{"a huge ext", `{"type":"req","method":"x","id":1,"ext":"` + repeated("e", 8<<20) + `"}`, `{"type":"rep","id":1,"error":{"code":-32600`},
		{"a deep ext", `{"type":"req","method":"x","id":1,"ext":` + open + closed + `}`, `{"type":"rep","id":1,"error":{"code":-32600`},
		{"deep payload", `{"type":"req","method":"runtime.execute","id":1,"payload":` + open + closed + `}`, `{"type":"rep","id":1,"error":{"code":-32602`},
		{"keys twice", `{"type":"rep","type":"req","id":7,"id":8,"method":"x"}`, `{"type":"rep","id":8,"error":{"code":-32601`},
	} {
		conn := b.socket(t)
		if got := b.say(t, conn, "SIMPLEX/1.0;json"); got != "+OK" {
			t.Fatalf("greeting %q", got)
		}
		if got := b.say(t, conn, test.frame); !strings.Contains(got, test.want) {
			t.Errorf("Duplex, %s: got %.200s, want %s", test.name, got, test.want)
		}
		_ = conn.CloseNow()
	}
}

// manyIDs has 1,024 calls in flight, and all others refused.
func manyIDs(t *testing.T, b *besieged) {
	conn := b.socket(t)
	const each, batches = 10_000, 20
	sent := make(chan error, 1)
	go func() {
		var batch strings.Builder
		for i := range batches {
			batch.Reset()
			for j := range each {
				fmt.Fprintf(&batch, ",%s", request(i*each+j, `{"code":"new Promise(() => {})","tenant":"ids","timeout":30000}`))
			}
			if err := conn.Write(t.Context(), websocket.MessageText, []byte("["+batch.String()[1:]+"]")); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	answers := 0
	for answers < (batches-1)*each { // the first batch has calls that wait in it
		_, frame, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("after %d answers: %v", answers, err)
		}
		var replies []struct{ Error jsdtest.ReplyError }
		if err := json.Unmarshal(frame, &replies); err != nil {
			t.Fatal(err)
		}
		for _, r := range replies {
			if answers++; r.Error.Code != 1006 {
				t.Fatalf("got %+v", r.Error)
			}
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	_ = conn.CloseNow()
}

// neverRead asks for 400 MiB of results, by WebSockets and by POST, and takes none of it.
func neverRead(t *testing.T, b *besieged) {
	const big = `{"code":"'x'.repeat(8e6)","tenant":"big","timeout":20000}`
	const given = "this one most"
	before := strings.Count(b.Log(), given)
	var sockets, posts []*raw
	for range 8 {
		c := b.raw(t, b.Address).upgrade()
		for i := range 5 {
			c.say(frameOf(0x81, request(i, big)))
		}
		sockets = append(sockets, c)
		p := b.raw(t, b.Address)
		body := request(1, big)
		p.say(fmt.Sprintf("POST /rpc HTTP/1.1\r\nHost: localhost\r\nX-Runtime-Secret: %s\r\nContent-Length: %d\r\n\r\n%s", hostileSecret, len(body), body))
		posts = append(posts, p)
	}
	eventually(t, "a client that does not read is disconnected", func() bool {
		return strings.Count(b.Log(), given) > before+3
	})
	for _, c := range append(sockets, posts...) {
		c.reset()
	}
}

func endlessUploads(t *testing.T, b *besieged) {
	part := fmt.Sprintf(`{"a.js":"%s"}`, repeated("x", 1<<20))
	var conns []*websocket.Conn
	kept, refused := 0, 0
	for i := range 10 {
		conn := b.socket(t)
		conns = append(conns, conn)
		for upload := range 20 {
			got := b.say(t, conn, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"runtime.put","params":{"upload":"%d","more":true,"tenant":"t%d","files":%s}}`, upload, i, part))
			switch {
			case strings.Contains(got, `"result":{"upload"`):
				kept++
			case strings.Contains(got, `"code":1004`) && strings.Contains(got, `"limit":"bundle"`):
				refused++
			default:
				t.Fatalf("got %.200s", got)
			}
		}
	}
	if kept == 0 || kept > 64 || kept+refused != 200 {
		t.Errorf("of 200 parts of 1 MiB %d were kept and %d refused, with room for 64", kept, refused)
	}
	for _, conn := range conns {
		_ = conn.CloseNow()
	}
	eventually(t, "there is room again", func() bool {
		conn := b.socket(t)
		defer conn.CloseNow()
		return strings.Contains(b.say(t, conn, `{"jsonrpc":"2.0","id":1,"method":"runtime.put","params":{"tenant":"t0","files":`+part+`}}`), `"bundle"`)
	})
}

func leftAlone(t *testing.T, b *besieged) {
	for range 3 {
		c := b.dial(t, "json-rpc")
		c.Answers(func(callback) {}) // never
		began := time.Now()
		got := c.Execute(script{"code": "function f() { return Promise.all(Array.from({length: 1200}, () => host.f())) }", "call": "f", "callbacks": []string{"f"}, "timeout": 1000, "tenant": "alone"})
		// Callbacks beyond 1,000 are refused, which is what this script rejects with.
		if got.String() != "1000 Error" || time.Since(began) > 20*time.Second {
			t.Errorf("1,200 callbacks: got %v after %v", got, time.Since(began))
		}
		got = c.Execute(script{"code": "function f() { return Promise.all(Array.from({length: 900}, () => host.f())) }", "call": "f", "callbacks": []string{"f"}, "timeout": 500, "tenant": "alone"})
		if got.String() != waits {
			t.Errorf("900 callbacks: got %v", got)
		}
		_ = c.Conn.CloseNow()
	}
	for range 3 { // each time as many as there may be
		c := b.dial(t, "json-rpc")
		eventually(t, "eight sessions", func() bool {
			opened := 0
			for range 9 {
				r := c.Call("runtime.open", script{"code": "1", "tenant": "alone"})
				if r.Error == nil {
					opened++
				} else if r.Error.Code != 1004 {
					t.Errorf("open got %v", r)
				}
			}
			return opened > 0
		})
		_ = c.Conn.CloseNow()
	}
}

func attackAdmin(t *testing.T, b *besieged) {
	for request, status := range map[string]int{
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + repeated("x", 1<<20) + "\r\n\r\n":       431,
		"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\nx":            405,
		"GET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n":                                        403,
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n":              403,
		"GET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\n\r\n":                              404,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                          403, // for its Host
		"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n": 200,
	} {
		c := b.raw(t, b.Admin)
		go c.say(request)
		if res, body := c.response(); res.StatusCode != status {
			t.Errorf("%.60q: got %d %.100s, want %d", request, res.StatusCode, body, status)
		}
		c.reset()
	}
	var conns []*raw
	for range 500 { // of which 225 stay
		conns = append(conns, b.raw(t, b.Admin))
	}
	eventually(t, "most were closed", func() bool { return b.Files() < b.rest.files+b.slow+240 })
	for _, c := range conns {
		c.reset()
	}
}

// hidesSecrets looks for what no line of the log may hold.
func (b *besieged) hidesSecrets(t *testing.T) {
	for _, header := range []string{
		"X-Runtime-Secret: wrong-secret-1", "Authorization: Bearer wrong-secret-2", "Sec-WebSocket-Protocol: jsd, bearer.wrong-secret-3",
		"X-Runtime-Secret: wrong-secret-4\x01", "Cookie: wrong-secret-5",
	} {
		c := b.raw(t, b.Address)
		c.say(strings.Replace(upgradeRequest, "X-Runtime-Secret: "+hostileSecret, header, 1))
		if res, _ := c.response(); res.StatusCode < 400 {
			t.Errorf("%s: got %d", header, res.StatusCode)
		}
		c.say("GET /?token=wrong-secret-6 HTTP/1.1\r\n\r\n")
		_, _ = io.Copy(io.Discard, c.reader)
	}
	c := b.dial(t, "json-rpc")
	c.Execute(script{"code": "/* wrong-secret-7 */ throw new Error(secrets.a)", "secrets": script{"a": "wrong-secret-8"}})
	c.Execute(script{"code": "globalThis.x = 'wrong-secret-9'; console.log(x); x", "globals": script{"g": "wrong-secret-10"}})
	log := b.Log()
	for _, hidden := range []string{"wrong-secret", hostileSecret} {
		if i := strings.Index(log, hidden); i >= 0 {
			t.Errorf("in the log: %s", log[max(0, i-200):min(len(log), i+100)])
		}
	}
	if !strings.Contains(log, `"level":"debug"`) {
		t.Error("the log says nothing at debug level")
	}
}
