package rpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// A post is the wire of a POST: one frame in, at most one out.
type post struct {
	client *client
	body   io.Reader
	pace   *pace

	unread atomic.Bool // the body, wholly or in part
	failed error       // to read it; the reader's
	reply  []byte      // written before its call ends
}

func (p *post) read() ([]byte, error) {
	if !p.unread.Load() {
		p.client.calls.Wait()
		return nil, io.EOF
	}
	frame, err := io.ReadAll(p.body)
	p.pace.read(err == nil)
	p.unread.Store(false)
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		refused := alone(invalidRequest("the body is over the limit")).requests[0]
		p.write(p.client.dialect.encode(refused, responseTo(refused)))
		return nil, io.EOF
	}
	p.failed = err
	return frame, err
}

func (p *post) write(frame []byte) { p.reply = frame }

// end is called when nothing is in flight, so there is nothing to wait for but a body.
func (p *post) end(websocket.StatusCode, string) {
	if p.unread.Load() {
		p.pace.giveUp()
	}
}

// A pace is how long a POST may take to come and to go, and what it holds meanwhile.
type pace struct {
	body     io.Reader
	response *http.ResponseController
	interval time.Duration
	began    time.Time
	got      int64   // bytes of the body; the reader's
	counted  int64   // of them, in buffer; likewise
	buffer   *buffer // of the body, then of the reply

	mu       sync.Mutex // guards what follows, and the deadline for reading
	deadline time.Time
	over     bool // nothing is to be read any more, or all has been
	gaveUp   bool // the former
}

// Read moves the deadline as the body comes, in steps of an interval or so.
func (p *pace) Read(b []byte) (int, error) {
	p.extend()
	n, err := p.body.Read(b)
	if p.got += int64(n); p.got > unnoticed {
		p.buffer.change(p.got - p.counted)
		p.counted = p.got
	}
	return n, err
}

func (p *pace) extend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.began.Add(paced(p.interval, p.got)); !p.over && at.Sub(p.deadline) > time.Second/4 {
		p.deadline = at
		_ = p.response.SetReadDeadline(at)
	}
}

// giveUp makes reading the body fail.
func (p *pace) giveUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.over, p.gaveUp = true, true
		_ = p.response.SetReadDeadline(time.Now())
	}
}

func (p *pace) givenUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gaveUp
}

// read is for a body that is there, or is not going to be. From here on it counts for the requests in it.
// The deadline has to go, since it would end the calls, too; but not where net/http still has to wait for the
// rest of a body.
func (p *pace) read(whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over && whole {
		_ = p.response.SetReadDeadline(time.Time{})
	}
	p.over = true
	p.buffer.change(-p.counted)
}

// servePost answers with HTTP 200 whatever JSON-RPC has to say.
func (s *Server) servePost(w http.ResponseWriter, r *http.Request, who Identity) {
	if !s.enter(w) {
		return
	}
	defer s.leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	wire := s.newPost(ctx, w, r, who)
	wire.pace.buffer.evict = func(held int64) {
		s.cfg.Log.Warn().Int64("held", held).Msg("POST given up: all connections together hold too much, and this one most")
		cancel()
		wire.pace.giveUp()
		_ = wire.pace.response.SetWriteDeadline(time.Now())
	}
	defer wire.pace.buffer.leave()
	s.serve(wire.client, func() {})
	if wire.failed != nil {
		wire.refuse(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = wire.pace.response.SetWriteDeadline(time.Now().Add(paced(s.cfg.PingInterval, int64(len(wire.reply)))))
	if len(wire.reply) > unnoticed {
		wire.pace.buffer.change(int64(len(wire.reply)))
	}
	_, _ = w.Write(wire.reply)
}

func (s *Server) newPost(ctx context.Context, w http.ResponseWriter, r *http.Request, who Identity) *post {
	c := newClient(ctx, s, who)
	c.post, c.dialect, c.trace = true, newJSONRPC(&s.cfg), traceparentOf(r.Header)
	pace := &pace{
		body: r.Body, response: http.NewResponseController(w), interval: s.cfg.PingInterval, began: time.Now(),
		buffer: &buffer{all: s.buffers},
	}
	wire := &post{client: c, pace: pace, body: http.MaxBytesReader(w, io.NopCloser(pace), s.cfg.MaxFrame)}
	wire.unread.Store(true)
	c.wire = wire
	return wire
}

// refuse answers a POST whose body did not come.
func (p *post) refuse(w http.ResponseWriter) {
	w.Header().Set("Connection", "close") // else the server would wait for the rest of the body
	if errors.Is(p.failed, os.ErrDeadlineExceeded) && !p.pace.givenUp() {
		http.Error(w, "the body took too long to come", http.StatusRequestTimeout)
		return
	}
	http.Error(w, "the body could not be read", http.StatusBadRequest)
}
