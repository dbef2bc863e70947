package daemon_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// crowdMemory is what a WebSocket that has said nothing may cost the daemon, in KiB: a goroutine with a small stack,
// buffers of 3 KiB for reading and writing, and what its request took until then, with as much again for garbage.
const crowdMemory = 40

// As many clients as there may be are served, some more are told that there are too many, and many more are
// turned away before anything is kept for them.
func TestCrowd(t *testing.T) {
	t.Parallel()
	const places, told, away = 10_000, 200, 2_800
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Max < places+told+away+1000 {
		t.Skipf("needs %d open files, may have %d", places+told+away+1000, files.Max)
	}
	b := besiege(t, false, "--max-connections", fmt.Sprint(places))
	b.withstands(t, (places+told+away)*crowdMemory>>10, func(t *testing.T) {
		crowd := make([]*raw, places-1) // the neighbour has the last place
		many(len(crowd), 50, func(i int) {
			crowd[i] = b.raw(t, b.Address)
			crowd[i].say(upgradeRequest)
			if res, err := http.ReadResponse(crowd[i].reader, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("connection %d was refused: %v %v", i, res, err)
			}
		})
		if t.Failed() {
			return
		}
		for range told {
			c := b.raw(t, b.Address)
			c.say(upgradeRequest)
			if res, body := c.response(); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "too many connections") {
				t.Fatalf("got %d %s", res.StatusCode, body)
			}
			c.reset()
		}
		if got := b.Readiness(); got != http.StatusOK { // which is no call, and takes no place
			t.Errorf("/readyz gives %d", got)
		}
		waiting := make([]*raw, away) // and say nothing
		many(away, 50, func(i int) { waiting[i] = b.raw(t, b.Address) })
		if c := waiting[away-1]; c.closed() != 0 {
			t.Error("closed with words")
		}
		if n := b.Files(); n > places+places/4+200 {
			t.Errorf("%d files are open", n)
		}
		for i := range 100 {
			c := crowd[i*99]
			c.say(frameOf(0x81, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"x"}`, i)))
			if c.replied(); t.Failed() {
				return
			}
		}
		for i, c := range append(crowd, waiting...) {
			if i%2 == 0 {
				c.reset()
			}
			_ = c.Close()
		}
	})
}

// replied reads a short text frame. Pings may come before it: the crowd is silent for longer than a connection may be
// without one.
func (r *raw) replied() {
	r.t.Helper()
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(r.reader, head); err != nil || head[1] > 125 {
			r.t.Errorf("got %x, %v", head, err)
			return
		}
		if _, err := r.reader.Discard(int(head[1])); err != nil {
			r.t.Errorf("got %x, %v", head, err)
			return
		}
		switch head[0] {
		case 0x89: // a ping
		case 0x81:
			return
		default:
			r.t.Errorf("got %x", head)
			return
		}
	}
}
