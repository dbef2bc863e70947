package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/jsd-project/jsd/containers"
)

// Codes of the daemon's own, beside those of package containers and of JSON-RPC.
const (
	codeLost      containers.Code = 1005
	codeBusy      containers.Code = 1006
	codeForbidden containers.Code = 1007
	codeNotFound  containers.Code = 1009
)

// Codes of JSON-RPC itself, by its specification.
const (
	codeParseError     = -32700
	codeInvalidRequest = -32600
	codeMethodNotFound = -32601
	codeInvalidParams  = -32602
	codeInternalError  = -32603
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

// Busy is an error that says when to come again. What a Runner returns may be one.
type Busy interface {
	error
	RetryAfter() time.Duration
}

// A refusal is an answer of this package's own making.
type refusal struct {
	code    int64
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

func invalidRequest(why string) error {
	return &refusal{code: codeInvalidRequest, message: "Invalid Request: " + why}
}

func invalidParams(why string) error {
	return &refusal{code: codeInvalidParams, message: "Invalid params: " + why}
}

func forbidden(what string) error {
	return &refusal{code: int64(codeForbidden), message: "Forbidden", data: details{What: what}}
}

func busy(reason string, retryAfter time.Duration) error {
	return &refusal{code: int64(codeBusy), message: "Busy", reason: reason, data: details{RetryAfter: milliseconds(retryAfter)}}
}

func beyond(limit string) *refusal {
	return &refusal{code: int64(containers.LimitExceeded), message: "Limit exceeded", data: details{Limit: limit}}
}

var (
	errBatchReply      = beyond("batch")
	errBundleLimit     = beyond("bundle")
	errConnectionLimit = beyond("connections")
	errExpired         = forbidden("credential")
	errFrameLimit      = beyond("frame")
	errKeptLimit       = beyond("kept")
	errSessionLimit    = beyond("sessions")
	errParse           = &refusal{code: codeParseError, message: "Parse error"}
	errCancelled       = &refusal{code: int64(containers.Cancelled), message: "Cancelled"}
	errNotFound        = &refusal{code: int64(codeNotFound), message: "Not found"}
	errInternal        = &refusal{code: codeInternalError, message: "Internal error"}
	errMethodNotFound  = &refusal{code: codeMethodNotFound, message: "Method not found"}
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

// failures is how the outcome of a script looks on the wire. Where message is empty, it is the name
// of what was thrown.
var failures = map[containers.Code]struct {
	message string
	data    func(*containers.Failure) details
}{
	containers.Exception: {"", func(f *containers.Failure) details {
		return details{Stack: f.Stack, Console: f.Console, Message: f.Message}
	}},
	containers.NotImplemented: {"Not implemented", func(*containers.Failure) details {
		return details{}
	}},
	containers.Timeout: {"Timeout", func(f *containers.Failure) details {
		return details{Limit: f.Limit, Console: f.Console}
	}},
	containers.Cancelled: {"Cancelled", func(f *containers.Failure) details {
		return details{Console: f.Console}
	}},
	containers.LimitExceeded: {"Limit exceeded", func(f *containers.Failure) details {
		return details{Limit: f.Limit, Console: f.Console}
	}},
	containers.NotSerializable: {"Not serializable", func(f *containers.Failure) details {
		return details{Stack: f.Stack, Console: f.Console}
	}},
}

// wireError is what a client gets for err, the only place where this is decided.
func wireError(err error) *replyError {
	var (
		told    *replyError
		own     *refusal
		failure *containers.Failure
		lost    *containers.LostError
		full    Busy
	)
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, containers.ErrNoSession):
		return wireError(errNotFound)
	case errors.As(err, &own):
		return newError(own.code, own.message, own.data)
	case errors.As(err, &failure):
		if row, ok := failures[failure.Code]; ok {
			message := row.message
			if message == "" {
				message = failure.Name
			}
			return newError(int64(failure.Code), message, row.data(failure))
		}
	case errors.As(err, &lost):
		return newError(int64(codeLost), "Sandbox lost", details{Started: &lost.Started})
	case errors.As(err, &full):
		return newError(int64(codeBusy), "Busy", details{RetryAfter: milliseconds(full.RetryAfter())})
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

func newError(code int64, message string, data details) *replyError {
	e := &replyError{Code: code, Message: message}
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
