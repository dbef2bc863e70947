package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The first frame of a Duplex connection.
const (
	handshake      = "SIMPLEX/"
	handshakeCodec = "1.0;json"
)

// duplex is what javascriptd's clients speak.
type duplex struct{}

func (duplex) lenient() bool { return true }

func (duplex) decode(raw []byte) (in incoming, err error) {
	if !wellFormed(raw) {
		return in, errors.New("a Duplex frame is JSON")
	}
	size := len(raw)
	raw = raw[skipSpace(raw, 0):]
	if kind(raw) != '{' {
		return in, errors.New("a Duplex frame is an object")
	}
	req := &request{size: size}
	var frameType string
	var failed json.RawMessage
	var more bool
	for name, value := range members(raw) {
		switch string(name) {
		case "type":
			if kind(value) == '"' {
				frameType = unquote(value)
			}
		case "id":
			req.id = given(value)
		case "method":
			req.method = value
		case "payload":
			req.params = value
		case "ext":
			req.ext = given(value)
		case "error":
			failed = given(value)
		case "more":
			more = kind(value) == 't'
		}
	}
	switch {
	case frameType == "rep":
		if !more { // only the last reply to a callback counts
			in.responses = []response{duplexResponse(req, failed)}
			in.own(size)
		}
		return in, nil
	case frameType != "req":
		return in, errors.New("the type of a Duplex frame is req or rep")
	case kind(req.method) != '"':
		return in, errors.New("the method of a Duplex request is a string")
	case req.id != nil && !isDuplexID(req.id):
		return in, errors.New("the id of a Duplex request is an integer from 1")
	}
	if len(req.ext) > maxEcho {
		req.ext, req.err = nil, invalidRequest(fmt.Sprintf("ext must be at most %d bytes long", maxEcho))
	}
	in.requests = []*request{req}
	return in, nil
}

// duplexResponse takes what is not there for null, as it does for params.
func duplexResponse(req *request, failed json.RawMessage) response {
	r := response{id: callbackID(req.id), value: req.params}
	switch {
	case failed != nil:
		r.err = callbackError(failed)
	case r.value == nil:
		r.value = null
	}
	return r
}

// given is nil for null, which is what some clients write for nothing.
func given(value json.RawMessage) json.RawMessage {
	if kind(value) == 'n' {
		return nil
	}
	return value
}

func isDuplexID(v json.RawMessage) bool {
	n, err := strconv.ParseUint(string(v), 10, 64)
	return err == nil && n >= 1
}

func (duplex) encode(req *request, r reply) []byte {
	b := make([]byte, 0, replySize(req, r))
	b = append(b, `{"type":"rep","id":`...)
	b = append(b, req.id...)
	if r.err != nil {
		b = append(b, `,"error":`...)
		b = appendError(b, r.err)
	} else {
		b = append(b, `,"payload":`...)
		b = append(b, r.result...)
	}
	if req.ext != nil {
		b = append(b, `,"ext":`...)
		b = append(b, req.ext...)
	}
	return append(b, '}')
}

func (duplex) print(h *host, level, text string) []byte {
	if h.req.id == nil {
		return nil
	}
	b := make([]byte, 0, 128+len(text)+len(h.req.ext))
	b = append(b, `{"type":"rep","id":`...)
	b = append(b, h.req.id...)
	b = append(b, `,"more":true,"payload":{"console":{"level":`...)
	b = appendJSON(b, level)
	b = append(b, `,"text":`...)
	b = appendJSON(b, text)
	b = append(b, "}}"...)
	if h.req.ext != nil {
		b = append(b, `,"ext":`...)
		b = append(b, h.req.ext...)
	}
	return append(b, '}')
}

func (duplex) ask(id uint64, h *host, name string, args json.RawMessage) []byte {
	b := make([]byte, 0, 256+len(args))
	b = append(b, `{"type":"req","id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, `,"method":"`+callbackName+`","payload":`...)
	return append(h.appendCallback(b, name, args), '}')
}
