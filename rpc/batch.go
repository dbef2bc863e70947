package rpc

import (
	"bytes"
	"sync"

	"github.com/sourcegraph/jsonrpc2"
)

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
