// Package message turns the bytes of a frame into requests and responses, and replies into bytes. It knows no server.
//
//	frame ── scanner.scan ──► JSONRPC.Decode or Duplex.Decode ──► Incoming{Requests, Responses}
//	             one pass: JSON, UTF-8, where the members are           │
//	                                                                    └─ Request.Params ── Decode[T] ──► a struct of params
//
// A dialect is a codec: both give the same requests. A Request does not change after it was decoded. Its parts are parts of the
// frame, which is therefore not to be written to.
package message

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"

	"github.com/sourcegraph/jsonrpc2"

	"github.com/jsd-project/jsd/call"
)

// maxEcho bounds what goes back with a reply as it came, in bytes: an id, an ext.
const maxEcho = 64 << 10

// retain is how many bytes more than it needs a part of a frame may keep in memory.
const retain = 16 << 10

// A Request is one of a client's.
type Request struct {
	ID     json.RawMessage // as it came; nil: no reply is wanted
	Method string
	Params Params
	Ext    json.RawMessage // Duplex: goes back with the reply
	Size   int             // bytes of the frame that it holds in memory
	Err    *Error          // what is wrong with it, its answer; nil: nothing

	empty bool // it is no more than an id
}

// IsEmptyResponse tells whether this is no more than an id. That is no request, but what is left of a response whose result
// was undefined in JavaScript.
func (r *Request) IsEmptyResponse() bool { return r.empty }

// Incoming is what a frame holds.
type Incoming struct {
	Requests  []*Request
	Batch     bool       // the replies to Requests go in one frame
	Responses []Response // to requests of the daemon's
}

// A Response is a client's answer to a request of the daemon's.
type Response struct {
	ID    uint64 // of that request; 0 where it can be none
	Value json.RawMessage
	Err   *call.CallbackError // nil: there is a value
}

// An Error is what a request gets in place of a result.
type Error = jsonrpc2.Error

// NewError makes an Error; data is JSON, or nil for none.
func NewError(code call.Code, message string, data json.RawMessage) *Error {
	e := &Error{Code: int64(code), Message: message}
	if data != nil {
		e.Data = &data
	}
	return e
}

// InvalidRequest is the answer to a frame, or a part of it, that is JSON but no request.
func InvalidRequest(why string) *Error {
	return NewError(call.InvalidRequest, call.InvalidRequest.Message()+": "+why, nil)
}

// InvalidParams is the answer to params that do not fit their method.
func InvalidParams(why string) *Error {
	return NewError(call.InvalidParams, call.InvalidParams.Message()+": "+why, nil)
}

// A Reply is what a request comes to: a result, or an error.
type Reply struct {
	Result json.RawMessage // JSON
	Err    *Error          // nil: there is a result
}

// A Line is a line of a script's console, on its way to the client.
type Line struct{ Level, Text string }

// An Outgoing says which call a message to the client is about.
type Outgoing struct {
	Request   *Request // that started the call
	Execution string   // the name of the call
}

// Methods of the client's.
const (
	ConsoleMethod  = "runtime.console"
	CallbackMethod = "runtime.callback"
)

// ConsoleParams is the params of runtime.console.
type ConsoleParams struct {
	ID        json.RawMessage `json:"id,omitempty"` // of the request, if it has one
	Execution string          `json:"execution"`
	Level     string          `json:"level"`
	Text      string          `json:"text"`
}

// CallbackParams is the params of runtime.callback.
type CallbackParams struct {
	ID        json.RawMessage   `json:"id,omitempty"` // likewise
	Execution string            `json:"execution"`
	Name      string            `json:"name"`
	Args      []json.RawMessage `json:"args"`
}

// appendHead begins an object with what says whose call this is. The values are not encoded by encoding/json, which would
// look through what may be megabytes.
func (o Outgoing) appendHead(b []byte) []byte {
	b = append(b, '{')
	if o.Request.ID != nil {
		b = append(b, `"id":`...)
		b = append(b, o.Request.ID...)
		b = append(b, ',')
	}
	b = append(b, `"execution":`...)
	return AppendJSON(b, o.Execution)
}

func (o Outgoing) appendConsole(b []byte, line Line) []byte {
	b = append(o.appendHead(b), `,"level":`...)
	b = AppendJSON(b, line.Level)
	b = append(b, `,"text":`...)
	return append(AppendJSON(b, line.Text), '}')
}

