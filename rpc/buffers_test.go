package rpc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// held is what there is of all connections and requests.
func (r *rig) held() (buffered, load int64) {
	return r.wire.Budget.Held(), r.service.quota.held()
}

func (r *rig) holdsNothing() {
	r.Helper()
	r.eventually("nothing is held", func() bool {
		buffered, load := r.held()
		return buffered == 0 && load == 0
	})
}

// Frames that never come wholly, on more connections than there is room for, end those that hold most.
func TestFramesUnderWayAreBounded(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxBuffered = 4 << 20 })
	other := r.dial()
	var conns []net.Conn
	for range 10 {
		conn, _ := r.rawUpgrade()
		conns = append(conns, conn)
		_, _ = conn.Write(unfinished(1 << 20))
	}
	for range 10 {
		conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
		fmt.Fprintf(conn, "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n%s", strings.Repeat(" ", 1<<20))
	}
	r.eventually("some have gone", func() bool { return open(r) <= 5 })
	if buffered, _ := r.held(); buffered > 4<<20 {
		t.Errorf("%d bytes held", buffered)
	}
	other.send(request1(`1`, "1") + strings.Repeat(" ", 100_000))
	other.expect(result1(`1`))
	for _, conn := range conns {
		conn.Close()
	}
	r.holdsNothing()
}

// unfinished is a frame that announces 16 MiB, with n bytes of it.
func unfinished(n int) []byte {
	head := []byte{0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}
	return append(head, slices.Repeat([]byte{' '}, n)...)
}

func TestRepliesUnsentAreBounded(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxBuffered = 32 << 20 })
	other := r.dial()
	for range 8 { // with 20 MiB each, of which the kernel takes some
		stuck := r.dial()
		for i := range 20 {
			if stuck.conn.Write(stuck.ctx, 1, []byte(request1(fmt.Sprint(i), "big"))) != nil {
				break
			}
		}
	}
	r.eventually("some have gone", func() bool { return open(r) < 9 })
	if buffered, _ := r.held(); buffered > 32<<20 {
		t.Errorf("%d bytes held", buffered)
	}
	for range 3 {
		other.send(request1(`1`, "big"))
		if got := len(other.receive()); got < 1<<20 {
			t.Errorf("got %d bytes", got)
		}
	}
	if !strings.Contains(r.log.String(), "this one most") {
		t.Error("not said in the log")
	}
}

