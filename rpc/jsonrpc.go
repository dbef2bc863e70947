package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"github.com/sourcegraph/jsonrpc2"
)

// maxBatch bounds the requests of a batch: each costs an answer, however small it is itself.
const maxBatch = 10_000

var null = json.RawMessage("null")

// jsonRPC is JSON-RPC 2.0.
type jsonRPC struct {
	maxBatchReply int // bytes
}

// newJSONRPC leaves room for a batch's reply beside others in the outbox.
func newJSONRPC(cfg *Config) jsonRPC { return jsonRPC{maxBatchReply: cfg.MaxUnsent / 2} }

func (jsonRPC) lenient() bool { return false }

func (d jsonRPC) decode(frame []byte) ([]*request, error) {
	if !wellFormed(frame) {
		return alone(errParse), nil
	}
	frame = frame[skipSpace(frame, 0):]
	if kind(frame) == '[' {
		return d.decodeBatch(frame), nil
	}
	if req := decodeRequest(frame); req != nil {
		return []*request{req}, nil
	}
	return nil, nil
}

// alone is the answer to a frame as a whole.
func alone(err error) []*request { return []*request{{id: null, err: err}} }

func (d jsonRPC) decodeBatch(frame []byte) []*request {
	var requests []*request
	b := &batch{room: d.maxBatchReply, replies: map[*request][]byte{}}
	count := 0
	for element := range elements(frame) {
		if count++; count > maxBatch {
			return alone(invalidRequest(fmt.Sprintf("a batch has at most %d requests", maxBatch)))
		}
		req := decodeRequest(element)
		if req == nil {
			continue
		}
		requests = append(requests, req)
		if req.id != nil {
			req.batch = b
			b.requests = append(b.requests, req)
		}
	}
	if count == 0 {
		return alone(invalidRequest("an empty batch"))
	}
	return requests
}

// decodeRequest gives nil for a response, as nothing was asked by this side.
func decodeRequest(raw json.RawMessage) *request {
	req := &request{}
	if kind(raw) != '{' {
		return &request{id: null, err: invalidRequest("a request is an object")}
	}
	var version json.RawMessage
	response := false
	for name, value := range members(raw) {
		switch name {
		case "jsonrpc":
			version = value
		case "id":
			req.id = value
		case "method":
			req.method = value
		case "params":
			req.params = value
		case "result", "error":
			response = true
		}
	}
	if response && req.method == nil {
		return nil
	}
	if req.err = req.check(version); req.err != nil && !isID(req.id) {
		req.id = null
	}
	return req
}

func (r *request) check(version json.RawMessage) error {
	switch {
	case kind(version) != '"' || unquote(version) != "2.0":
		return invalidRequest(`jsonrpc must be "2.0"`)
	case kind(r.method) != '"':
		return invalidRequest("method must be a string")
	case r.id != nil && !isID(r.id):
		return invalidRequest("id must be a string, a number or null")
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

func (jsonRPC) encode(req *request, resp *jsonrpc2.Response) []byte {
	b := make([]byte, 0, replySize(req, resp))
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, req.id...)
	if resp.Error != nil {
		b = append(b, `,"error":`...)
		b = appendError(b, resp.Error)
	} else {
		b = append(b, `,"result":`...)
		b = append(b, *resp.Result...)
	}
	return append(b, '}')
}

// replySize is about what a reply will take.
func replySize(req *request, resp *jsonrpc2.Response) int {
	size := 96 + len(req.id) + len(req.ext)
	if resp.Result != nil {
		size += len(*resp.Result)
	}
	return size
}

func appendError(b []byte, e *jsonrpc2.Error) []byte {
	b = append(b, `{"code":`...)
	b = strconv.AppendInt(b, e.Code, 10)
	b = append(b, `,"message":`...)
	b = appendJSON(b, e.Message)
	if e.Data != nil {
		b = append(b, `,"data":`...)
		b = append(b, *e.Data...)
	}
	return append(b, '}')
}

// A batch gathers the replies to the requests of one frame.
type batch struct {
	requests []*request // those that want a reply

	mu      sync.Mutex // guards all below
	replies map[*request][]byte
	room    int // bytes that further replies may have
}

// add takes one reply. The last one gives the whole, and the requests it is for.
func (b *batch) add(req *request, reply []byte) (frame []byte, answered []*request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(reply) > b.room {
		reply = jsonRPC{}.encode(req, &jsonrpc2.Response{Error: wireError(errBatchReply)})
	}
	b.room -= len(reply)
	b.replies[req] = reply
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
