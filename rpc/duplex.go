package rpc

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/sourcegraph/jsonrpc2"
)

// The first frame of a Duplex connection.
const (
	handshake      = "SIMPLEX/"
	handshakeCodec = "1.0;json"
)

// duplex is what javascriptd's clients speak.
type duplex struct{}

func (duplex) lenient() bool { return true }

func (duplex) decode(raw []byte) ([]*request, error) {
	if !wellFormed(raw) {
		return nil, errors.New("a Duplex frame is JSON")
	}
	raw = raw[skipSpace(raw, 0):]
	if kind(raw) != '{' {
		return nil, errors.New("a Duplex frame is an object")
	}
	req := &request{}
	var frameType string
	for name, value := range members(raw) {
		switch name {
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
		}
	}
	switch {
	case frameType == "rep":
		return nil, nil // nothing was asked by this side
	case frameType != "req":
		return nil, errors.New("the type of a Duplex frame is req or rep")
	case kind(req.method) != '"':
		return nil, errors.New("the method of a Duplex request is a string")
	case req.id != nil && !isDuplexID(req.id):
		return nil, errors.New("the id of a Duplex request is an integer from 1")
	}
	return []*request{req}, nil
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

func (duplex) encode(req *request, resp *jsonrpc2.Response) []byte {
	b := make([]byte, 0, replySize(req, resp))
	b = append(b, `{"type":"rep","id":`...)
	b = append(b, req.id...)
	if resp.Error != nil {
		b = append(b, `,"error":`...)
		b = appendError(b, resp.Error)
	} else {
		b = append(b, `,"payload":`...)
		b = append(b, *resp.Result...)
	}
	if req.ext != nil {
		b = append(b, `,"ext":`...)
		b = append(b, req.ext...)
	}
	return append(b, '}')
}
