package containers

import (
	"context"
	"io"
	"time"
)

// A Process is a started agent, with its standard streams or a replacement of them. Drivers make Processes.
//
// One goroutine calls Read, and another one calls Write. Any goroutine may call Kill, which makes both return. At its end
// Read may return an error that says how the agent ended, in place of io.EOF.
type Process interface {
	io.Reader
	io.Writer

	// ID returns the name of the process in logs, which is also its name in the driver's tools.
	ID() string

	// Kill ends the process and waits until nothing of it is left. A second call waits for the first and returns the same
	// error.
	Kill() error
}

// A Meter is a Process that knows how much processor time all of it has used so far. The processor time distinguishes a slow
// agent from a dead one.
type Meter interface {
	CPU(ctx context.Context) (time.Duration, error)
}

// A Piped is a Process whose Read and Write use pipes or sockets. The link may use these directly, which takes fewer system
// calls.
type Piped interface {
	// Pipes returns what to read from and write to in place of the process from now on. read is nil if the link has to call
	// Read of the process, and write is nil if it has to call Write. Pipes is called once, when the link has consumed all
	// bytes that Read has taken in. After the end of read, Read of the process returns the reason.
	//
	// A read of a pipe may miss the end of the pipe if the last bytes come at the same moment (see nonblock.Read). So ended,
	// if not nil, is closed when the agent seems to have ended. The link then looks for the end of read.
	Pipes() (read Pipe, write io.Writer, ended <-chan struct{})
}

// A Pipe is an *os.File of a pipe, or a net.Conn.
type Pipe interface {
	io.Reader
	SetReadDeadline(time.Time) error
}
