package daemon_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// hostileBuffers is --buffers of the daemon that is attacked, in MiB.
const hostileBuffers = 64

// What the daemon's memory may grow by, in MiB. Frames and replies under way may take hostileBuffers and calls
// in flight as much again; each byte may be there thrice for a moment (the buffer it is read into, the one
// that this grows out of, the script made of it), and Go lets garbage come to as much as what lives.
const (
	growth = 2 * 3 * hostileBuffers
	little = 100
)

// Clients that attack the daemon reach nothing: their own requests get exact answers, others are served all
// the while, and nothing of them is left.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	arguments := []string{"--buffers", fmt.Sprint(hostileBuffers), "--bundles", "32", "--all-bundles", "64"}
	plain, secure := besiege(t, false, arguments...), besiege(t, true, arguments...)
	slowToPlain, slowToSecure := plain.slowly(t), secure.slowly(t)
	for _, attack := range []struct {
		name   string
		growth int
		run    func(*testing.T, *besieged)
		on     string // what TLS may make a difference to is tried with and without
	}{
		{"10,000 connections opened and dropped", little, openAndDrop, "both"},
		{"headers", little, wrongHeaders, "plain"},
		{"handshakes", little, wrongHandshakes, "TLS"},
		{"pipelined requests", little, pipelined, "plain"},
		{"frames without end", growth, endlessFrames, "both"},
		{"frames of nothing", little, emptyFrames, "plain"},
		{"compressed frames", little, compressed, "plain"},
		{"100,000 pings", little, pings, "plain"},
		{"JSON", growth, hostileJSON, "plain"},
		{"200,000 ids", growth, manyIDs, "plain"},
		{"clients that do not read", growth, neverRead, "both"},
		{"uploads without end", growth, endlessUploads, "plain"},
		{"callbacks and sessions left alone", little, leftAlone, "plain"},
		{"the admin address", little, attackAdmin, "plain"},
	} {
		try := func(name string, b *besieged, slow *slowClients) {
			t.Run(name, func(t *testing.T) {
				slow.aside(b)
				b.withstands(t, attack.growth, func(t *testing.T) { attack.run(t, b) })
			})
		}
		if attack.on != "TLS" {
			try(attack.name, plain, slowToPlain)
		}
		if attack.on != "plain" {
			try(attack.name+", by TLS", secure, slowToSecure)
		}
	}
	slowToPlain.ended(t)
	slowToSecure.ended(t)
	plain.hidesSecrets(t)
	secure.hidesSecrets(t)
}

func openAndDrop(t *testing.T, b *besieged) {
	var refused atomic.Int64
	many(10_000, 50, func(i int) {
		c := b.raw(t, b.Address)
		if i%4 >= 2 {
			c.say(upgradeRequest)
			if res, err := http.ReadResponse(c.reader, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
				refused.Add(1)
			}
		}
		if i%2 == 0 {
			c.reset()
		}
		_ = c.Close()
	})
	if n := refused.Load(); n > 0 {
		t.Errorf("%d were refused", n)
	}
}

