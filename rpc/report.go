package rpc

import (
	"errors"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
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

// A reporter tells of calls: the log, and whoever observes.
type reporter struct {
	log     zerolog.Logger
	observe func(Report) // nil: nobody
}

// refused tells of a call that ended before it ran.
func (r *reporter) refused(method, tenant, trace string, err error) {
	r.report(Report{Method: method, Tenant: tenant, Trace: trace, Began: time.Now()}, err)
}

// report tells of a call.
func (r *reporter) report(report Report, err error) {
	if err != nil {
		report.Code = wireError(err).Code
		report.Fault = isFault(report.Code, err)
	}
	r.logCall(&report, err)
	if r.observe != nil {
		r.observe(report)
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
func (r *reporter) logCall(report *Report, err error) {
	level := zerolog.InfoLevel
	if report.Fault {
		level = zerolog.ErrorLevel
	}
	event := r.log.WithLevel(level)
	switch {
	case report.Fault:
		event = event.Err(err)
	case report.Code == int64(call.Busy):
		event = event.Str("reason", err.Error()) // which bound it met
	}
	event = event.Str("method", report.Method)
	for _, field := range [...]struct{ name, value string }{
		{"tenant", report.Tenant}, {"execution", report.Execution}, {"container", report.Container}, {"trace", traceID(report.Trace)},
	} {
		if field.value != "" {
			event = event.Str(field.name, field.value)
		}
	}
	event.Str("outcome", report.Outcome()).Dur("queue", report.Queue).Dur("run", report.Run).Msg("call")
}
