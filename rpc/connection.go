package rpc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/rpc/message"
	"github.com/jsd-project/jsd/rpc/wire"
)

// Values of retryAfter for a client that has too many calls in flight, and for a client of a daemon that shuts down. They are
// fixed, since there is nothing to estimate them from.
const (
	retryFull     = 100 * time.Millisecond
	retryDraining = time.Second
)

// requestCost is about how many bytes a request in flight takes besides its script.
const requestCost = 8 << 10

// A connection serves one client over a WebSocket or a POST. Its reader decodes frames and starts their requests. A reply is
// written by the goroutine that completes the request.
type connection struct {
	peer
	service *service
	methods map[string]method
	ctx     context.Context
	hangUp  context.CancelFunc // ends ctx, and with it the connection
	calls   sync.WaitGroup     // prepared requests that were run and are not done; only the reader adds to it

	mu        sync.Mutex // guards what follows, and the fields of exchanges below their mark
	exchanges map[*exchange]struct{}
	ids       map[string]*exchange // by id; an answered exchange stays in it until its batch is answered
	inFlight  int                  // exchanges with a slot
	ofTenant  map[string]int       // exchanges with a slot, by tenant, of the tenants whose calls are counted
	draining  bool
	cancelled bool // all calls have to end
	closed    bool // nothing is written any more
}

// An exchange is a request from its decoding to its reply.
type exchange struct {
	req   *message.Request
	batch *batch // that the request came in; nil: none

	// Guarded by connection.mu.
	prepared preparedRequest // while it has a slot in flight; nil: it has none
	running  bool            // prepared was run
	tenant   string          // of prepared
	counted  bool            // it counts in connection.ofTenant
	held     int64           // bytes of the quota
}

func newConnection(ctx context.Context, s *service, methods map[string]method, who Identity) *connection {
	c := &connection{
		peer:      peer{identity: who, ended: make(chan struct{}), uploads: uploads{}},
		service:   s,
		methods:   methods,
		exchanges: map[*exchange]struct{}{},
		ids:       map[string]*exchange{},
		ofTenant:  map[string]int{},
	}
	c.ctx, c.hangUp = context.WithCancel(ctx)
	c.peer.cancelByID = c.cancelRequest
	return c
}

// read serves requests until the wire or ctx ends.
func (c *connection) read() {
	defer c.close()
	defer context.AfterFunc(c.ctx, c.close)()
	defer close(c.ended)
	for c.readFrame() == nil {
	}
}

func (c *connection) readFrame() error {
	frame, err := c.wire.Read()
	if err != nil {
		return err
	}
	if c.codec == nil {
		c.codec = &message.JSONRPC{}
		if codec, ok := strings.CutPrefix(string(frame[:min(len(frame), 64)]), message.Handshake); ok {
			return c.shakeHands(codec)
		}
	}
	in, err := c.codec.Decode(frame)
	if err != nil {
		c.wire.End(websocket.StatusProtocolError, err.Error())
		return io.EOF
	}
	for _, r := range in.Responses {
		c.pending.resolve(r)
	}
	if len(in.Requests) == 1 && in.Requests[0].IsEmptyResponse() && c.pending.resolve(in.Requests[0].EmptyResponse()) {
		return nil // JavaScript leaves out a result that is undefined
	}
	c.serve(in)
	return nil
}

func (c *connection) shakeHands(codec string) error {
	if strings.TrimSpace(codec) != message.HandshakeCodec {
		c.wire.End(websocket.StatusProtocolError, "this daemon speaks "+message.Handshake+message.HandshakeCodec)
		return io.EOF
	}
	c.codec = &message.Duplex{}
	c.wire.Write([]byte(message.HandshakeReply))
	return nil
}

// serve answers the requests of a frame, or starts them.
func (c *connection) serve(in message.Incoming) {
	if !in.Batch && len(in.Requests) == 1 {
		x := &exchange{req: in.Requests[0]}
		c.handle(x, c.register(x))
		return
	}
	b := newBatch(in, c.service.cfg.MaxUnsent/2) // the other half is for other frames in the outbox
	exchanges := make([]*exchange, len(in.Requests))
	for i, req := range in.Requests {
		exchanges[i] = &exchange{req: req}
		if req.ID != nil {
			exchanges[i].batch = b
		}
	}
	wrong := c.register(exchanges...)
	for _, x := range exchanges {
		c.handle(x, wrong)
	}
}

