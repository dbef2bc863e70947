package rpc

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// A Report says how a call of runtime.execute or runtime.open went. It has nothing of what the script is,
// gets or gives.
type Report struct {
	Method    string
	Tenant    string // empty where the request does not even say that rightly
	Execution string // its name; empty for a call that was refused before it had one
	Code      int64  // of the error; 0: the call came to a value
	Fault     bool   // that error is the fault of the daemon or its engine, and nobody asked for it

	Began     time.Time
	Queue     time.Duration // waited for a place in a container, and in a session for its turn
	Run       time.Duration // from then to the end; 0 where it never came into a container
	Container string        // ID; empty where it never came into one
	Cold      bool          // it was the first call there
	Session   bool          // it ran in a session

	Trace string // traceparent, as W3C writes it, of the client's; empty: none
}

// Outcome is the code as text, "ok" for a value.
func (r *Report) Outcome() string {
	if r.Code == 0 {
		return "ok"
	}
	return strconv.FormatInt(r.Code, 10)
}

// reportCall tells of the end of a call.
func (s *service) reportCall(c *preparedCall, used call.Result, err error) {
	report := Report{
		Method: c.method, Tenant: c.origin.tenant, Execution: c.execution.name.id, Session: c.session != nil, Trace: c.origin.trace,
		Began: c.began, Container: used.Container, Cold: used.Cold,
	}
	report.Queue = time.Since(c.began)
	if used.Container != "" {
		took := report.Queue
		report.Queue = c.turn + used.Queue
		report.Run = max(0, took-report.Queue)
	}
	s.report(report, err)
}

// reportRefusal tells of a call that ended before it ran.
func (s *service) reportRefusal(method string, o origin, err error) {
	s.report(Report{Method: method, Tenant: o.tenant, Trace: o.trace, Began: time.Now()}, err)
}

func (s *service) report(report Report, err error) {
	if err != nil {
		report.Code = wireError(err).Code
		report.Fault = isFault(report.Code, err)
	}
	s.logCall(&report, err)
	if s.cfg.Observe != nil {
		s.cfg.Observe(report)
	}
}

// isFault says no where a container was lost because somebody wanted it to end.
func isFault(code int64, err error) bool {
	switch call.Code(code) {
	case call.InternalError:
		return true
	case call.Lost:
		return !errors.Is(err, call.ErrClosed)
	default:
		return false
	}
}

// logCall writes the line of a call. A failure's text is the script's own, so it is not in it.
func (s *service) logCall(r *Report, err error) {
	level := zerolog.InfoLevel
	if r.Fault {
		level = zerolog.ErrorLevel
	}
	if s.cfg.NoLogs && level == zerolog.InfoLevel {
		return
	}
	event := s.cfg.Log.WithLevel(level)
	switch {
	case r.Fault:
		event = event.Err(err)
	case r.Code == int64(call.Busy):
		event = event.Str("reason", err.Error()) // which bound it met
	}
	event = event.Str("method", r.Method)
	for _, field := range [...]struct{ name, value string }{
		{"tenant", r.Tenant}, {"execution", r.Execution}, {"container", r.Container}, {"trace", traceID(r.Trace)},
	} {
		if field.value != "" {
			event = event.Str(field.name, field.value)
		}
	}
	event.Str("outcome", r.Outcome()).Dur("queue", r.Queue).Dur("run", r.Run).Msg("call")
}

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
func (p *peer) traceOf(named *traceparent) string {
	if named != nil && *named != "" {
		return string(*named)
	}
	return p.trace
}
