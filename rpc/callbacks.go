package rpc

import (
	"context"
	"encoding/json"

	"github.com/jsd-project/jsd/rpc/message"
)

// callbacks is the call.Client of one call. It uses the connection on which the request came, and no other.
type callbacks struct {
	peer    *peer
	about   message.Outgoing
	session *session // in which the script runs; nil: none
	redact  func() redactor
}

// Print sends the client a line, unless the client has disconnected.
func (c *callbacks) Print(level, text string) {
	line := message.Line{Level: level, Text: c.redact().text(text)}
	if frame := c.peer.codec.EncodeConsole(c.about, line); frame != nil && !c.peer.isGone() {
		c.peer.wire.Write(frame)
	}
}

// Callback sends the client a request and waits for the response. The arguments are not redacted, since the script chose to send
// them.
func (c *callbacks) Callback(ctx context.Context, name string, args json.RawMessage) (json.RawMessage, error) {
	id, response := c.peer.pending.add(c.session)
	defer c.peer.pending.remove(id)
	c.peer.wire.Write(c.peer.codec.EncodeCallback(id, c.about, name, args))
	var r message.Response
	select {
	case r = <-response:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.peer.ended:
		select {
		case r = <-response: // it came before the client disconnected
		default:
			return nil, errClientGone
		}
	}
	if r.Err != nil {
		return nil, r.Err
	}
	return r.Value, nil
}