// register adds the exchanges of a frame to the tables, all at once, since a batch is in flight from its first request to its
// reply. It returns the exchanges whose id is in flight already.
func (c *connection) register(exchanges ...*exchange) (duplicates []*exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range exchanges {
		c.exchanges[x] = struct{}{}
		switch id := x.req.ID; {
		case id == nil || x.req.Err != nil:
		case c.ids[string(id)] != nil:
			duplicates = append(duplicates, x)
		default:
			c.ids[string(id)] = x
		}
	}
	return duplicates
}

var errDuplicateID = message.InvalidRequest("this id is in flight already")

// handle answers a request, or runs it.
func (c *connection) handle(x *exchange, duplicates []*exchange) {
	for _, duplicate := range duplicates {
		if duplicate == x {
			c.reply(x, nil, errDuplicateID)
			return
		}
	}
	if x.req.Err != nil {
		c.reply(x, nil, x.req.Err)
		return
	}
	m, ok := c.methods[x.req.Method]
	if !ok || m.socket && c.post {
		c.reply(x, nil, cmp.Or(c.judge(&m), error(errMethodNotFound)))
		return
	}
	result, prepared, o, err := c.call(&m, x)
	if err == nil && prepared != nil {
		if err = c.admit(x, prepared, o); err == nil {
			c.run(x, prepared)
			return
		}
	}
	c.reply(x, result, err)
	if err != nil && m.runs {
		c.service.reporter.refused(m.name, o.tenant, o.trace, err)
	}
}

// run runs a prepared request that was admitted.
func (c *connection) run(x *exchange, prepared preparedRequest) {
	c.calls.Add(1)
	prepared.run(waiter{
		answer: func(result json.RawMessage, err error) { c.reply(x, result, err) },
		done:   c.calls.Done,
	})
	c.mu.Lock()
	x.running = true
	cancelled, gone := c.cancelled, c.closed
	c.mu.Unlock()
	if cancelled {
		prepared.cancel(!gone)
	}
}

// call refuses a request whose credential has expired, and lets the method handle any other.
func (c *connection) call(m *method, x *exchange) (json.RawMessage, preparedRequest, origin, error) {
	if err := c.judge(m); err != nil {
		return nil, nil, origin{tenant: c.identity.Tenant}, err
	}
	return m.handle(&c.peer, x.req)
}

// judge returns an error if the credential has expired. A method that only ends a call may be called after that.
func (c *connection) judge(m *method) error {
	if c.identity.expired() && !m.ends {
		return errExpired
	}
	return nil
}

// admit gives a prepared request a slot, or returns why it may not be in flight. The reply to it gives the slot back.
func (c *connection) admit(x *exchange, prepared preparedRequest, o origin) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.draining:
		return busy("the daemon is ending", retryDraining)
	case c.inFlight >= c.service.cfg.MaxInFlight:
		return busy("too many calls in flight on the connection", retryFull)
	}
	if o.tenant != "" {
		if err := c.countLocked(x, o); err != nil {
			return err
		}
	}
	held := requestCost + 2*int64(x.req.Size) // the client's frame, and the frame for the agent
	if !c.service.quota.acquire(o.tenant, held) {
		c.uncountLocked(x)
		return busy("the scripts of all calls in flight take too much memory", retryFull)
	}
	c.inFlight++
	x.prepared, x.tenant = prepared, o.tenant
	if !prepared.adopt(held) {
		x.held = held
	}
	return nil
}

// countLocked counts a call for its tenant: on this connection, and the connection among the tenant's. It returns an error where
// the tenant may have no more.
func (c *connection) countLocked(x *exchange, o origin) error {
	bounded := o.inFlight > 0 && o.inFlight < c.service.cfg.MaxInFlight
	if bounded && c.ofTenant[o.tenant] >= o.inFlight {
		return busy("too many calls of the tenant in flight on the connection", retryFull)
	}
	if err := c.service.countConnection(&c.peer, &o); err != nil {
		return err
	}
	if bounded {
		x.counted, x.tenant = true, o.tenant
		c.ofTenant[o.tenant]++
	}
	return nil
}

func (c *connection) uncountLocked(x *exchange) {
	if !x.counted {
		return
	}
	x.counted = false
	if c.ofTenant[x.tenant]--; c.ofTenant[x.tenant] == 0 {
		delete(c.ofTenant, x.tenant)
	}
}

// reply answers a request with its outcome. It sends nothing if the request has no id or the connection has closed. The id and
// the slot are free before the client sees the answer.
func (c *connection) reply(x *exchange, result json.RawMessage, err error) {
	c.send(x, c.encode(x, result, err))
	c.mu.Lock()
	delete(c.exchanges, x)
	drained := c.draining && len(c.exchanges) == 0
	c.mu.Unlock()
	if drained {
		c.goAway()
	}
}

