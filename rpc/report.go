package rpc

import (
	"errors"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

// A Report says how a call of runtime.execute or runtime.open went. It has no part of the script, its arguments or its value.
type Report struct {
	Method    string
	Tenant    string // empty: the params could not be decoded
	Execution string // the name of the execution; empty: the call was refused before it had one
	Code      int64  // of the error; 0: the call returned a value
	Fault     bool   // the error is a fault of the daemon or its engine

	Began     time.Time
	Queue     time.Duration // the wait for a slot in a container, and for the call's turn in its session
	Run       time.Duration // from the end of Queue to the end of the call; 0: it never had a slot
	Container string        // ID of the container; empty: the call never had a slot
	Cold      bool          // it was the first call of the container
	Session   bool          // it ran in a session

	Trace string // traceparent of the client; empty: none
}

// Outcome returns the code as text, or "ok" for a value.
func (r *Report) Outcome() string {
	if r.Code == 0 {
		return "ok"
	}
	return strconv.FormatInt(r.Code, 10)
}

// A reporter passes the Report of each call to the log and to Config.Observe.
type reporter struct {
	log     zerolog.Logger
	observe func(Report) // or nil
}

// refused reports a call that was refused before it ran.
func (r *reporter) refused(method, tenant, trace string, err error) {
	r.report(Report{Method: method, Tenant: tenant, Trace: trace, Began: time.Now()}, err)
}

// report reports a call that ended with err, or with a value if err is nil.
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

// isFault reports whether an error is a fault of the daemon or its engine. The loss of a container that was closed on purpose is none.
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

// logCall writes the log line of a call. It leaves out the text of a failure, which is the script's own.
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
		event = event.Str("reason", err.Error()) // the bound that the call met
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
