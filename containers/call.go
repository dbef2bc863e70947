package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Call is one script to run, as the agent gets it. The daemon has checked its shape; the agent
// checks nothing but what only a JavaScript engine can.
type Call struct {
	// Script is a JSON object with the fields code, globals, call, caller, args, files, file, language
	// and secrets of protocol.md. It is passed on as it is, so that nothing a client wrote is lost.
	Script json.RawMessage

	Bundle *Bundle // its files are the script's; nil: the script brings its own

	// Timeout bounds wall time from evaluation to value, CPU the processor time of the worker in
	// the same span. The agent applies the first within some 10 ms and the second within some 30;
	// the link has a later deadline of its own, for agents that do not.
	Timeout time.Duration
	CPU     time.Duration

	Memory    int    // MiB that the call may take; 0: as much as its container has
	Stats     bool   // whether the result says CPU
	Execution string // what the daemon calls it in logs; nothing here depends on it

	Once bool // a container for this call alone; the scheduler's to see to

	Stream    bool     // the console goes to Host.Print, too, as it is printed
	Callbacks []string // names that the script may call as host.NAME; nothing else reaches Host.Callback
	Host      Host     // nil: Stream and Callbacks are empty

	Network Network // what the script connects through, in a container that has Limits.Streams; nil: it is refused
}

// A Host is what a script reaches of its client while it runs.
type Host interface {
	// Print takes a line of the console: in order, within the console's limits, and before the call's
	// Execute returns. It must not wait.
	Print(level, text string)

	// Callback answers host.NAME(...args) with JSON, or with an error that rejects the script's
	// promise: a *CallbackError as it is, any other without its text. It is called in a goroutine of
	// its own, which is waited for, and has to end soon after ctx does: when the call ends.
	Callback(ctx context.Context, name string, args json.RawMessage) (json.RawMessage, error)
}

// A CallbackError is what a client answered a callback with instead of a value. The script's promise
// rejects with an Error that has these.
type CallbackError struct {
	Message string
	Code    int64
	Data    json.RawMessage // JSON, or nil
}

func (e *CallbackError) Error() string { return fmt.Sprintf("callback: %d %s", e.Code, e.Message) }

// A Session is a context that lives on between calls. Its methods may be called from any goroutine.
type Session interface {
	// Execute runs a call in the context, behind those before it: its Timeout counts from its turn, and
	// one given up before that costs nothing. Of call.Script it takes code, call, args and caller.
	// Errors are those of Container.Execute, and ErrNoSession once the session has ended. A call that
	// is cancelled, overruns or runs out of memory ends the session.
	Execute(ctx context.Context, call Call) (Result, error)

	Done() <-chan struct{} // closed when the session has ended, for whatever reason
	Close()                // ends it, with the call that runs; idempotent, does not wait
}

// ErrNoSession is the answer to a call in a session that has ended.
var ErrNoSession = errors.New("the session has ended")

// A Bundle is a folder of sources that calls name instead of bringing it. Its ID stands for its content.
type Bundle struct {
	ID    string            // not empty, unique among the bundles of one container
	Parts []json.RawMessage // JSON objects from path to source; later ones win; not to be changed
	Size  int               // bytes of all parts
}

// A Result is what a script that came to a value left.
type Result struct {
	Value   json.RawMessage // valid JSON
	Console []string
	Time    int64 // whole milliseconds from evaluation to value

	CPU       time.Duration // where the call asked for Stats; a claim of the agent's
	Container string        // the ID of the container; set by Execute
	Queue     time.Duration // waited for a container; set by the scheduler
	Cold      bool          // the container's first call; set by the scheduler
}

// Code numbers an outcome that is not a value. The numbers are those of protocol.md.
type Code int

const (
	Exception       Code = 1000
	NotImplemented  Code = 1001
	Timeout         Code = 1002
	Cancelled       Code = 1003
	LimitExceeded   Code = 1004
	NotSerializable Code = 1008
)

// A Failure is an outcome that the script itself (or its client, by cancelling) brought about:
// the container lives on.
type Failure struct {
	Code    Code
	Name    string   // Exception: the error's name, or the thrown string
	Message string   // Exception: the error's message
	Stack   string   // the script's own frames
	Limit   string   // Timeout: wall or cpu; LimitExceeded: which
	Console []string // what was printed before
}

func (f *Failure) Error() string {
	return fmt.Sprintf("script failed: %d %s %s", f.Code, f.Name, f.Limit)
}

// A LostError says that the container died under a call. Started is false only where the script
// certainly never began, so that the call may safely be made again.
type LostError struct {
	Started bool
	Cause   error
}

func (e *LostError) Error() string { return fmt.Sprintf("container lost: %v", e.Cause) }
func (e *LostError) Unwrap() error { return e.Cause }

// ErrClosed is the cause in a LostError of calls that met a container closed on purpose.
var ErrClosed = errors.New("container closed")
