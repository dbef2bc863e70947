package daemon_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jsd-project/jsd/daemon"
)

// wrongHandshakes never come to an end, or are none. The daemon gives each of them up.
func wrongHandshakes(t *testing.T, b *besieged) {
	hello := clientHello(t)
	const record, isHello, http = "\x16\x03\x01", "\x01", "HTTP by the port for TLS"
	said := map[string]string{
		"nothing":                   "",
		"part of a record's head":   hello[:3],
		"part of a hello":           hello[:len(hello)/2],
		"a hello, and no more":      hello,
		"half a record":             record + "\x40\x00" + isHello + "\x00\x3f\xfc" + repeated("x", 1<<13),
		"a record that is too long": record + "\xff\xff" + repeated("x", 0xffff),
		"a hello that is too long":  record + "\x40\x00" + isHello + "\xff\xff\xff" + repeated("x", 1<<14-4),
		"a hello in 65,000 records": record + "\x00\x04" + isHello + "\x00\xff\xff" + repeated(record+"\x00\x01x", 65_000),
		"records of nothing":        repeated(record+"\x00\x00", 100_000),
		"alerts":                    repeated("\x15\x03\x01\x00\x02\x01\x00", 100_000),
		"data":                      "\x17\x03\x03\x00\x05hello",
		"garbage":                   repeated("\x00garbage", 1000),
		http:                        upgradeRequest,
	}
	conns := map[string][]*raw{}
	for name, text := range said {
		for range 20 {
			c := b.plain(t, b.Address)
			go c.say(text) // the daemon may close before it has read all
			conns[name] = append(conns[name], c)
		}
	}
	for name, all := range conns {
		for _, c := range all {
			_ = c.SetReadDeadline(time.Now().Add(2 * daemon.HeaderTime))
			got, err := io.ReadAll(c.reader)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%s: the connection goes on", name)
			}
			if name == http && !strings.HasPrefix(string(got), "HTTP/1.0 400 Bad Request") {
				t.Errorf("%s: got %q", name, got)
			}
			c.reset()
		}
	}
}

// clientHello is the first that a client says.
func clientHello(t *testing.T) string {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		_ = tls.Client(ours, &tls.Config{ServerName: "localhost"}).Handshake()
	}()
	defer theirs.Close()
	said := make([]byte, 1<<14)
	n, err := theirs.Read(said)
	if err != nil {
		t.Fatal(err)
	}
	return string(said[:n])
}
