package rpc

import (
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// A refusal is an error that this package makes by itself, with its code and data on the wire.
type refusal struct {
	code   call.Code
	reason string // for the log; may be empty
	data   details
}

func (r *refusal) Error() string {
	if r.reason != "" {
		return r.code.Message() + ": " + r.reason
	}
	return r.code.Message()
}

func refuse(code call.Code, data details) *refusal { return &refusal{code: code, data: data} }

func forbidden(what string) error { return refuse(call.Forbidden, details{What: what}) }

func busy(reason string, retryAfter time.Duration) error {
	r := refuse(call.Busy, details{RetryAfter: milliseconds(retryAfter)})
	r.reason = reason
	return r
}

func beyond(limit string) *refusal { return refuse(call.LimitExceeded, details{Limit: limit}) }

func invalidParams(why string) error { return message.InvalidParams(why) }

var (
	errBatchReply      = beyond("batch")
	errBundleLimit     = beyond("bundle")
	errConnectionLimit = beyond("connections")
	errExpired         = forbidden("credential")
	errFrameLimit      = beyond("frame")
	errRetainedLimit   = beyond("kept")
	errSessionLimit    = beyond("sessions")
	errCancelled       = refuse(call.Cancelled, details{})
	errNotFound        = refuse(call.NotFound, details{})
	errMethodNotFound  = refuse(call.MethodNotFound, details{})
)

// details is the data of an error. Empty fields are left out. An error with empty details has no data.
type details struct {
	What       string   `json:"what,omitempty"`
	Limit      string   `json:"limit,omitempty"`
	RetryAfter *int64   `json:"retryAfter,omitempty"` // ms
	Started    *bool    `json:"started,omitempty"`
	Message    string   `json:"message,omitempty"`
	Stack      string   `json:"stack,omitempty"`
	Console    []string `json:"console,omitempty"`
}

// failureDetails is the data of an error that a script brought about.
func failureDetails(f *call.Failure) details {
	switch f.Code {
	case call.Exception:
		return details{Stack: f.Stack, Console: f.Console, Message: f.Message}
	case call.NotSerializable:
		return details{Stack: f.Stack, Console: f.Console}
	case call.Timeout, call.LimitExceeded:
		return details{Limit: f.Limit, Console: f.Console}
	case call.Cancelled:
		return details{Console: f.Console}
	default:
		return details{}
	}
}

// wireError returns the error that a client gets for err. An error that is not known here is internal: the daemon logs it, and the client gets
// InternalError.
func wireError(err error) *message.Error {
	var (
		told    *message.Error
		own     *refusal
		failure *call.Failure
		lost    *call.LostError
		busy    *call.BusyError
	)
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, call.ErrNoSession):
		return newError(call.NotFound, details{})
	case errors.As(err, &own):
		return newError(own.code, own.data)
	case errors.As(err, &failure) && failure.Code.FromAgent():
		e := newError(failure.Code, failureDetails(failure))
		if failure.Code == call.Exception {
			e.Message = failure.Name
		}
		return e
	case errors.As(err, &lost):
		return newError(call.Lost, details{Started: &lost.Started})
	case errors.As(err, &busy):
		return newError(call.Busy, details{RetryAfter: milliseconds(busy.RetryAfter)})
	default:
		return newError(call.InternalError, details{})
	}
}

func newError(code call.Code, data details) *message.Error {
	raw := json.RawMessage(message.AppendJSON(nil, data))
	if string(raw) == "{}" {
		raw = nil
	}
	return message.NewError(code, code.Message(), raw)
}

// milliseconds rounds up, so that a client does not retry too early.
func milliseconds(d time.Duration) *int64 {
	ms := int64(math.Ceil(float64(max(d, 0)) / float64(time.Millisecond)))
	return &ms
}
