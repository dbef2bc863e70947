package containers

import (
	"cmp"
	"time"
)

const (
	// MaxFrame bounds the payload of a frame to the agent, in bytes: the largest frame of a client
	// by default, and room for what encoding adds to it.
	MaxFrame = 17 << 20

	// HeaderRoom bounds the header of a frame to the daemon without its console, in bytes.
	HeaderRoom = 1 << 20

	// maxStreams bounds the streams of a container at once, unless one call may have more.
	maxStreams = 256
)

// Limits bound what one container may do. They are fixed for its life.
type Limits struct {
	Concurrency  int // calls at once
	Workers      int // processes that run scripts, kept ready
	Heap         int // MiB of JavaScript heap for one worker
	Memory       int // MiB for the whole container
	Result       int // bytes of a value's JSON
	ConsoleLines int
	ConsoleBytes int
	Modules      []string // built-in modules that scripts may load; nil: the agent's default list
	Streams      int      // connections of one call at once; 0: scripts have none, nor the modules that make them

	Liveness Liveness // when a silent agent is ended
}

// Liveness says when a silent agent is ended. Zero values stand for the defaults.
type Liveness struct {
	Interval time.Duration // of silence, after which the agent is sent a ping; default 10 s
	Patience time.Duration // for the pong, before the container's processor time is looked at; default 10 s
	Window   time.Duration // in which a container that is not dead uses some of it; default 5 s
	Silence  time.Duration // that ends a container without calls, however much it uses; default 60 s
}

func (l Liveness) withDefaults() Liveness {
	return Liveness{
		Interval: cmp.Or(l.Interval, 10*time.Second),
		Patience: cmp.Or(l.Patience, 10*time.Second),
		Window:   cmp.Or(l.Window, 5*time.Second),
		Silence:  cmp.Or(l.Silence, time.Minute),
	}
}

// concurrency is the number of calls that the agent may be at.
func (l *Limits) concurrency() int { return max(1, l.Concurrency) }

// streamsAtOnce is the number of streams that all calls together may have: each call may have l.Streams, within reason.
func (l *Limits) streamsAtOnce() int {
	return min(l.Streams*l.concurrency(), max(l.Streams, maxStreams))
}

// headerLimit is the number of bytes that a header to the daemon may take: the console at twice its limit, which is what an
// agent holds at most whatever its workers do, with every byte escaped, and the other fields.
func (l *Limits) headerLimit() int { return HeaderRoom + 12*l.ConsoleBytes + 8*l.ConsoleLines }

// frameLimit is the number of bytes that the payload of a frame to the daemon may take.
func (l *Limits) frameLimit() int { return l.headerLimit() + 1 + l.Result }
