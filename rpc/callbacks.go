package rpc

import (
	"context"
	"encoding/json"

	"github.com/jsd-project/jsd/rpc/message"
)

// callbacks is what a script reaches of the client that called it, over the connection that the request came on and over
// no other.
type callbacks struct {
	peer    *peer
	about   message.Outgoing
	session *session // that the script runs in; nil: none
	redact  func() redactor
}

// Print tells the client of a line. Nobody is told once it is gone.
func (c *callbacks) Print(level, text string) {
	line := message.Line{Level: level, Text: c.redact().text(text)}
	if frame := c.peer.codec.EncodeConsole(c.about, line); frame != nil && !c.peer.isGone() {
		c.peer.wire.Write(frame)
	}
}

// Callback sends the client a request and waits for its response. The script chose what goes with it, so nothing is redacted
// in that.
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
		case r = <-response: // it came before the client went
		default:
			return nil, errClientGone
		}
	}
	if r.Err != nil {
		return nil, r.Err
	}
	return r.Value, nil
}
