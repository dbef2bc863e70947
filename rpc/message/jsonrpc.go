package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jsd-project/jsd/call"
)

const maxBatch = 10_000 // requests

// Null is JSON's null.
var Null = json.RawMessage("null")

// JSONRPC is the codec of JSON-RPC 2.0 for one connection. Only the connection's reader calls Decode. Any goroutine may call
// the other methods.
type JSONRPC struct{ scanner scanner }

// Lenient reports whether unknown fields of params are ignored.
func (*JSONRPC) Lenient() bool { return false }

// Decode decodes a frame. Its error is always nil: if a frame is invalid, the result has a request whose answer is the
// error.
func (c *JSONRPC) Decode(frame []byte) (Incoming, error) {
	if !c.scanner.scan(frame) {
		return alone(NewError(call.ParseError, call.ParseError.Message(), nil)), nil
	}
	if Kind(frame[skipSpace(frame, 0):]) == '[' {
		return decodeBatch(frame[skipSpace(frame, 0):]), nil
	}
	var in Incoming
	in.add(c.decodeScanned(frame), len(frame)) // any part of the frame keeps all of it in memory
	in.own(len(frame))
	return in, nil
}

// alone returns the answer to a frame as a whole.
func alone(err *Error) Incoming { return Incoming{Requests: []*Request{{ID: Null, Err: err}}} }

// TooLarge returns the request that stands for a body over the limit. Its answer is an error.
func TooLarge() *Request { return alone(InvalidRequest("the body is over the limit")).Requests[0] }

func decodeBatch(frame []byte) Incoming {
	in := Incoming{Batch: true}
	count := 0
	large := len(frame) > retain
	for element := range Elements(frame) {
		if large {
			element = bytes.Clone(element) // else the slowest call would keep the whole frame in memory
		}
		if count++; count > maxBatch {
			return alone(InvalidRequest(fmt.Sprintf("a batch has at most %d requests", maxBatch)))
		}
		in.add(decodeElement(element), len(element))
	}
	if count == 0 {
		return alone(InvalidRequest("an empty batch"))
	}
	return in
}

// A rawMessage is the undecoded envelope of a request or a response.
type rawMessage struct {
	isObject                    bool
	version, id, method, result json.RawMessage
	failed                      json.RawMessage // the member error
	params                      Params
}

// decodeScanned decodes the envelope of a frame that the scanner has just scanned.
func (c *JSONRPC) decodeScanned(frame []byte) rawMessage {
	m := rawMessage{isObject: Kind(frame[skipSpace(frame, 0):]) == '{'}
	if m.isObject {
		c.scanner.envelope(frame, func(name []byte, value json.RawMessage, index int) {
			if m.set(name, value) {
				m.params = Params{JSON: value, frame: frame, noted: c.scanner.noted, of: index}
			}
		})
	}
	return m
}

// decodeElement decodes the envelope of an element of a batch.
func decodeElement(element []byte) rawMessage {
	m := rawMessage{isObject: Kind(element) == '{'}
	if m.isObject {
		for name, value := range Members(element) {
			if m.set(name, value) {
				m.params = Params{JSON: value, of: -1}
			}
		}
	}
	return m
}

// set stores a member. For params it stores nothing and returns true.
func (m *rawMessage) set(name []byte, value json.RawMessage) (params bool) {
	switch string(name) {
	case "jsonrpc":
		m.version = value
	case "id":
		m.id = value
	case "method":
		m.method = value
	case "params":
		return true
	case "result":
		m.result = value
	case "error":
		m.failed = value
	}
	return false
}

// add adds a message to the requests or the responses. size is the number of bytes of the frame that it keeps in memory.
func (in *Incoming) add(m rawMessage, size int) {
	err := m.check()
	if m.isResponse() {
		in.Responses = append(in.Responses, m.response(err))
		return
	}
	req := &Request{ID: m.id, Params: m.params, Size: size, Err: err}
	if err == nil {
		req.Method = Unquote(m.method)
	} else {
		req.empty = m.method == nil && m.id != nil && !in.Batch
		if !isID(m.id) || len(m.id) > maxEcho {
			req.ID = Null
		}
	}
	in.Requests = append(in.Requests, req)
}

func (m *rawMessage) isResponse() bool {
	return m.method == nil && (m.result != nil || m.failed != nil)
}

// check returns why the message is neither a request nor a response, nil if it is one.
func (m *rawMessage) check() *Error {
	switch {
	case !m.isObject:
		return InvalidRequest("a request is an object")
	case Kind(m.version) != '"' || string(Unquoted(m.version)) != "2.0":
		return InvalidRequest(`jsonrpc must be "2.0"`)
	case m.isResponse():
		return nil
	case Kind(m.method) != '"':
		return InvalidRequest("method must be a string")
	case m.id != nil && !isID(m.id):
		return InvalidRequest("id must be a string, a number or null")
	case len(m.id) > maxEcho:
		return InvalidRequest(fmt.Sprintf("id must be at most %d bytes long", maxEcho))
	}
	switch Kind(m.params.JSON) {
	case 0, 'n', '{', '[':
		return nil
	default:
		return InvalidRequest("params must be an object or an array")
	}
}

func (m *rawMessage) response(wrong *Error) Response {
	r := Response{ID: responseID(m.id), Value: m.result}
	switch {
	case wrong != nil:
		r.Err = errNotResponse
	case given(m.failed) == nil && m.result != nil:
	case given(m.result) == nil:
		r.Err = callbackError(m.failed)
	default:
		r.Err = errNotResponse // both
	}
	return r
}

func isID(v json.RawMessage) bool {
	k := Kind(v)
	return k == '"' || k == '0' && len(v) > 0 || k == 'n'
}

// EncodeReply returns the reply to a request that wants one.
func (*JSONRPC) EncodeReply(req *Request, r Reply) []byte {
	b := make([]byte, 0, replySize(req, r))
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, req.ID...)
	if r.Err != nil {
		b = append(b, `,"error":`...)
		b = appendError(b, r.Err)
	} else {
		b = append(b, `,"result":`...)
		b = append(b, r.Result...)
	}
	return append(b, '}')
}

// EncodeConsole returns a notification with a line of a call's console.
func (*JSONRPC) EncodeConsole(o Outgoing, line Line) []byte {
	b := make([]byte, 0, 192+len(line.Text))
	b = append(b, `{"jsonrpc":"2.0","method":"`+ConsoleMethod+`","params":`...)
	return append(o.appendConsole(b, line), '}')
}

// EncodeCallback returns the daemon's request with this id, after the script called host.NAME(...args).
func (*JSONRPC) EncodeCallback(id uint64, o Outgoing, name string, args json.RawMessage) []byte {
	b := make([]byte, 0, 256+len(args))
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, `,"method":"`+CallbackMethod+`","params":`...)
	return append(o.appendCallback(b, name, args), '}')
}
