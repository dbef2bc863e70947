package message

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The first frame of a Duplex connection is Handshake and HandshakeCodec. It is answered with HandshakeReply.
const (
	Handshake      = "SIMPLEX/"
	HandshakeCodec = "1.0;json"
	HandshakeReply = "+OK"
)

// Duplex is the codec of javascriptd's clients for one connection. Only the connection's reader calls Decode. Any goroutine
// may call the other methods.
type Duplex struct{ scanner scanner }

// Lenient reports whether unknown fields of params are ignored. They are, as in javascriptd.
func (*Duplex) Lenient() bool { return true }

// Decode decodes a frame. After an error the connection has to be closed.
func (c *Duplex) Decode(frame []byte) (in Incoming, err error) {
	if !c.scanner.scan(frame) {
		return in, errors.New("a Duplex frame is JSON")
	}
	if Kind(frame[skipSpace(frame, 0):]) != '{' {
		return in, errors.New("a Duplex frame is an object")
	}
	req := &Request{Size: len(frame)}
	var frameType string
	var method, failed json.RawMessage
	var more bool
	c.scanner.envelope(frame, func(name []byte, value json.RawMessage, index int) {
		switch string(name) {
		case "type":
			if Kind(value) == '"' {
				frameType = Unquote(value)
			}
		case "id":
			req.ID = given(value)
		case "method":
			method = value
		case "payload":
			req.Params = Params{JSON: value, frame: frame, noted: c.scanner.noted, of: index}
		case "ext":
			req.Ext = given(value)
		case "error":
			failed = given(value)
		case "more":
			more = Kind(value) == 't'
		}
	})
	switch {
	case frameType == "rep":
		if !more { // only the last reply to a callback counts
			in.Responses = []Response{duplexResponse(req, failed)}
			in.own(len(frame))
		}
		return in, nil
	case frameType != "req":
		return in, errors.New("the type of a Duplex frame is req or rep")
	case Kind(method) != '"':
		return in, errors.New("the method of a Duplex request is a string")
	case req.ID != nil && !isDuplexID(req.ID):
		return in, errors.New("the id of a Duplex request is an integer from 1")
	}
	req.Method = Unquote(method)
	if len(req.Ext) > maxEcho {
		req.Ext, req.Err = nil, InvalidRequest(fmt.Sprintf("ext must be at most %d bytes long", maxEcho))
	}
	in.Requests = []*Request{req}
	return in, nil
}

// duplexResponse returns the response in a frame. A missing payload is null, as Decode has it for params.
func duplexResponse(req *Request, failed json.RawMessage) Response {
	r := Response{ID: responseID(req.ID), Value: req.Params.JSON}
	switch {
	case failed != nil:
		r.Err = callbackError(failed)
	case r.Value == nil:
		r.Value = Null
	}
	return r
}

func isDuplexID(v json.RawMessage) bool {
	n, err := strconv.ParseUint(string(v), 10, 64)
	return err == nil && n >= 1
}

// EncodeReply returns the reply to a request that wants one.
func (*Duplex) EncodeReply(req *Request, r Reply) []byte {
	b := make([]byte, 0, replySize(req, r))
	b = append(b, `{"type":"rep","id":`...)
	b = append(b, req.ID...)
	if r.Err != nil {
		b = append(b, `,"error":`...)
		b = appendError(b, r.Err)
	} else {
		b = append(b, `,"payload":`...)
		b = append(b, r.Result...)
	}
	return append(appendExt(b, req), '}')
}

func appendExt(b []byte, req *Request) []byte {
	if req.Ext != nil {
		b = append(b, `,"ext":`...)
		b = append(b, req.Ext...)
	}
	return b
}

// EncodeConsole returns a line of a call's console, as a reply that is not the last. It returns nil if the request wants no
// reply.
func (*Duplex) EncodeConsole(o Outgoing, line Line) []byte {
	if o.Request.ID == nil {
		return nil
	}
	b := make([]byte, 0, 128+len(line.Text)+len(o.Request.Ext))
	b = append(b, `{"type":"rep","id":`...)
	b = append(b, o.Request.ID...)
	b = append(b, `,"more":true,"payload":{"console":{"level":`...)
	b = AppendJSON(b, line.Level)
	b = append(b, `,"text":`...)
	b = AppendJSON(b, line.Text)
	b = append(b, "}}"...)
	return append(appendExt(b, o.Request), '}')
}

// EncodeCallback returns the daemon's request with this id, after the script called host.NAME(...args).
func (*Duplex) EncodeCallback(id uint64, o Outgoing, name string, args json.RawMessage) []byte {
	b := make([]byte, 0, 256+len(args))
	b = append(b, `{"type":"req","id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, `,"method":"`+CallbackMethod+`","payload":`...)
	return append(o.appendCallback(b, name, args), '}')
}
