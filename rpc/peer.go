package rpc

import (
	"encoding/json"
	"sync"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// A carrier carries the frames of one connection. It is a wire.Socket or a postCarrier.
type carrier interface {
	Read() ([]byte, error) // the next frame; only the connection's reader calls it
	Write(frame []byte)    // never waits; the caller does not change the frame afterwards
	End(code websocket.StatusCode, reason string)
}

// A codec decodes and encodes the frames of one dialect. Only the connection's reader calls Decode; any goroutine may call the other
// methods.
type codec interface {
	// Decode decodes a frame. After an error the connection has to end.
	Decode(frame []byte) (message.Incoming, error)
	EncodeReply(req *message.Request, r message.Reply) []byte
	EncodeConsole(o message.Outgoing, line message.Line) []byte // nil if the request has no id and the dialect needs one
	EncodeCallback(id uint64, o message.Outgoing, name string, args json.RawMessage) []byte
	Lenient() bool // whether unknown fields of params are ignored
}

// A peer is the part of a connection that its requests use: the identity of the client, and the way to send it something.
type peer struct {
	identity Identity
	post     bool   // it is a POST: nothing but the reply can be sent
	trace    string // the traceparent of its HTTP request; empty: none
	codec    codec  // nil before the first frame; the reader sets it before there are requests
	wire     carrier

	// cancelByID cancels the call whose request has this id, in the client's own spelling. It returns whether there is one in
	// flight.
	cancelByID func(id string) bool

	ended    chan struct{} // closed when the reader has ended
	pending  pendingRequests
	sessions sessionSet
	uploads  uploads // of runtime.put; only the reader uses them
	counted  connectionCount
}

// isGone reports whether the reader has ended, so that nothing more comes from the client.
func (p *peer) isGone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// pendingRequests are the daemon's own requests that the client has not answered.
type pendingRequests struct {
	mu      sync.Mutex // guards what follows
	last    uint64     // the number of the newest request
	pending map[uint64]*pendingRequest
}

type pendingRequest struct {
	response chan message.Response // has room for one element
	session  *session              // takes no calls until the response has come; nil: none
}

// add adds a request and returns its number. ss is the session whose script makes it; nil: none.
func (p *pendingRequests) add(ss *session) (id uint64, response <-chan message.Response) {
	if ss != nil {
		ss.countCallback(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil {
		p.pending = map[uint64]*pendingRequest{}
	}
	p.last++
	r := &pendingRequest{make(chan message.Response, 1), ss}
	p.pending[p.last] = r
	return p.last, r.response
}

// resolve passes a response to the callback that waits for it. It returns false, and ignores the response, if there is none. The
// session takes calls again when resolve returns, so a call that the client sends after the response is not refused.
func (p *pendingRequests) resolve(r message.Response) bool {
	request := p.remove(r.ID)
	if request == nil {
		return false
	}
	request.response <- r
	return true
}

// remove removes the request of a number and returns it. Only the first caller gets it; all others get nil.
func (p *pendingRequests) remove(id uint64) *pendingRequest {
	p.mu.Lock()
	request := p.pending[id]
	delete(p.pending, id)
	p.mu.Unlock()
	if request != nil && request.session != nil {
		request.session.countCallback(-1)
	}
	return request
}

// errClientGone is the outcome of a callback whose client has disconnected.
var errClientGone = &call.CallbackError{Message: "the client is gone"}

// mayName returns an error if the credential does not allow the tenant that a request names. tenant is nil if it names none.
func (p *peer) mayName(tenant *message.Name) error {
	if own := p.identity.Tenant; own != "" && tenant != nil && string(*tenant) != own {
		return forbidden("tenant")
	}
	return nil
}

const defaultTenant = "default"

// tenantParam is embedded in the params of methods that take a tenant.
type tenantParam struct {
	Tenant *message.Name `json:"tenant"`
}

func (p *tenantParam) named() *message.Name { return p.Tenant }

// tenantOf returns the tenant of a request: the tenant of the credential, else the one that the request names, else the default.
func (p *peer) tenantOf(named *message.Name) string {
	switch {
	case p.identity.Tenant != "":
		return p.identity.Tenant
	case named != nil:
		return string(*named)
	default:
		return defaultTenant
	}
}

// traceOf returns the traceparent of a request: the one that the request names, else that of its connection.
func (p *peer) traceOf(named *traceparent) string {
	if named != nil && *named != "" {
		return string(*named)
	}
	return p.trace
}
