package rpc

import (
	"encoding/json"
	"sync"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// A carrier carries the frames of one connection: a wire.Socket, or the body of a POST.
type carrier interface {
	Read() ([]byte, error) // the next frame; only the connection's reader calls it
	Write(frame []byte)    // never waits; the frame is not to be changed any more
	End(code websocket.StatusCode, reason string)
}

// A codec is a dialect: how requests and replies are written in frames.
type codec interface {
	// Decode takes a frame apart. An error says that the connection cannot go on.
	Decode(frame []byte) (message.Incoming, error)
	EncodeReply(req *message.Request, r message.Reply) []byte
	EncodeConsole(o message.Outgoing, line message.Line) []byte // nil where the client cannot be told
	EncodeCallback(id uint64, o message.Outgoing, name string, args json.RawMessage) []byte
	Lenient() bool // unknown fields are ignored
}

// A peer is what requests know of the connection that they came on: who is there, and how to tell it something.
type peer struct {
	identity Identity
	post     bool   // it is a POST: nothing can be sent but the reply
	trace    string // the traceparent of its HTTP request; empty: none
	codec    codec  // nil before the first frame; set by the reader before there are requests
	wire     carrier

	// cancelByID ends the call with this id, as it came. It tells whether there was one in flight.
	cancelByID func(id string) bool

	ended    chan struct{} // closed when the reader is done
	pending  pendingRequests
	sessions sessionSet
	uploads  uploads // of runtime.put; the reader's, until it is done
	counted  connectionCount
}

// isGone tells that nothing will be read of the client any more.
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
	last    uint64     // the number of the newest
	pending map[uint64]*pendingRequest
}

type pendingRequest struct {
	response chan message.Response // of one element
	session  *session              // that takes no calls meanwhile; nil: none
}

// add numbers a request.
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

// resolve hands a response to the callback that waits for it. It tells whether one does: a response that nobody waits for is
// ignored. What the client sends behind it finds the session free.
func (p *pendingRequests) resolve(r message.Response) bool {
	request := p.remove(r.ID)
	if request == nil {
		return false
	}
	request.response <- r
	return true
}

// remove gives the request of a number to the first who wants it, nil to all others.
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

// errClientGone is what a callback comes to whose client is gone.
var errClientGone = &call.CallbackError{Message: "the client is gone"}

// mayName judges the tenant that a request names; nil: none.
func (p *peer) mayName(tenant *message.Name) error {
	if own := p.identity.Tenant; own != "" && tenant != nil && string(*tenant) != own {
		return forbidden("tenant")
	}
	return nil
}

const defaultTenant = "default"

// tenantParam is the param of methods that name a tenant.
type tenantParam struct {
	Tenant *message.Name `json:"tenant"`
}

func (p *tenantParam) named() *message.Name { return p.Tenant }

// tenantOf is whose a request is: the credential's, whatever else has been judged, else the one it names.
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