func (o Outgoing) appendCallback(b []byte, name string, args json.RawMessage) []byte {
	b = append(o.appendHead(b), `,"name":`...)
	b = AppendJSON(b, name)
	b = append(b, `,"args":`...)
	return append(append(b, args...), '}')
}

func appendError(b []byte, e *Error) []byte {
	b = append(b, `{"code":`...)
	b = strconv.AppendInt(b, e.Code, 10)
	b = append(b, `,"message":`...)
	b = AppendJSON(b, e.Message)
	if e.Data != nil {
		b = append(b, `,"data":`...)
		b = append(b, *e.Data...)
	}
	return append(b, '}')
}

// replySize is about what a reply will take.
func replySize(req *Request, r Reply) int {
	return 96 + len(req.ID) + len(req.Ext) + len(r.Result)
}

// Params is the params of a request. Their members may be known from the scan of the frame; then Params is to be decoded before
// the next frame is.
type Params struct {
	JSON  json.RawMessage // nil: there are none
	frame []byte          // that noted is about
	noted []member        // of all members that a scan found; the request's are those with the parent
	of    int             // parent; -1: they were not noted
}

// members goes through the members of an object.
func (p Params) members(object json.RawMessage) iter.Seq2[[]byte, json.RawMessage] {
	if p.of < 0 || len(object) != len(p.JSON) {
		return Members(object)
	}
	return func(yield func([]byte, json.RawMessage) bool) {
		for _, m := range p.noted {
			if m.depth == 2 && m.parent == p.of && !yield(m.of(p.frame)) {
				return
			}
		}
	}
}

// of is the name and the value of a member.
func (m *member) of(frame []byte) ([]byte, json.RawMessage) {
	return Unquoted(frame[m.name:stringEnd(frame, m.name)]), frame[m.start:m.end:m.end]
}

// envelope goes through the members of an object that a scanner has just read as a whole frame, from the first byte that is
// no space. Each comes with its index, for Params; -1 where members were not noted.
func (s *scanner) envelope(frame []byte, yield func(name []byte, value json.RawMessage, index int)) {
	if s.full {
		for name, value := range Members(frame) {
			yield(name, value, -1)
		}
		return
	}
	for i := range s.noted {
		if m := &s.noted[i]; m.depth == 1 {
			name, value := m.of(frame)
			yield(name, value, i)
		}
	}
}

// responseID is the number of a request of the daemon's that an id stands for, 0 where it can be none of them.
func responseID(id json.RawMessage) uint64 {
	n, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// errNotResponse is what a callback comes to whose answer is none.
var errNotResponse = &call.CallbackError{Message: "the client's answer is no response", Code: -32600}

// EmptyResponse is the Response that an empty request stands for.
func (r *Request) EmptyResponse() Response {
	return Response{ID: responseID(r.ID), Err: errNotResponse}
}

// callbackError is what a client says went wrong, or errNotResponse where it does not say it as an error object.
func callbackError(object json.RawMessage) *call.CallbackError {
	if Kind(object) != '{' {
		return errNotResponse
	}
	var e call.CallbackError
	var message, code bool
	for name, value := range Members(object) {
		switch string(name) {
		case "message":
			if message = Kind(value) == '"'; message {
				e.Message = Unquote(value)
			}
		case "code":
			n, err := strconv.ParseInt(string(value), 10, 64)
			e.Code, code = n, err == nil
		case "data":
			e.Data = given(value)
		}
	}
	if !message || !code {
		return errNotResponse
	}
	return &e
}

// given is nil for null, which is what some clients write for nothing.
func given(value json.RawMessage) json.RawMessage {
	if Kind(value) == 'n' {
		return nil
	}
	return value
}

// own makes responses hold no more than they say, of a frame of this size.
func (in *Incoming) own(size int) {
	for i := range in.Responses {
		r := &in.Responses[i]
		if size > 2*len(r.Value)+retain {
			r.Value = bytes.Clone(r.Value)
		}
		if r.Err != nil && r.Err.Data != nil && size > 2*len(r.Err.Data)+retain {
			r.Err.Data = bytes.Clone(r.Err.Data)
		}
	}
}
