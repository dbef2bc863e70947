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

// JSONRPC is the codec of JSON-RPC 2.0 for one connection. Decode is called by its reader alone, the other methods by any
// goroutine.
type JSONRPC struct{ scanner scanner }

// Lenient tells that unknown fields of params are ignored.
func (*JSONRPC) Lenient() bool { return false }

// Decode takes a frame apart. It always succeeds: what is wrong with a frame is the answer to it.
func (c *JSONRPC) Decode(frame []byte) (Incoming, error) {
	if !c.scanner.scan(frame) {
		return alone(NewError(call.ParseError, call.ParseError.Message(), nil)), nil
	}
	if Kind(frame[skipSpace(frame, 0):]) == '[' {
		return decodeBatch(frame[skipSpace(frame, 0):]), nil
	}
	var in Incoming
	in.add(c.decodeScanned(frame), len(frame)) // a part of it holds all of it, be that spaces
	in.own(len(frame))
	return in, nil
}

// alone is the answer to a frame as a whole.
func alone(err *Error) Incoming { return Incoming{Requests: []*Request{{ID: Null, Err: err}}} }

// TooLarge is what a body over the limit counts as.
func TooLarge() *Request { return alone(InvalidRequest("the body is over the limit")).Requests[0] }

func decodeBatch(frame []byte) Incoming {
	in := Incoming{Batch: true}
	count := 0
	large := len(frame) > retain
	for element := range Elements(frame) {
		if large {
			element = bytes.Clone(element) // the one that takes longest would hold all the others
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

// A rawMessage is the envelope of a request or a response, as it came.
type rawMessage struct {
	isObject                    bool
	version, id, method, result json.RawMessage
	failed                      json.RawMessage // the member error
	params                      Params
}

// decodeScanned reads the envelope of the frame that the scanner has just read.
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

// decodeElement reads the envelope of an element of a batch.
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

// set takes a member, or tells that it is the params.
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

// add takes a message of a frame, which holds so many bytes of it.
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

// check gives what keeps the message from being a request or a response.
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

// EncodeReply writes the reply to a request that wants one.
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

// EncodeConsole writes a line of a call's console. It is nil where the client cannot be told.
func (*JSONRPC) EncodeConsole(o Outgoing, line Line) []byte {
	b := make([]byte, 0, 192+len(line.Text))
	b = append(b, `{"jsonrpc":"2.0","method":"`+ConsoleMethod+`","params":`...)
	return append(o.appendConsole(b, line), '}')
}

// EncodeCallback writes the daemon's request of this number: the script called host.NAME(...args).
func (*JSONRPC) EncodeCallback(id uint64, o Outgoing, name string, args json.RawMessage) []byte {
	b := make([]byte, 0, 256+len(args))
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, `,"method":"`+CallbackMethod+`","params":`...)
	return append(o.appendCallback(b, name, args), '}')
}
