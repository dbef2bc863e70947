package rpc

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// A wire carries the frames of one connection.
type wire interface {
	read() ([]byte, error) // the next text frame; only the reader calls it
	write(frame []byte)    // never waits
	end(code websocket.StatusCode, reason string)
}

// A dialect is how requests and replies are written in frames.
type dialect interface {
	// decode takes a frame apart. An error says that the connection cannot go on.
	decode(frame []byte) (incoming, error)
	encode(req *request, r reply) []byte
	print(h *host, level, text string) []byte // nil where the client cannot be told
	ask(id uint64, h *host, name string, args json.RawMessage) []byte
	lenient() bool // unknown fields are ignored
}

// An incoming is what a dialect found in a frame.
type incoming struct {
	requests  []*request
	responses []response // to requests of ours
}

// A request is one of a client's.
type request struct {
	id     json.RawMessage // as it came; nil where no reply is wanted
	method json.RawMessage // a string
	params json.RawMessage
	ext    json.RawMessage // Duplex: goes back with the reply
	err    error           // what is wrong with it, its answer
	batch  *batch          // JSON-RPC: whose reply its own is part of

	size   int    // bytes
	tenant string // of a call, once its params said it; empty: it is none, or not known to be one yet
	trace  string // traceparent, likewise
	most   shares // set with the tenant's policy, before it may be in flight

	// Guarded by client.mu.
	cancel  func() // while it has a slot in flight
	counted bool   // among those of its tenant in flight
	held    int64  // bytes of the server's load
}

// A client is one connection, or one POST. Its reader is the goroutine that takes frames apart and
// begins what they ask for; replies come from the goroutines of calls.
type client struct {
	server   *Server
	wire     wire
	ctx      context.Context    // of all its calls
	hangUp   context.CancelFunc // ends ctx, and with it the connection
	post     bool               // a POST
	identity Identity           // of who is at the other end
	trace    string             // traceparent of its HTTP request
	dialect  dialect            // nil before the first frame; written by the reader before there are requests
	ended    chan struct{}      // closed when the reader is done
	calls    sync.WaitGroup     // goroutines of calls, started by the reader

	uploads uploads // of runtime.put; the reader's, until it is done

	mu       sync.Mutex          // guards all below
	requests map[*request]bool   // not answered yet
	ids      map[string]*request // those with an id, and answered ones whose batch is not
	inFlight int                 // requests with a slot
	ofTenant map[string]int      // those of them that are counted
	asked    uint64              // requests of ours so far
	asking   map[uint64]*question
	sessions map[string]*session // by ID; nil once the connection is gone
	draining bool
	closed   bool // nothing is written any more

	joined map[string]bool // tenants that it counts for; guarded by server.mu
}

func newClient(ctx context.Context, s *Server, who Identity) *client {
	c := &client{
		server:   s,
		identity: who,
		ended:    make(chan struct{}),
		uploads:  uploads{},
		requests: map[*request]bool{},
		ofTenant: map[string]int{},
		ids:      map[string]*request{},
		asking:   map[uint64]*question{},
		sessions: map[string]*session{},
	}
	c.ctx, c.hangUp = context.WithCancel(ctx)
	return c
}

// read takes requests until the wire or ctx ends. Whoever calls it waits for calls behind it.
func (c *client) read() {
	defer c.close()
	defer context.AfterFunc(c.ctx, c.close)()
	defer close(c.ended)
	for c.readFrame() == nil {
	}
}

// responseTo is the answer to a request that something is wrong with.
func responseTo(req *request) reply { return reply{err: wireError(req.err)} }

func (c *client) readFrame() error {
	frame, err := c.wire.read()
	if err != nil {
		return err
	}
	if c.dialect == nil {
		c.dialect = newJSONRPC(&c.server.cfg)
		if codec, ok := strings.CutPrefix(string(frame[:min(len(frame), 64)]), handshake); ok {
			return c.shakeHands(codec)
		}
	}
	in, err := c.dialect.decode(frame)
	if err != nil {
		c.wire.end(websocket.StatusProtocolError, err.Error())
		return io.EOF
	}
	for _, r := range in.responses {
		c.resolve(r)
	}
	if len(in.requests) == 1 && in.requests[0].isEmpty() && c.resolve(response{id: callbackID(in.requests[0].id), err: errNotResponse}) {
		return nil // JavaScript leaves out a result that is undefined
	}
	c.register(in.requests)
	for _, req := range in.requests {
		if req.err != nil {
			c.answer(req, responseTo(req))
		} else {
			c.begin(req)
		}
	}
	return nil
}

func (c *client) shakeHands(codec string) error {
	if strings.TrimSpace(codec) != handshakeCodec {
		c.wire.end(websocket.StatusProtocolError, "this daemon speaks "+handshake+handshakeCodec)
		return io.EOF
	}
	c.dialect = duplex{}
	c.wire.write([]byte("+OK"))
	return nil
}

// begin answers a request, or starts what will.
func (c *client) begin(req *request) {
	method, ok := c.server.methods[string(unquoted(req.method))]
	if !ok || method.socket && c.post {
		c.reply(req, nil, cmp.Or(c.judge(&method), error(errMethodNotFound)))
		return
	}
	result, later, err := c.handle(&method, req)
	if err != nil && method.runs {
		c.server.refuse(method.name, req, err)
	}
	if err != nil || later == nil {
		c.reply(req, result, err)
		return
	}
	callCtx, cancel := context.WithCancelCause(c.ctx)
	cancelled := func() { cancel(errCancelled) }
	if err := c.takeSlot(req, cancelled); err != nil {
		cancel(nil)
		if method.runs {
			c.server.refuse(method.name, req, err)
		}
		c.reply(req, nil, err)
		return
	}
	wait := later(callCtx, cancelled)
	c.calls.Go(func() {
		defer cancel(nil)
		result, err := wait()
		c.reply(req, result, err)
	})
}

// handle judges the request by who it comes from, and has the method do the rest.
func (c *client) handle(m *method, req *request) (json.RawMessage, later, error) {
	if err := c.judge(m); err != nil {
		req.tenant = c.identity.Tenant
		return nil, nil, err
	}
	return m.handle(c, req)
}

// reply answers a request with its outcome, unless the connection is gone.
func (c *client) reply(req *request, result json.RawMessage, err error) {
	r := reply{result: result}
	if err != nil {
		r = reply{err: wireError(err)}
	}
	if c.hasClosed() {
		c.settle(nil, req)
		return
	}
	c.answer(req, r)
}

func (c *client) hasClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// answer writes the reply to a request, if it wants one. Its id and slot are free before the
// client can know of it.
func (c *client) answer(req *request, r reply) {
	var frame []byte
	answered := []*request{req}
	if req.id != nil {
		frame = c.dialect.encode(req, r)
		if req.batch != nil {
			frame, answered = req.batch.add(req, frame)
		}
	}
	c.release(req, answered)
	c.settle(frame, req)
}

func (c *client) goAway() { c.wire.end(websocket.StatusGoingAway, "shutting down") }

// close ends the connection once, when reading or ctx has ended: calls in flight are cancelled.
func (c *client) close() {
	c.mu.Lock()
	closed, draining := c.closed, c.draining
	c.closed = true
	c.mu.Unlock()
	switch {
	case closed:
		return
	case draining:
		c.hangUp()
		c.goAway()
	default:
		c.hangUp()
		c.wire.end(websocket.StatusNormalClosure, "")
	}
}
