package wire

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// pings keep a socket alive, or find that it is not, by a timer rather than a goroutine that sleeps.
type pings struct {
	socket   *Socket
	interval time.Duration

	mu      sync.Mutex // held while a ping is under way; guards what follows
	timer   *time.Timer
	stopped bool
}

func (p *pings) start(s *Socket, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.socket, p.interval = s, interval
	p.timer = time.AfterFunc(interval, p.ping)
}

// stop returns when no ping is under way. Where nobody reads the answer to one, that is when the socket's End or abort has
// taken effect.
func (p *pings) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.timer.Stop()
}

// ping ends the connection of a peer that shows no life for an interval after it.
func (p *pings) ping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	s := p.socket
	if s.isTooSlow(p.interval) {
		s.cfg.Log.Info().Msg("client disconnected: a frame of its took too long to come")
		s.End(websocket.StatusPolicyViolation, "a frame took too long to come")
	}
	if !p.answered() {
		s.abort()
		return
	}
	p.timer.Reset(p.interval)
}

func (p *pings) answered() bool {
	s := p.socket
	ctx, cancel := context.WithTimeout(s.ctx, p.interval)
	defer cancel()
	for {
		err := s.conn.Ping(ctx)
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return s.ctx.Err() == nil && time.Since(time.Unix(0, s.heard.Load())) < p.interval
		case !errors.Is(err, context.DeadlineExceeded):
			return false
		}
		// The ping waited behind a long frame, longer than the library lets it. So it is sent again.
	}
}
