package rpc

import (
	"bytes"
	"sync"
)

// A batch gathers the replies to the requests of one frame.
type batch struct {
	requests []*request // those that want a reply

	mu      sync.Mutex // guards all below
	replies map[*request][]byte
	room    int // bytes that further replies may have
}

// add takes one reply. The last one gives the whole, and the requests it is for.
func (b *batch) add(req *request, one []byte) (frame []byte, answered []*request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(one) > b.room {
		one = jsonRPC{}.encode(req, reply{err: wireError(errBatchReply)})
	}
	b.room -= len(one)
	b.replies[req] = one
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