func (c *connection) encode(x *exchange, result json.RawMessage, err error) []byte {
	if x.req.ID == nil {
		return nil
	}
	r := message.Reply{Result: result}
	if err != nil {
		r = message.Reply{Err: wireError(err)}
	}
	return c.codec.EncodeReply(x.req, r)
}

// send writes the frame that answers a request. The requests of a batch are answered by one frame, when the last of them is.
func (c *connection) send(x *exchange, frame []byte) {
	answered := []*message.Request{x.req}
	if x.batch != nil {
		frame, answered = x.batch.add(x.req, frame, c.codec)
	}
	c.mu.Lock()
	if x.prepared != nil {
		x.prepared = nil
		c.inFlight--
	}
	if x.held > 0 {
		c.service.quota.release(x.tenant, x.held)
		x.held = 0
	}
	c.uncountLocked(x)
	for _, req := range answered {
		if other := c.ids[string(req.ID)]; other != nil && other.req == req {
			delete(c.ids, string(req.ID))
		}
	}
	closed := c.closed
	c.mu.Unlock()
	if frame != nil && !closed {
		c.wire.Write(frame)
	}
}

// cancelRequest is peer.cancelByID. It is called on the reader, so every request in flight was run before.
func (c *connection) cancelRequest(id string) bool {
	c.mu.Lock()
	var prepared preparedRequest
	if x := c.ids[id]; x != nil {
		prepared = x.prepared
	}
	c.mu.Unlock()
	if prepared != nil {
		prepared.cancel(true)
	}
	return prepared != nil
}

// cancelAll cancels all calls in flight. A call that the reader is about to run is cancelled by run.
func (c *connection) cancelAll(asked bool) {
	c.mu.Lock()
	var calls []preparedRequest
	for x := range c.exchanges {
		if x.prepared != nil && x.running {
			calls = append(calls, x.prepared)
		}
	}
	c.cancelled = true
	c.mu.Unlock()
	for _, prepared := range calls {
		prepared.cancel(asked)
	}
}

// drain refuses new calls, lets the calls in flight end, and then closes the connection.
func (c *connection) drain() {
	c.mu.Lock()
	c.draining = true
	drained := len(c.exchanges) == 0
	c.mu.Unlock()
	if drained {
		c.goAway()
	}
}

func (c *connection) goAway() { c.wire.End(websocket.StatusGoingAway, "shutting down") }

// close closes the connection and cancels its calls. It is called when reading or ctx has ended; only the first call counts.
func (c *connection) close() {
	c.mu.Lock()
	closed, draining := c.closed, c.draining
	c.closed = true
	c.mu.Unlock()
	if closed {
		return
	}
	c.hangUp()
	if draining {
		c.goAway()
	} else {
		c.wire.End(websocket.StatusNormalClosure, "")
	}
	c.cancelAll(false)
}

// A batch gathers the replies to the requests of one frame.
type batch struct {
	requests []*message.Request // the ones that want a reply

	mu      sync.Mutex // guards what follows
	replies map[*message.Request][]byte
	room    int // bytes that are left for further replies
}

func newBatch(in message.Incoming, room int) *batch {
	b := &batch{room: room, replies: map[*message.Request][]byte{}}
	for _, req := range in.Requests {
		if req.ID != nil {
			b.requests = append(b.requests, req)
		}
	}
	return b
}

// add adds the reply to one request. With the last one it returns the frame of the whole batch and the requests that the frame
// answers.
func (b *batch) add(req *message.Request, one []byte, codec codec) (frame []byte, answered []*message.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(one) > b.room {
		one = codec.EncodeReply(req, message.Reply{Err: wireError(errBatchReply)})
	}
	b.room -= len(one)
	b.replies[req] = one
	if len(b.replies) < len(b.requests) {
		return nil, nil
	}
	all := make([][]byte, len(b.requests))
	for i, r := range b.requests {
		all[i] = b.replies[r]
	}
	frame = append([]byte{'['}, bytes.Join(all, []byte(","))...)
	return append(frame, ']'), b.requests
}

// A postCarrier is the body of a POST as a carrier. It has one frame: the second Read waits for the calls of the first, and
// returns io.EOF.
type postCarrier struct {
	*wire.Body
	connection *connection
	done       bool // the body was read, or could not be; only the reader uses it
}

func (p *postCarrier) Read() ([]byte, error) {
	if p.done {
		p.connection.calls.Wait()
		return nil, io.EOF
	}
	frame, err := p.Body.Read()
	p.done = true
	if errors.Is(err, wire.ErrTooLarge) {
		p.Write(p.connection.codec.EncodeReply(message.TooLarge(), message.Reply{Err: message.TooLarge().Err}))
	}
	return frame, err
}
