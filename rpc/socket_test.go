package rpc

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestBinaryFrame(t *testing.T) {
	r := start(t)
	for _, p := range []*client{r.dial(), r.dialDuplex()} {
		if err := p.conn.Write(p.ctx, websocket.MessageBinary, []byte(request1(`1`, "1"))); err != nil {
			t.Fatal(err)
		}
		p.expectClose(websocket.StatusUnsupportedData, "text")
	}
}

func TestFrameLimit(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxFrame = 1000 })
	p := r.dial()
	frame := request1(`1`, "1")
	p.send(frame + strings.Repeat(" ", 1000-len(frame)))
	p.expect(result1(`1`))
	p.send(frame + strings.Repeat(" ", 1001-len(frame)))
	p.expectClose(websocket.StatusMessageTooBig, "1000")

	p = r.dial()
	p.send(strings.Repeat(" ", 1<<20))
	p.expectClose(websocket.StatusMessageTooBig, "1000")
}

func TestLargeFrames(t *testing.T) {
	r := start(t)
	p := r.dial()
	p.send(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":{"code":"1","globals":{"a":"` +
		strings.Repeat("x", 15<<20) + `"}}}`)
	p.expect(result1(`1`))
	p.send(request1(`1`, "big"))
	if got := len(p.receive()); got < 1<<20 {
		t.Errorf("%d bytes", got)
	}
}

func TestSubprotocol(t *testing.T) {
	r := start(t)
	for offered, want := range map[string]string{"": "", "jsd": "jsd", "other": ""} {
		p := r.dial(&websocket.DialOptions{Subprotocols: strings.Fields(offered)})
		if got := p.conn.Subprotocol(); got != want {
			t.Errorf("offered %q: got %q, want %q", offered, got, want)
		}
	}
}

// A client that does not read is disconnected, with its calls, while others go on.
func TestSlowReader(t *testing.T) {
	for name, limit := range map[string]func(*Config){
		"bytes":  func(c *Config) { c.MaxUnsent = 4 << 20 },
		"frames": func(c *Config) { c.MaxUnsentFrames = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, limit)
			slow, other := r.dial(), r.dial()
			slow.send(request1(`"w"`, "wait"))
			r.running(1)
			for i := range 64 {
				if slow.conn.Write(slow.ctx, websocket.MessageText, []byte(request1(fmt.Sprint(i), "big"))) != nil {
					break // disconnected already
				}
			}
			r.eventually("the slow client is gone", func() bool { return open(r) == 1 })
			if !strings.Contains(r.log.String(), "does not read") {
				t.Errorf("not said in the log: %s", r.log)
			}
			other.send(request1(`1`, "1"))
			other.expect(result1(`1`))
		})
	}
}

// rawUpgrade is a WebSocket client that never answers anything.
func (r *rig) rawUpgrade() (net.Conn, *bufio.Reader) {
	r.Helper()
	conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		r.Fatal(resp, err)
	}
	return conn, reader
}

func TestDeadPeerIsClosed(t *testing.T) {
	r := start(t, func(c *Config) { c.PingInterval = 50 * time.Millisecond })
	conn, reader := r.rawUpgrade()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	head, err := reader.Peek(1)
	if err != nil || head[0] != 0x89 {
		t.Fatalf("got %x, %v, want a ping", head, err)
	}
	r.eventually("the dead peer is gone", func() bool { return open(r) == 0 })
}

func TestLivePeerIsKept(t *testing.T) {
	pings := make(chan struct{}, 100)
	r := start(t, func(c *Config) { c.PingInterval = 50 * time.Millisecond })
	p := r.dial(&websocket.DialOptions{OnPingReceived: func(_ ctx, _ []byte) bool {
		pings <- struct{}{}
		return true
	}})
	p.send(request1(`1`, "wait"))
	replies := make(chan string)
	go func() {
		_, frame, _ := p.conn.Read(p.ctx)
		replies <- string(frame)
	}()
	for range 5 {
		<-pings
	}
	p.send(cancelRequest(`2`, `1`))
	got := <-replies // one of two, in no order
	if got != `{"jsonrpc":"2.0","id":2,"result":{"cancelled":true}}` && got != failure1(`1`, 1003, `"message":"Cancelled"`) {
		t.Errorf("got %s", got)
	}
}

// A peer in the middle of a frame cannot answer a ping, but shows life.
func TestPeerThatUploadsIsKept(t *testing.T) {
	r := start(t, func(c *Config) { c.PingInterval = 200 * time.Millisecond })
	conn, reader := r.rawUpgrade()
	const pieces = 30
	frame := []byte(request1(`1`, "1") + strings.Repeat(" ", pieces*(32<<10)))
	header := binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, uint64(len(frame)))
	header = append(header, 0, 0, 0, 0) // a mask that changes nothing
	frame = append(header, frame...)
	for piece := range slices.Chunk(frame, len(frame)/pieces) { // takes several intervals
		if _, err := conn.Write(piece); err != nil {
			t.Fatalf("disconnected: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // the pace is what is tested
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for {
		line, err := reader.ReadString('}')
		if err != nil {
			t.Fatalf("got %q, %v", line, err)
		}
		if strings.Contains(line, `"value":1`) {
			return
		}
	}
}

func TestTooManyConnections(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxConnections = 1 })
	p := r.dial()
	_, resp, err := websocket.Dial(p.ctx, r.url(), nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %v", err)
	}
	_ = p.conn.CloseNow()
	r.eventually("the place is free", func() bool { return open(r) == 0 })
	p = r.dial()
	p.send(request1(`1`, "1"))
	p.expect(result1(`1`))
}

// Neither a peer that does not answer a close nor one that does not read keeps Shutdown waiting.
func TestShutdownForcesPeersThatDoNotCooperate(t *testing.T) {
	r := start(t, func(c *Config) { c.CloseGrace = 50 * time.Millisecond })
	r.rawUpgrade()
	stuck := r.dial()
	for i := range 20 {
		stuck.send(request1(fmt.Sprint(i), "big"))
	}
	r.eventually("all was run", func() bool { return strings.Count(r.log.String(), `"ok"`) == 20 })
	began := time.Now()
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}
