package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A reply is what a request comes to: a result, or an error.
type reply struct {
	result json.RawMessage
	err    *replyError
}

// A replyError is an error as clients see it.
type replyError struct {
	Code    int64
	Message string
	Data    json.RawMessage // nil: none
}

func (e *replyError) Error() string { return e.Message }

// A refusal is an answer of this package's own making.
type refusal struct {
	code    call.Code
	message string
	reason  string // for the log; may be empty
	data    details
}

func (r *refusal) Error() string {
	if r.reason != "" {
		return r.message + ": " + r.reason
	}
	return r.message
}

// refuse makes a refusal with the message of its code.
func refuse(code call.Code, data details) *refusal {
	return &refusal{code: code, message: code.Message(), data: data}
}

func invalidRequest(why string) error {
	return &refusal{code: call.InvalidRequest, message: call.InvalidRequest.Message() + ": " + why}
}

func invalidParams(why string) error {
	return &refusal{code: call.InvalidParams, message: call.InvalidParams.Message() + ": " + why}
}

func forbidden(what string) error { return refuse(call.Forbidden, details{What: what}) }

func busy(reason string, retryAfter time.Duration) error {
	r := refuse(call.Busy, details{RetryAfter: milliseconds(retryAfter)})
	r.reason = reason
	return r
}

func beyond(limit string) *refusal { return refuse(call.LimitExceeded, details{Limit: limit}) }

var (
	errBatchReply      = beyond("batch")
	errBundleLimit     = beyond("bundle")
	errConnectionLimit = beyond("connections")
	errExpired         = forbidden("credential")
	errFrameLimit      = beyond("frame")
	errKeptLimit       = beyond("kept")
	errSessionLimit    = beyond("sessions")
	errParse           = refuse(call.ParseError, details{})
	errCancelled       = refuse(call.Cancelled, details{})
	errNotFound        = refuse(call.NotFound, details{})
	errInternal        = refuse(call.InternalError, details{})
	errMethodNotFound  = refuse(call.MethodNotFound, details{})
)

// details is the data of an error. What is empty is left out, and so is data that is all empty.
type details struct {
	What       string   `json:"what,omitempty"`
	Limit      string   `json:"limit,omitempty"`
	RetryAfter *int64   `json:"retryAfter,omitempty"` // ms
	Started    *bool    `json:"started,omitempty"`
	Message    string   `json:"message,omitempty"`
	Stack      string   `json:"stack,omitempty"`
	Console    []string `json:"console,omitempty"`
}

// failureDetails is the data of an error that a script brought about. The message of what was thrown is for exceptions alone:
// that of a missing function, which is the name that was called, is no news to the client.
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

// wireError is what a client gets for err, the only place where this is decided.
func wireError(err error) *replyError {
	var (
		told    *replyError
		own     *refusal
		failure *call.Failure
		lost    *call.LostError
		busy    *call.BusyError
	)
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, call.ErrNoSession):
		return wireError(errNotFound)
	case errors.As(err, &own):
		return newError(own.code, own.message, own.data)
	case errors.As(err, &failure) && failure.Code.FromAgent():
		message := failure.Code.Message()
		if failure.Code == call.Exception {
			message = failure.Name
		}
		return newError(failure.Code, message, failureDetails(failure))
	case errors.As(err, &lost):
		return newError(call.Lost, call.Lost.Message(), details{Started: &lost.Started})
	case errors.As(err, &busy):
		return newError(call.Busy, call.Busy.Message(), details{RetryAfter: milliseconds(busy.RetryAfter)})
	}
	return wireError(errInternal)
}

// causeOf is err, or 1003 where all that err says is that ctx ended: only a client ends it.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errCancelled
	}
	return err
}

func newError(code call.Code, message string, data details) *replyError {
	e := &replyError{Code: int64(code), Message: message}
	if raw := json.RawMessage(appendJSON(nil, data)); string(raw) != "{}" {
		e.Data = raw
	}
	return e
}

// milliseconds rounds up: a client must not come too early.
func milliseconds(d time.Duration) *int64 {
	ms := int64(math.Ceil(float64(max(d, 0)) / float64(time.Millisecond)))
	return &ms
}
