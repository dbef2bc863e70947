package rpc

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/jsd-project/jsd/call"
)

// A response is what a client answered a callback with.
type response struct {
	id    uint64 // of the callback
	value json.RawMessage
	err   *call.CallbackError // nil: there is a value
}

// ask sends the client a request and waits for its response.
func (c *client) ask(ctx context.Context, h *host, name string, args json.RawMessage) (json.RawMessage, error) {
	id, answer := c.expect(h.session)
	defer c.unask(id)
	c.wire.write(c.dialect.ask(id, h, name, args))
	select {
	case r := <-answer:
		if r.err != nil {
			return nil, r.err
		}
		return r.value, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.ended:
		return nil, errClientGone
	}
}

// A question is a request of ours that the client has not answered.
type question struct {
	answer  chan response // of one element
	session *session      // that takes no calls meanwhile; nil: none
}

// expect numbers a request of ours.
func (c *client) expect(ss *session) (id uint64, answer <-chan response) {
	if ss != nil {
		ss.asking(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	q := &question{make(chan response, 1), ss}
	c.asking[c.asked] = q
	return c.asked, q.answer
}

// resolve hands a response to who waits for it. It tells whether anybody does: what nobody asked for,
// asks for no longer, or has already, is ignored. What the client sends behind it finds the session open.
func (c *client) resolve(r response) bool {
	q := c.unask(r.id)
	if q == nil {
		return false
	}
	q.answer <- r
	return true
}

// unask gives the request of a number to the first who wants it.
func (c *client) unask(id uint64) *question {
	c.mu.Lock()
	q := c.asking[id]
	delete(c.asking, id)
	c.mu.Unlock()
	if q != nil && q.session != nil {
		q.session.asking(-1)
	}
	return q
}

// isGone tells that nothing will be read of the client any more.
func (c *client) isGone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// callbackID is the number of a callback that an id stands for, 0 where it can be none of ours.
func callbackID(id json.RawMessage) uint64 {
	n, err := strconv.ParseUint(string(id), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// callbackError is what a client says went wrong, or that it says so in no way we know.
func callbackError(object json.RawMessage) *call.CallbackError {
	if kind(object) != '{' {
		return errNotResponse
	}
	var e call.CallbackError
	var message, code bool
	for name, value := range members(object) {
		switch string(name) {
		case "message":
			if message = kind(value) == '"'; message {
				e.Message = unquote(value)
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
