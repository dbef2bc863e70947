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
