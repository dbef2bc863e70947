package rpc

import (
	"context"
	"encoding/json"

	"github.com/jsd-project/jsd/call"
)

// A host is what a script reaches of the client that called it, over the connection that the request
// came on and over no other.
type host struct {
	client    *client
	req       *request
	execution string
	session   *session // nil: none
	blank     func() blanker
}

func newHost(r *run, execution string, blank func() blanker) *host {
	return &host{client: r.client, req: r.req, execution: execution, session: r.session, blank: blank}
}

// Methods of the client's.
const (
	consoleName  = "runtime.console"
	callbackName = "runtime.callback"
)

// ConsoleParams is the params of runtime.console.
type ConsoleParams struct {
	ID        json.RawMessage `json:"id,omitempty"` // of the request, if it has one
	Execution string          `json:"execution"`
	Level     string          `json:"level"`
	Text      string          `json:"text"`
}

// CallbackParams is the params of runtime.callback.
type CallbackParams struct {
	ID        json.RawMessage   `json:"id,omitempty"` // likewise
	Execution string            `json:"execution"`
	Name      string            `json:"name"`
	Args      []json.RawMessage `json:"args"`
}

// Print tells the client of a line. Nobody is told once it is gone.
func (h *host) Print(level, text string) {
	if frame := h.client.dialect.print(h, level, h.blank().text(text)); frame != nil && !h.client.isGone() {
		h.client.wire.write(frame)
	}
}

// Callback asks the client. What goes with it is the script's will, so nothing is blanked in it.
func (h *host) Callback(ctx context.Context, name string, args json.RawMessage) (json.RawMessage, error) {
	return h.client.ask(ctx, h, name, args)
}

// appendHead begins an object with what says whose call this is. The values are not encoded by
// encoding/json, which would look through what may be megabytes.
func (h *host) appendHead(b []byte) []byte {
	b = append(b, '{')
	if h.req.id != nil {
		b = append(b, `"id":`...)
		b = append(b, h.req.id...)
		b = append(b, ',')
	}
	b = append(b, `"execution":`...)
	return appendJSON(b, h.execution)
}

func (h *host) appendConsole(b []byte, level, text string) []byte {
	b = append(h.appendHead(b), `,"level":`...)
	b = appendJSON(b, level)
	b = append(b, `,"text":`...)
	return append(appendJSON(b, text), '}')
}

func (h *host) appendCallback(b []byte, name string, args json.RawMessage) []byte {
	b = append(h.appendHead(b), `,"name":`...)
	b = appendJSON(b, name)
	b = append(b, `,"args":`...)
	return append(append(b, args...), '}')
}

// Outcomes of a callback that are not the client's own.
var (
	errClientGone  = &call.CallbackError{Message: "the client is gone"}
	errNotResponse = &call.CallbackError{Message: "the client's answer is no response", Code: -32600}
)
