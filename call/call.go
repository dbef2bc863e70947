// Package call holds the words that the parts of the daemon share: a call, what it comes to, and the codes of
// everything that can go wrong. It imports nothing of the house, so every other package may import it.
//
//	rpc ── *Call ──► scheduler ── *Call ──► containers ── frame ──► agent
//	 ▲                  │                       │
//	 └──── Done ◄───────┴─────── Done ◄─────────┘      Result, or an error: *Failure, *LostError, *BusyError, ErrNoSession
//
// A call is started, not waited for: Start returns at once, and Done is called with the outcome, exactly once.
package call

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// A Call is one script to run, as the agent gets it. The daemon has checked its shape; the agent checks only what
// needs a JavaScript engine. A Call does not change after it was started.
type Call struct {
	// Script is a JSON object with the fields code, globals, call, caller, args, files, file, language and secrets of
	// protocol.md. It is passed on byte by byte, so that nothing a client wrote is lost.
	Script json.RawMessage

	Bundle *Bundle // its files are the script's; nil: the script brings its own

	// Timeout bounds the wall time from evaluation to value, CPU the processor time of the worker in the same span.
	// The agent applies the first within some 10 ms and the second within some 30. The link has a later deadline of
	// its own, for agents that do not.
	Timeout time.Duration
	CPU     time.Duration

	Memory    int    // MiB that the call may take; 0: as much as its container has
	Stats     bool   // whether the result says CPU
	Execution string // the name of the call in the daemon's log

	OneShot bool // a container for this call alone; the scheduler sees to it

	Stream    bool     // each console line also goes to Client.Print when it is printed
	Callbacks []string // names that the script may call as host.NAME; no other name reaches Client.Callback
	Client    Client   // nil: Stream is false and Callbacks is empty

	Network Network // what the script connects through; nil: its connections are refused
}

// A Client is the part of a script's client that the script reaches while it runs.
type Client interface {
	// Print takes a line of the console: in order, within the console's limits, and before the call is done. It must
	// not wait.
	Print(level, text string)

	// Callback answers host.NAME(...args) with JSON, or with an error that rejects the script's promise. A
	// *CallbackError reaches the script as it is, any other error without its text. Callback runs in a goroutine of
	// its own, which the call waits for. It ends soon after ctx does, and ctx ends with the call.
	Callback(ctx context.Context, name string, args json.RawMessage) (json.RawMessage, error)
}

// A CallbackError is a client's answer to a callback in place of a value. The script's promise rejects with an Error
// that has these fields.
type CallbackError struct {
	Message string
	Code    int64
	Data    json.RawMessage // JSON, or nil
}

func (e *CallbackError) Error() string { return fmt.Sprintf("callback: %d %s", e.Code, e.Message) }

// A Network opens connections for a script.
type Network interface {
	// Dial connects to a host, whose name may be anything of up to 255 characters, and a port from 1 to 65535. It runs
	// in a goroutine of its own, and ends soon after ctx does: when the script gives the connection up, or its call
	// ends. A *DialError reaches the script as it is, any other error without its text. The
	// caller closes the connection. Where the connection has CloseWrite, the caller calls it behind the script's last byte.
	Dial(ctx context.Context, host string, port int) (net.Conn, error)
}

// A DialError says why there is no connection. Code is one of Node's, such as ECONNREFUSED.
type DialError struct {
	Code    string
	Message string
}

func (e *DialError) Error() string { return e.Message }

// A Bundle is a source tree that calls name instead of bringing it. Its ID stands for its content.
type Bundle struct {
	ID    string            // not empty, unique among the bundles of one container
	Parts []json.RawMessage // JSON objects from path to source; a later part wins; not to be changed
	Size  int               // bytes of all parts
}

// Done takes the outcome of a call: a result, or an error. It is called exactly once, by any goroutine, perhaps before
// the Start that it was given to returns. It must not wait, since the goroutine may be the reader of a container. The
// caller of Start therefore holds no lock that Done takes. Beside an error the result still says Container, Queue and Cold,
// as far as the call came.
type Done func(Result, error)

// Running is a call that was started.
type Running interface {
	// Cancel asks for the end of the call and does not wait. Done is then called soon, with a Failure that has the code
	// Cancelled, unless an outcome was on its way already. Cancel may be called at any time and more than once.
	Cancel()
}

// A Session is a context that lives on between calls. Its methods may be called from any goroutine.
type Session interface {
	// Start runs a call in the context. A session has one call in flight: rpc keeps the order, and starts the next call when
	// the one before is done. A second one is refused as a bug. Of job.Script the session takes code, call, args and
	// caller. The errors are those of a call without a session, and ErrNoSession once the session has ended. A call that
	// is cancelled, overruns or runs out of memory ends the session.
	Start(job *Call, done Done) Running

	Done() <-chan struct{} // closed when the session has ended, for whatever reason
	Close()                // ends it, with the call that runs; idempotent, does not wait
}

// A Result is what a script that came to a value left.
type Result struct {
	Value   json.RawMessage // valid JSON
	Console []string
	Time    int64 // whole milliseconds from evaluation to value

	CPU       time.Duration // where the call asked for Stats; a claim of the agent's
	Container string        // the ID of the container
	Queue     time.Duration // the wait for a container; set by the scheduler
	Cold      bool          // the container's first call; set by the scheduler
}