// Calls that wait hold their scripts. A tenant may have a quarter of what there is for them, and the next one
// has its own.
func TestScriptsInFlightAreBounded(t *testing.T) {
	const each = 100_000
	r := start(t, func(c *Config) { c.MaxBuffered = 4 << 20 })
	p := r.dial()
	wait := func(id int, tenant string) string {
		f := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"runtime.execute","params":{"code":"wait","tenant":%q}}`, id, tenant)
		return strings.Repeat(" ", each-len(f)) + f // spaces count: they are held, too
	}
	for i := range 5 { // 5 × (2 × 100,000 + 8,192) is a quarter of 4 MiB, nearly
		p.send(wait(i, "a"))
	}
	r.running(5)
	p.send(wait(5, "a"))
	p.expect(failure1(`5`, 1006, `"message":"Busy","data":{"retryAfter":100}`))
	p.send(wait(6, "b"))
	r.running(1)
	batch := "[" + strings.Repeat(" ", 3<<20) + request1(`7`, "wait") + "]"
	p.send(batch) // of which no more is held than the request
	r.running(1)
	if _, load := r.held(); load > 6*(2*each+requestCost)+requestCost+1000 {
		t.Errorf("%d bytes held", load)
	}
	_ = p.conn.CloseNow()
	r.holdsNothing()
}

// What outlives its connection counts until it has ended.
func TestDetachedScriptsInFlightAreBounded(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxBuffered = 4 << 20 })
	p := r.dial()
	for i := range 6 {
		p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"runtime.execute","params":{"code":"wait","execution":"x%[1]d","detach":true}}`, i) + strings.Repeat(" ", 100_000))
		if i < 5 {
			r.running(1)
		}
	}
	p.expect(failure1(`5`, 1006, `"message":"Busy","data":{"retryAfter":100}`))
	_ = p.conn.CloseNow()
	r.eventually("the connection is gone", func() bool { return open(r) == 0 })
	p = r.dial()
	p.send(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":{"code":"wait"}}` + strings.Repeat(" ", 100_000))
	p.expect(failure1(`1`, 1006, `"message":"Busy","data":{"retryAfter":100}`))
	for i := range 5 {
		p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"runtime.cancel","params":{"execution":"x%d"}}`, i))
		p.expect(`{"jsonrpc":"2.0","id":2,"result":{"cancelled":true}}`)
	}
	r.holdsNothing()
}

// A frame or a body that comes a byte at a time is given up, whatever else the client does to look alive.
func TestSlowFrames(t *testing.T) {
	r := start(t, func(c *Config) { c.PingInterval, c.CloseGrace = 100*time.Millisecond, 50*time.Millisecond })
	drip := func(conn net.Conn, piece []byte, most int) (dripped int) {
		for ; dripped < most; dripped++ {
			if _, err := conn.Write(piece); err != nil {
				return dripped
			}
			time.Sleep(10 * time.Millisecond) // the pace is what is tested
		}
		return dripped
	}
	t.Run("fragments", func(t *testing.T) {
		r := &rig{TB: t, http: r.http}
		conn, reader := r.rawUpgrade()
		go func() { _, _ = reader.WriteTo(nowhere{}) }()
		_, _ = conn.Write([]byte{0x01, 0x80, 0, 0, 0, 0}) // the first of a text
		// A part of one byte, and a pong.
		if n := drip(conn, []byte{0x00, 0x81, 0, 0, 0, 0, ' ', 0x8a, 0x80, 0, 0, 0, 0}, 1000); n == 1000 {
			t.Error("it goes on")
		}
	})
	t.Run("body", func(t *testing.T) {
		conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
		drip(conn, []byte(" "), 50)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
			t.Errorf("got %v, %v", resp, err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection goes on behind the answer")
		}
	})
	r.eventually("both have gone", func() bool { return open(r) == 0 })
	r.holdsNothing()
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// A POST whose client does not take the reply ends all the same.
func TestPostThatIsNotTaken(t *testing.T) {
	// Of the budget there is less than the reply needs, rather than wait for the time that 12 MiB have.
	r := start(t, func(c *Config) { c.PingInterval, c.MaxBuffered = 50*time.Millisecond, 4<<20 })
	conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	var parts []string
	for i := range 12 {
		parts = append(parts, request1(fmt.Sprint(i), "big"))
	}
	body := "[" + strings.Join(parts, ",") + "]"
	fmt.Fprintf(conn, "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	r.eventually("it has ended", func() bool { return strings.Contains(r.log.String(), "POST given up") && open(r) == 0 })
}

const maxEcho = 64 << 10 // bytes of an id or an ext

func TestLongEchoes(t *testing.T) {
	r := start(t)
	p := r.dial()
	long := `"` + strings.Repeat("x", maxEcho-2) + `"`
	p.send(request1(long, "1"))
	p.expect(result1(long))
	p.send(request1(`"x`+long[1:], "1"))
	p.expect(failure1(`null`, -32600, fmt.Sprintf(`"message":"Invalid Request: id must be at most %d bytes long"`, maxEcho)))
	d := r.dialDuplex()
	frame := `{"type":"req","id":1,"method":"runtime.execute","payload":{"code":"1"},"ext":%s}`
	d.send(fmt.Sprintf(frame, long))
	if got := d.receive(); !strings.Contains(got, `"ext":"xx`) || len(got) < maxEcho {
		t.Errorf("got %.300s", got)
	}
	d.send(fmt.Sprintf(frame, `"x`+long[1:]))
	if got := d.receive(); !strings.Contains(got, "ext must be at most") || strings.Contains(got, `"ext":`) {
		t.Errorf("got %.300s", got)
	}
}