// wrongHeaders is answered by package net/http, or not at all.
func wrongHeaders(t *testing.T, b *besieged) {
	const post, ok = "POST /rpc HTTP/1.1\r\nHost: localhost\r\nX-Runtime-Secret: " + hostileSecret + "\r\n", `{"jsonrpc":"2.0","id":1,"method":"x"}`
	for _, test := range []struct {
		name, request string
		status        int
		body          string
	}{
		{"a huge header", post + "X: " + repeated("x", 1<<20) + "\r\n\r\n", 431, ""},
		{"a header over the limit", post + "X: " + repeated("x", 20<<10) + "\r\n\r\n", 431, ""},
		{"a header below it", post + "X: " + repeated("x", 15<<10) + "\r\nContent-Length: 0\r\n\r\n", 200, "-32700"},
		{"many headers", post + repeated("X: y\r\n", 100_000) + "\r\n", 431, ""},
		{"a huge path", "GET /" + repeated("x", 1<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431, ""},
		{"a huge upgrade", strings.Replace(upgradeRequest, "permessage", repeated("x", 1<<20), 1), 431, ""},
		{"no request", repeated("\x00", 5000) + "\r\n\r\n", 400, ""},
		{"two lengths", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, ""},
		{"a negative length", post + "Content-Length: -1\r\n\r\n", 400, ""},
		{"a length of no number", post + "Content-Length: 1e3\r\n\r\n", 400, ""},
		{"a length and chunks", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "-32700"},
		{"a wrong chunk", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "could not be read"},
		{"a length too short", post + "Content-Length: 5\r\n\r\n" + ok, 200, "-32700"},
		{"a length over the limit", post + "Content-Length: 99999999999\r\n\r\n" + repeated(" ", 17<<20), 200, "over the limit"},
		{"HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403, "Host"},
		{"HTTP/2 by upgrade", "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 200, ""},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, ""},
		{"no body where one is expected, without the secret", "POST /rpc HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n", 401, ""},
	} {
		c := b.raw(t, b.Address)
		go c.say(test.request) // the daemon may close before it has read all
		res, err := http.ReadResponse(c.reader, nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != test.status || !strings.Contains(string(body), test.body) {
			t.Errorf("%s: got %d %.200s, want %d %s", test.name, res.StatusCode, body, test.status, test.body)
		}
		c.reset()
	}
	c := b.raw(t, b.Address)
	c.say(post + "Expect: 100-continue\r\nContent-Length: 37\r\n\r\n")
	if line, _ := c.reader.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Errorf("got %q", line)
	}
	_, _ = c.reader.ReadString('\n')
	c.say(ok)
	if _, body := c.response(); !strings.Contains(body, "-32601") {
		t.Errorf("after 100-continue: %s", body)
	}
	c.reset()
}

func pipelined(t *testing.T, b *besieged) {
	c := b.raw(t, b.Address)
	const requests = 1000
	go func() {
		for i := range requests {
			body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"x"}`, i)
			c.say(fmt.Sprintf("POST /rpc HTTP/1.1\r\nHost: localhost\r\nX-Runtime-Secret: %s\r\nContent-Length: %d\r\n\r\n%s", hostileSecret, len(body), body))
		}
	}()
	for i := range requests {
		if _, body := c.response(); !strings.Contains(body, fmt.Sprintf(`"id":%d,"error":{"code":-32601`, i)) {
			t.Fatalf("request %d got %s", i, body)
		}
	}
	c.reset()
}

// endlessFrames are more than there is room for: the limit of a frame ends some, and the bound of all others.
func endlessFrames(t *testing.T, b *besieged) {
	part := repeated(" ", 1<<20)
	one := b.raw(t, b.Address).upgrade()
	one.say(frameOf(0x01, part))
	for range 16 {
		one.say(frameOf(0x00, part))
	}
	one.say(frameOf(0x00, " "))
	if code := one.closed(); code != 1009 {
		t.Errorf("a fragmented message over the limit: closed with %d", code)
	}
	_ = one.Close()
	large := b.raw(t, b.Address).upgrade()
	go large.say(frameOf(0x81, repeated(" ", 16<<20+1)))
	if code := large.closed(); code != 1009 && code != 0 { // 0: reset, since it had more to say
		t.Errorf("a frame over the limit: closed with %d", code)
	}
	large.reset()

	var unfinished []*raw
	for range 20 { // 300 MiB
		unfinished = append(unfinished, b.raw(t, b.Address).upgrade())
	}
	many(len(unfinished), 4, func(i int) {
		c := unfinished[i]
		c.say(frameOf(0x01, part))
		for range 14 {
			c.say(frameOf(0x00, part))
		}
	})
	eventually(t, "there is no more room", func() bool { return strings.Contains(b.Log(), "this one most") })
	polite := b.dial(t, "json-rpc")
	if got := polite.Execute(script{"code": "/*" + part + "*/ 5"}).String(); got != "5" {
		t.Errorf("a large script meanwhile got %.100s", got)
	}
	_ = polite.Conn.CloseNow()
	for _, c := range unfinished {
		c.reset()
	}
}

// emptyFrames are parts of messages that never end, and closings that are not whole: they are given up by time,
// and others do not wait for them.
func emptyFrames(t *testing.T, b *besieged) {
	var conns []*raw
	for _, said := range []string{
		frameOf(0x01, "") + repeated(frameOf(0x00, ""), 100_000), // a message in 100,000 parts of nothing
		frameOf(0x01, "[") + repeated(frameOf(0x00, " "), 100_000),
		frameOf(0x01, "[") + repeated(frameOf(0x89, "x"), 1000), // pings between its parts
		"\x88", "\x88\x82\x00\x00", frameOf(0x88, "\x03\xe8")[:7], // half a close
		"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff", // a frame of 2^63 bytes
	} {
		for range 10 {
			c := b.raw(t, b.Address).upgrade()
			go c.say(said)
			conns = append(conns, c)
		}
	}
	polite := b.dial(t, "json-rpc")
	for i := range 20 {
		if got := polite.Execute(script{"code": "n + 1", "globals": script{"n": i}}).String(); got != fmt.Sprint(i+1) {
			t.Errorf("meanwhile call %d got %s", i, got)
		}
	}
	_ = polite.Conn.CloseNow()
	for _, wrong := range []string{
		frameOf(0x88, "\x03"), frameOf(0x88, "\x00\x00"), frameOf(0x88, "\x03\xed"), // half a code, no code, one that may not be sent
		frameOf(0x08, ""), frameOf(0x88, repeated("x", 126)), frameOf(0x00, "x"), // in parts, too long, a part of nothing
		"\x81\x01x", // not masked
		"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", // of a negative length
	} {
		c := b.raw(t, b.Address).upgrade()
		c.say(wrong)
		c.closed()
		c.reset()
	}
	for _, c := range conns {
		c.reset()
	}
}

// compressed frames are no frames, since no compression was agreed on: nothing is ever inflated.
func compressed(t *testing.T, b *besieged) {
	for _, first := range []byte{0xc1, 0xe1, 0xb1, 0xc2} {
		c := b.raw(t, b.Address).upgrade()
		c.say(frameOf(first, "\x4a\x4c\x44\x05\x00"))
		if code := c.closed(); code != int(websocket.StatusProtocolError) {
			t.Errorf("%x: closed with %d", first, code)
		}
		_ = c.Close()
	}
	c := b.raw(t, b.Address)
	c.say("POST /rpc HTTP/1.1\r\nHost: localhost\r\nX-Runtime-Secret: " + hostileSecret + "\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
	if _, body := c.response(); !strings.Contains(body, "-32700") {
		t.Errorf("a gzipped body got %s", body)
	}
	c.reset()
}

// pings without end are answered as long as the answers are taken, and then not read any more.
func pings(t *testing.T, b *besieged) {
	c := b.raw(t, b.Address).upgrade()
	_ = c.SetWriteDeadline(time.Now().Add(3 * time.Second))
	flood := repeated(frameOf(0x89, repeated("x", 125)), 1000)
	for range 100 {
		if !c.say(flood) {
			break
		}
	}
	c.reset()
	for _, tooLong := range []string{frameOf(0x89, repeated("x", 126)), frameOf(0x09, ""), frameOf(0x83, "x")} {
		c := b.raw(t, b.Address).upgrade()
		c.say(tooLong)
		if code := c.closed(); code != int(websocket.StatusProtocolError) && code != 0 {
			t.Errorf("%x: closed with %d", tooLong[:2], code)
		}
		_ = c.Close()
	}
}
