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
// system calls.
type Piped interface {
	// Pipes gives what to read from and to write to in place of the process, from then on. Read is nil where only Read of the
	// process will do, write where only Write will. It is called once, when Read has given all that it took. When read has
	// ended, Read of the process says why.
	//
	// A read of a pipe may miss its end where the last bytes come at the same moment (see nonblock.Read). So ended, if it is
	// not nil, is closed when the agent seems to have ended, and the link then looks for the end of read.
	Pipes() (read Pipe, write io.Writer, ended <-chan struct{})
}

// A Pipe is an *os.File of a pipe, or a net.Conn.
type Pipe interface {
	io.Reader
	SetReadDeadline(time.Time) error
}
