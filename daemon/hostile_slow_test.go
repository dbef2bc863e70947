package daemon_test

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowClients are at the daemon all along: their headers never end, or a byte of a body comes each second.
type slowClients struct {
	headers, bodies, silent []*raw
	began                   time.Time
	dripping                sync.WaitGroup
}

func (b *besieged) slowly(t *testing.T) *slowClients {
	s := &slowClients{began: time.Now()}
	for range 20 {
		s.headers = append(s.headers, b.raw(t, b.Address), b.raw(t, b.Admin))
		s.silent = append(s.silent, b.plain(t, b.Address), b.plain(t, b.Admin)) // nor do they shake hands
		body := b.raw(t, b.Address)
		body.say("POST /rpc HTTP/1.1\r\nHost: localhost\r\nX-Runtime-Secret: " + hostileSecret + "\r\nContent-Length: 1000\r\n\r\n")
		elsewhere := b.raw(t, b.Address)
		elsewhere.say("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
		s.bodies = append(s.bodies, body, elsewhere)
	}
	for _, c := range s.headers {
		c.say(strings.TrimSuffix(upgradeRequest, "\r\n"))
	}
	stop := time.After(45 * time.Second)
	s.dripping.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-t.Context().Done():
				return
			case <-time.After(time.Second):
			}
			gone := true
			for _, c := range s.headers {
				gone = !c.say("X: y\r\n") && gone
			}
			for _, c := range s.bodies {
				gone = !c.say(" ") && gone
			}
			if gone {
				return
			}
		}
	})
	t.Cleanup(s.dripping.Wait)
	return s
}

// aside leaves their connections out of what is counted: as long as they may be there.
func (s *slowClients) aside(b *besieged) {
	b.slow = 0
	if time.Since(s.began) < 45*time.Second {
		b.slow = 3 * 40
	}
}

// ended waits until the daemon has given up on each.
func (s *slowClients) ended(t *testing.T) {
	for what, conns := range map[string][]*raw{"a header": s.headers, "silence": s.silent, "a body": s.bodies} {
		for _, c := range conns {
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, c.reader); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Fatalf("%s without end: the connection goes on", what)
			}
		}
	}
	t.Logf("slow clients had gone after %v", time.Since(s.began))
}
