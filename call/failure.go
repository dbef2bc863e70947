package call

import (
	"errors"
	"fmt"
	"time"
)

// A Failure is an outcome that the script itself, or its client by cancelling, brought about. The container lives on.
type Failure struct {
	Code    Code
	Name    string   // Exception: the error's name, or the thrown string
	Message string   // Exception: the error's message
	Stack   string   // the script's own frames
	Limit   string   // Timeout: wall or cpu; LimitExceeded: which
	Console []string // the lines printed before
}

func (f *Failure) Error() string {
	return fmt.Sprintf("script failed: %d %s %s", f.Code, f.Name, f.Limit)
}

// A LostError says that the container died under a call. Started is false only where the script certainly never began, so
// that the call may safely be made again.
type LostError struct {
	Started bool
	Cause   error
}

func (e *LostError) Error() string { return fmt.Sprintf("container lost: %v", e.Cause) }
func (e *LostError) Unwrap() error { return e.Cause }

// A BusyError says that a call was not started, because too many calls wait or because it waited too long. Cause is for the
// log, not for clients: the error of the last start, while containers do not start.
type BusyError struct {
	Reason     string        // which bound the call met
	RetryAfter time.Duration // an estimate of when the same call would find room
	Cause      error         // nil: none
}

func (e *BusyError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("busy: %s: containers do not start: %v", e.Reason, e.Cause)
	}
	return "busy: " + e.Reason
}

func (e *BusyError) Unwrap() error { return e.Cause }

// ErrClosed is the cause in a LostError of a call whose container was closed on purpose.
var ErrClosed = errors.New("container closed")

// ErrNoSession is the answer to a call in a session that has ended.
var ErrNoSession = errors.New("the session has ended")
