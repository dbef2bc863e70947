package rpc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/sourcegraph/jsonrpc2"
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
	encode(req *request, resp *jsonrpc2.Response) []byte
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
	number uint64 // what jsonrpc2 knows it by

	// Guarded by client.mu.
	cancel  func() // while it has a slot in flight
	counted bool   // among those of its tenant in flight
	held    int64  // bytes of the server's load
}

// A client is one connection, or one POST, as jsonrpc2 sees it: its ObjectStream and Handler.
//
// jsonrpc2 gets of a request no more than its method and a number, and of a reply the number:
// decoding and encoding would cost it several passes over what may be megabytes, and it keeps only
// ids that are strings or natural numbers.
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

	unread  []*request         // of the last frame; the reader's
	numbers uint64             // given so far; the reader's
	uploads uploads            // of runtime.put; the reader's, until it is done
	sending *jsonrpc2.Response // guarded by the lock that jsonrpc2 holds from OnSend to WriteObject

	mu       sync.Mutex          // guards all below
	requests map[uint64]*request // not answered yet
	ids      map[string]*request // those with an id, and answered ones whose batch is not
	inFlight int                 // requests with a slot
	ofTenant map[string]int      // those of them that are counted
	asked    uint64              // requests of ours so far
	asking   map[uint64]*question
	sessions map[string]*session // by ID; nil once the connection is gone
	draining bool

	joined map[string]bool // tenants that it counts for; guarded by server.mu
}

func newClient(ctx context.Context, s *Server, who Identity) *client {
	c := &client{
		server:   s,
		identity: who,
		ended:    make(chan struct{}),
		uploads:  uploads{},
		requests: map[uint64]*request{},
		ofTenant: map[string]int{},
		ids:      map[string]*request{},
		asking:   map[uint64]*question{},
		sessions: map[string]*session{},
	}
	c.ctx, c.hangUp = context.WithCancel(ctx)
	return c
}

// start begins to read. Whoever calls it waits for ended, then for calls.
func (c *client) start() {
	jsonrpc2.NewConn(c.ctx, c, c,
		jsonrpc2.OnSend(func(_ *jsonrpc2.Request, resp *jsonrpc2.Response) { c.sending = resp }),
		jsonrpc2.SetLogger(silent{}))
}

// silent keeps jsonrpc2 from writing to stderr.
type silent struct{}

func (silent) Printf(string, ...any) {}

// ReadObject gives jsonrpc2 the next request that is one.
func (c *client) ReadObject(v any) error {
	err := c.readObject(v)
	if err != nil {
		close(c.ended) // jsonrpc2 reads no more after an error
	}
	return err
}

func (c *client) readObject(v any) error {
	for {
		for len(c.unread) > 0 {
			req := c.unread[0]
			c.unread = c.unread[1:]
			if req.err == nil {
				return json.Unmarshal(req.envelope(), v)
			}
			c.answer(req, responseTo(req))
		}
		if err := c.readFrame(); err != nil {
			return err
		}
	}
}

// responseTo is the answer to a request that something is wrong with.
func responseTo(req *request) *jsonrpc2.Response {
	return &jsonrpc2.Response{Error: wireError(req.err)}
}

// envelope is what jsonrpc2 gets to know of a request.
func (r *request) envelope() []byte {
	b := append(make([]byte, 0, 64), `{"method":`...)
	b = append(append(b, r.method...), `,"id":`...)
	return append(strconv.AppendUint(b, r.number, 10), '}')
}

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

// Handle runs on the reader: it answers a request, or starts what will.
func (c *client) Handle(ctx context.Context, conn *jsonrpc2.Conn, r *jsonrpc2.Request) {
	req := c.request(r.ID)
	method, ok := c.server.methods[r.Method]
	if !ok || method.socket && c.post {
		c.reply(ctx, conn, req, nil, cmp.Or(c.judge(&method), error(errMethodNotFound)))
		return
	}
	result, later, err := c.handle(&method, req)
	if err != nil && method.runs {
		c.server.refuse(r.Method, req, err)
	}
	if err != nil || later == nil {
		c.reply(ctx, conn, req, result, err)
		return
	}
	callCtx, cancel := context.WithCancelCause(ctx)
	cancelled := func() { cancel(errCancelled) }
	if err := c.takeSlot(req, cancelled); err != nil {
		cancel(nil)
		if method.runs {
			c.server.refuse(r.Method, req, err)
		}
		c.reply(ctx, conn, req, nil, err)
		return
	}
	wait := later(callCtx, cancelled)
	c.calls.Go(func() {
		defer cancel(nil)
		result, err := wait()
		c.reply(ctx, conn, req, result, err)
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

// reply hands an outcome to jsonrpc2, which comes back with it to WriteObject, or has closed.
func (c *client) reply(ctx context.Context, conn *jsonrpc2.Conn, req *request, result json.RawMessage, err error) {
	resp := &jsonrpc2.Response{ID: jsonrpc2.ID{Num: req.number}}
	if err != nil {
		resp.Error = wireError(err)
	} else {
		resp.Result = &result
	}
	if conn.SendResponse(ctx, resp) != nil {
		c.settle(nil, req)
	}
}

// WriteObject gets the reply that jsonrpc2 showed in OnSend just before, in a type of its own.
func (c *client) WriteObject(any) error {
	resp := c.sending
	if resp == nil {
		return errors.New("only replies are written")
	}
	c.answer(c.request(resp.ID), resp)
	return nil
}

// answer writes the reply to a request, if it wants one. Its id and slot are free before the
// client can know of it.
func (c *client) answer(req *request, resp *jsonrpc2.Response) {
	var frame []byte
	answered := []*request{req}
	if req.id != nil {
		frame = c.dialect.encode(req, resp)
		if req.batch != nil {
			frame, answered = req.batch.add(req, frame)
		}
	}
	c.release(req, answered)
	c.settle(frame, req)
}

func (c *client) goAway() { c.wire.end(websocket.StatusGoingAway, "shutting down") }

// Close is called by jsonrpc2 when reading or ctx has ended.
func (c *client) Close() error {
	c.mu.Lock()
	draining := c.draining
	c.mu.Unlock()
	if draining {
		c.goAway()
	} else {
		c.wire.end(websocket.StatusNormalClosure, "")
	}
	return nil
}
