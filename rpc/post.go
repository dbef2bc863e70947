package rpc

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// A post is the wire of a POST: one frame in, at most one out.
type post struct {
	client *client
	body   io.Reader
	giveUp func() // makes reading the body fail

	unread atomic.Bool // the body, wholly or in part
	failed bool        // to read it; the reader's
	reply  []byte      // written before its call ends
}

func (p *post) read() ([]byte, error) {
	if !p.unread.Load() {
		p.client.calls.Wait()
		return nil, io.EOF
	}
	frame, err := io.ReadAll(p.body)
	p.unread.Store(false)
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		refused := alone(invalidRequest("the body is over the limit")).requests[0]
		p.write(p.client.dialect.encode(refused, responseTo(refused)))
		return nil, io.EOF
	}
	p.failed = err != nil
	return frame, err
}

func (p *post) write(frame []byte) { p.reply = frame }

// end is called when nothing is in flight, so there is nothing to wait for but a body.
func (p *post) end(websocket.StatusCode, string) {
	if p.unread.Load() {
		p.giveUp()
	}
}

// servePost answers with HTTP 200 whatever JSON-RPC has to say.
func (s *Server) servePost(w http.ResponseWriter, r *http.Request, who Identity) {
	if !s.enter(w) {
		return
	}
	defer s.leave()
	c := newClient(r.Context(), s, who)
	c.post, c.dialect, c.trace = true, newJSONRPC(&s.cfg), traceparentOf(r.Header)
	wire := &post{
		client: c,
		body:   http.MaxBytesReader(w, r.Body, s.cfg.MaxFrame),
		giveUp: func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) },
	}
	wire.unread.Store(true)
	c.wire = wire
	s.serve(c)
	if wire.failed {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(wire.reply)
}
