package rpc

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/jsd-project/jsd/rpc/message"
)

// A traceparent says which trace a call is a part of, in the form of the W3C's Trace Context; empty
// where what the client says has not that form, which is no error.
type traceparent string

func (t *traceparent) Take(v json.RawMessage) bool {
	if message.Kind(v) != '"' {
		return false
	}
	*t = traceparent(validTraceparent(message.Unquote(v)))
	return true
}

func (*traceparent) Expects() string { return "a string, as the traceparent of W3C Trace Context" }

func (*traceparent) Schema() message.Schema { return message.Schema{"type": "string"} }

const (
	traceparentHeader = "traceparent"
	traceparentLength = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01") // in version 00
	traceparentMost   = 512                                                            // in later versions
)

// traceparentOf is what a header says, which must come once.
func traceparentOf(header http.Header) string {
	if values := header.Values(traceparentHeader); len(values) == 1 {
		return validTraceparent(strings.Trim(values[0], " \t"))
	}
	return ""
}

// validTraceparent returns value if it is a traceparent, else an empty string. It parses a value only where a client
// sent one.
func validTraceparent(value string) string {
	if len(value) > traceparentMost || strings.HasPrefix(value, "00") && len(value) != traceparentLength || !spanContext(value).IsValid() {
		return ""
	}
	return value
}

func spanContext(value string) trace.SpanContext {
	if value == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparentHeader: value})
	return trace.SpanContextFromContext(ctx)
}

// traceID is the trace's id in hex, or empty for an empty traceparent.
func traceID(value string) string {
	if value == "" {
		return ""
	}
	return spanContext(value).TraceID().String()
}
