package containers

import (
	"context"
	"io"
	"time"
)

// A Process is a started agent: its stdio, or what stands for it, and its end. Drivers make them.
//
// Read is called by one goroutine and Write by another; Kill by any, and it makes both return. Read
// may return, in place of io.EOF, an error that tells more of how the agent ended.
type Process interface {
	io.Reader
	io.Writer

	// ID names the process in logs, as the driver's own tools name it.
	ID() string

	// Kill ends the process and waits until nothing of it is left. Further calls wait for the
	// first and return the same.
	Kill() error
}

// A Meter is a Process that can tell how much processor time all of it has used so far. That tells an
// agent that is slow to answer from one that is dead.
type Meter interface {
	CPU(ctx context.Context) (time.Duration, error)
}

// A Piped is a Process under whose Read and Write there are pipes or sockets that the link may use itself, which costs fewer
// system calls. Nobody else reads or writes them then.
type Piped interface {
	// Pipes gives what to read and to write, or nil and nil where there is nothing but Read and Write. It is called once,
	// when Read has given all that it took.
	//
	// A read of a pipe may miss its end where the last bytes come at the same moment (see nonblock.Read). The process sees to
	// it that the read deadline of what it gave is then set to the past, once. When what it gave has ended, Read says why.
	Pipes() (io.Reader, io.Writer)
}
