package daemon_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// A raw is a TCP connection to the daemon, with TLS on it or not.
type raw struct {
	net.Conn
	tcp    *net.TCPConn
	t      testing.TB
	reader *bufio.Reader
}

// raw comes to the daemon as its clients have to. Where that is by TLS, the first word shakes hands.
func (b *besieged) raw(t testing.TB, address string) *raw {
	t.Helper()
	r := b.plain(t, address)
	if b.tls != nil && address == b.Address {
		r.Conn = tls.Client(r.tcp, b.tls)
		r.reader = bufio.NewReader(r.Conn)
	}
	return r
}

func (b *besieged) plain(t testing.TB, address string) *raw {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(50 * time.Second))
	return &raw{conn, conn.(*net.TCPConn), t, bufio.NewReader(conn)}
}

const upgradeRequest = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Runtime-Secret: " + hostileSecret + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// say writes; that the daemon no longer listens is no error.
func (r *raw) say(text string) bool {
	_, err := io.WriteString(r, text)
	return err == nil
}

func (r *raw) response() (*http.Response, string) {
	r.t.Helper()
	res, err := http.ReadResponse(r.reader, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, ""
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res, string(body)
}

func (r *raw) upgrade() *raw {
	r.t.Helper()
	r.say(upgradeRequest)
	if res, body := r.response(); res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Extensions") != "" {
		r.t.Fatalf("got %v %s", res, body)
	}
	return r
}

// frame is one of a WebSocket, with a mask that changes nothing. The first byte has flags and opcode.
func frameOf(first byte, payload string) string {
	n := len(payload)
	head := []byte{first, 0x80 | 127, byte(n >> 56), byte(n >> 48), byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	if n < 126 {
		head = []byte{first, 0x80 | byte(n)}
	}
	return string(append(head, 0, 0, 0, 0)) + payload
}

// closed waits until the daemon closes the connection, and gives the code that it says.
func (r *raw) closed() (code int) {
	r.t.Helper()
	for {
		var head [2]byte
		if _, err := io.ReadFull(r.reader, head[:]); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				r.t.Error("the connection goes on")
			}
			return code
		}
		size, more := int(head[1]), 0
		switch size {
		case 126:
			more = 2
		case 127:
			more = 8
		}
		if more > 0 {
			size = 0
		}
		for range more {
			b, _ := r.reader.ReadByte()
			size = size<<8 | int(b)
		}
		payload := make([]byte, size)
		_, _ = io.ReadFull(r.reader, payload)
		if head[0] == 0x88 && size >= 2 {
			code = int(payload[0])<<8 | int(payload[1])
			r.say(frameOf(0x88, string(payload[:2])))
		}
	}
}

// reset drops the connection without a word.
func (r *raw) reset() {
	_ = r.tcp.SetLinger(0)
	_ = r.tcp.Close()
}
