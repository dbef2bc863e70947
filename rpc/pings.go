package rpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// pings keep a socket alive, or find that it is not, by a timer rather than a goroutine that sleeps.
type pings struct {
	socket   *socket
	interval time.Duration

	mu    sync.Mutex // held while a ping is under way; guards what follows
	timer *time.Timer
	over  bool
}

func (p *pings) start(s *socket, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.socket, p.interval = s, interval
	p.timer = time.AfterFunc(interval, p.ping)
}

// stop returns when none is under way any more. Where nobody reads the answer to one, that is when the socket's end
// or abort, which must have been called, has taken effect.
func (p *pings) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.timer.Stop()
}

// ping ends the connection of a peer that shows no life for an interval after it.
func (p *pings) ping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	s := p.socket
	if s.lingers(p.interval) {
		s.log.Info().Msg("client disconnected: a frame of its took too long to come")
		s.end(websocket.StatusPolicyViolation, "a frame took too long to come")
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
