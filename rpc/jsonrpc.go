package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// maxBatch bounds the requests of a batch: each costs an answer, however small it is itself.
const maxBatch = 10_000

// maxEcho bounds an id, and what Duplex sends back beside it: each line of a console says them again.
const maxEcho = 64 << 10

var null = json.RawMessage("null")

// jsonRPC is JSON-RPC 2.0.
type jsonRPC struct {
	maxBatchReply int // bytes
}

// newJSONRPC leaves room for a batch's reply beside others in the outbox.
func newJSONRPC(cfg *Config) jsonRPC { return jsonRPC{maxBatchReply: cfg.MaxUnsent / 2} }

func (jsonRPC) lenient() bool { return false }

func (d jsonRPC) decode(frame []byte) (incoming, error) {
	if !wellFormed(frame) {
		return alone(errParse), nil
	}
	size := len(frame) // a part of it holds all of it, be that spaces
	frame = frame[skipSpace(frame, 0):]
	if kind(frame) == '[' {
		return d.decodeBatch(frame), nil
	}
	var in incoming
	if req := in.add(frame); req != nil {
		req.size = size
	}
	in.own(size)
	return in, nil
}

// alone is the answer to a frame as a whole.
func alone(err error) incoming { return incoming{requests: []*request{{id: null, err: err}}} }

func (d jsonRPC) decodeBatch(frame []byte) (in incoming) {
	b := &batch{room: d.maxBatchReply, replies: map[*request][]byte{}}
	count := 0
	large := len(frame) > unnoticed
	for element := range elements(frame) {
		if large {
			element = bytes.Clone(element) // the one that takes longest would hold all the others
		}
		if count++; count > maxBatch {
			return alone(invalidRequest(fmt.Sprintf("a batch has at most %d requests", maxBatch)))
		}
		if req := in.add(element); req != nil && req.id != nil {
			req.batch = b
			b.requests = append(b.requests, req)
		}
	}
	if count == 0 {
		return alone(invalidRequest("an empty batch"))
	}
	return in
}

// add takes a request, which it gives back, or a response.
func (in *incoming) add(raw json.RawMessage) *request {
	req, result, failed, err := decodeMessage(raw)
	if req.method == nil && (result != nil || failed != nil) {
		in.responses = append(in.responses, responseOf(req.id, result, failed, err))
		return nil
	}
	if req.err = err; err != nil && (!isID(req.id) || len(req.id) > maxEcho) {
		req.id = null
	}
	in.requests = append(in.requests, req)
	return req
}

// own makes responses hold no more than they say, of a frame of this size.
func (in *incoming) own(size int) {
	for i := range in.responses {
		if r := &in.responses[i]; size > 2*len(r.value)+unnoticed {
			r.value = bytes.Clone(r.value)
		}
		if r := &in.responses[i]; r.err != nil && r.err.Data != nil && size > 2*len(r.err.Data)+unnoticed {
			r.err.Data = bytes.Clone(r.err.Data)
		}
	}
}

func responseOf(id, result, failed json.RawMessage, err error) response {
	r := response{id: callbackID(id), value: result}
	switch {
	case err != nil:
		r.err = errNotResponse
	case given(failed) == nil && result != nil:
	case given(result) == nil:
		r.err = callbackError(failed)
	default:
		r.err = errNotResponse // both
	}
	return r
}

// decodeMessage takes a message apart. The error is what keeps it from being a request or a response.
func decodeMessage(raw json.RawMessage) (req *request, result, failed json.RawMessage, err error) {
	req = &request{size: len(raw)}
	if kind(raw) != '{' {
		return req, nil, nil, invalidRequest("a request is an object")
	}
	var version json.RawMessage
	for name, value := range members(raw) {
		switch string(name) {
		case "jsonrpc":
			version = value
		case "id":
			req.id = value
		case "method":
			req.method = value
		case "params":
			req.params = value
		case "result":
			result = value
		case "error":
			failed = value
		}
	}
	switch {
	case kind(version) != '"' || string(unquoted(version)) != "2.0":
		err = invalidRequest(`jsonrpc must be "2.0"`)
	case req.method == nil && (result != nil || failed != nil):
	default:
		err = req.check()
	}
	return req, result, failed, err
}

// isEmpty tells whether this is no more than an id, which is no request.
func (r *request) isEmpty() bool {
	return r.err != nil && r.method == nil && r.id != nil && r.batch == nil
}

func (r *request) check() error {
	switch {
	case kind(r.method) != '"':
		return invalidRequest("method must be a string")
	case r.id != nil && !isID(r.id):
		return invalidRequest("id must be a string, a number or null")
	case len(r.id) > maxEcho:
		return invalidRequest(fmt.Sprintf("id must be at most %d bytes long", maxEcho))
	}
	switch kind(r.params) {
	case 0, 'n', '{', '[':
		return nil
	default:
		return invalidRequest("params must be an object or an array")
	}
}

func isID(v json.RawMessage) bool {
	k := kind(v)
	return k == '"' || k == '0' || k == 'n'
}

func (jsonRPC) encode(req *request, r reply) []byte {
	b := make([]byte, 0, replySize(req, r))
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, req.id...)
	if r.err != nil {
		b = append(b, `,"error":`...)
		b = appendError(b, r.err)
	} else {
		b = append(b, `,"result":`...)
		b = append(b, r.result...)
	}
	return append(b, '}')
}

// replySize is about what a reply will take.
func replySize(req *request, r reply) int {
	return 96 + len(req.id) + len(req.ext) + len(r.result)
}

func appendError(b []byte, e *replyError) []byte {
	b = append(b, `{"code":`...)
	b = strconv.AppendInt(b, e.Code, 10)
	b = append(b, `,"message":`...)
	b = appendJSON(b, e.Message)
	if e.Data != nil {
		b = append(b, `,"data":`...)
		b = append(b, e.Data...)
	}
	return append(b, '}')
}

func (jsonRPC) print(h *host, level, text string) []byte {
	b := make([]byte, 0, 192+len(text))
	b = append(b, `{"jsonrpc":"2.0","method":"`+consoleName+`","params":`...)
	return append(h.appendConsole(b, level, text), '}')
}

func (jsonRPC) ask(id uint64, h *host, name string, args json.RawMessage) []byte {
	b := make([]byte, 0, 256+len(args))
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, `,"method":"`+callbackName+`","params":`...)
	return append(h.appendCallback(b, name, args), '}')
}
