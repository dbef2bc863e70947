package rpc

import (
	"encoding/json"
	"net/http"
	"strings"
)

// A traceparent says which trace a call is a part of, in the form of the W3C's Trace Context; empty
// where what the client says has not that form, which is no error.
type traceparent string

func (t *traceparent) take(v json.RawMessage) bool {
	if kind(v) != '"' {
		return false
	}
	*t = traceparent(validTraceparent(unquote(v)))
	return true
}

func (*traceparent) expects() string { return "a string, as the traceparent of W3C Trace Context" }

func (*traceparent) schema() schema { return schema{"type": "string"} }

const (
	traceparentHeader = "traceparent"
	traceparentLength = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	traceparentMost   = 512 // of versions to come, that may be longer
)

// traceparentOf is what a header says, which must come once.
func traceparentOf(header http.Header) string {
	if values := header.Values(traceparentHeader); len(values) == 1 {
		return validTraceparent(strings.Trim(values[0], " \t"))
	}
	return ""
}

// validTraceparent gives a traceparent back, or nothing where it is none: version, trace, parent and flags in
// lower-case hex, of which neither trace nor parent is all zero. What a later version has behind these is
// left alone.
func validTraceparent(value string) string {
	if len(value) < traceparentLength || len(value) > traceparentMost {
		return ""
	}
	version, trace, parent, flags := value[:2], value[3:35], value[36:52], value[53:55]
	rest := value[traceparentLength:]
	switch {
	case value[2] != '-' || value[35] != '-' || value[52] != '-',
		strings.Trim(version+trace+parent+flags, "0123456789abcdef") != "",
		strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "",
		version == "ff", version == "00" && rest != "", rest != "" && rest[0] != '-':
		return ""
	}
	return value
}

// traceID is that of a traceparent, if there is one.
func traceID(trace string) string {
	if trace == "" {
		return ""
	}
	return trace[3:35]
}

// traceOf is the trace of a request: the one it names, else its connection's.
func (c *client) traceOf(named *traceparent) string {
	if named != nil && *named != "" {
		return string(*named)
	}
	return c.trace
}
