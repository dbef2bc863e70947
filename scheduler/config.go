package scheduler

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

// ErrClosed is the answer to calls before Open and from the moment Close is called.
var ErrClosed = errors.New("shutting down: no new calls")

// Container is what the scheduler needs of a started container.
type Container interface {
	ID() string

	// Start runs a call, and OpenSession a call that opens a session. Both are called without the scheduler's mutex, and call
	// done exactly once, perhaps before they return.
	Start(job *call.Call, done call.Done) call.Running
	OpenSession(job *call.Call, done func(call.Session, call.Result, error)) call.Running

	Done() <-chan struct{} // closed as soon as the container has died or was closed
	Close() error          // ends the container with its calls and sessions, and waits until nothing of it is left; idempotent
}

// Start starts a container and returns it when it is ready for calls. ctx bounds the start only: it ends when Start returns.
// The container may serve tenants whose Policy.Profile is the given one. A Start that fails leaves nothing behind.
type Start func(ctx context.Context, profile string) (Container, error)

// Config is read once, by New. Where a default is named, zero stands for it.
type Config struct {
	Start Start

	// Policy tells what a tenant may have; nil gives every tenant the defaults. The scheduler calls it when a tenant comes
	// that has neither containers nor waiting calls, and again in Update; in between its answer holds. The tenant without
	// a name stands for tenants to come: spares have its profile, which is the default one, and its MaxAge. Policy is
	// called with a mutex held, so it must answer at once.
	Policy func(tenant string) Policy

	// These hold for the containers of all profiles together.
	Min   int // containers that exist at any time, as far as Max allows
	Max   int // upper bound, with containers that are being started or closed; at least 1
	Spare int // containers of the default profile that are kept ready for tenants to come, as far as Max allows

	// TimeSlice is how long a tenant keeps a container that is never idle while other tenants wait for a place. Then the
	// container gets no new calls, and is closed after the ones it has. Default 2 s, which is several times what a start
	// costs. Without it Max busy tenants would shut out all others. A container with sessions is exempt; its time slice
	// begins when the last session ends.
	TimeSlice time.Duration

	QueueAll int // waiting calls of all tenants; default 10,000

	Starts    int           // concurrent starts, of all profiles; default 2. With 1, starts that hang in one profile hold up all
	StartTime time.Duration // a start that takes longer has failed; default 1 min

	Log zerolog.Logger
}

func (c Config) withDefaults() Config {
	c.Max = max(c.Max, 1)
	if c.Policy == nil {
		c.Policy = func(string) Policy { return Policy{} }
	}
	c.TimeSlice = cmp.Or(c.TimeSlice, 2*time.Second)
	c.QueueAll = cmp.Or(c.QueueAll, 10000)
	c.Starts = cmp.Or(c.Starts, 2)
	c.StartTime = cmp.Or(c.StartTime, time.Minute)
	return c
}

// Policy is what one tenant may have. Where a default is named, zero stands for it.
type Policy struct {
	Profile string // of its containers; Start gets it

	Containers  int // at once, besides the ones for one-shot calls; default 1
	Concurrency int // concurrent calls in one container, for the container's whole life; default 8
	Weight      int // the tenant's share of containers, relative to other tenants that wait for one; default 1

	Queue     int           // waiting calls, with calls in sessions; one-shot calls have as many again; default 1,000
	QueueTime time.Duration // a call waits no longer; default 30 s

	Rate  float64 // calls that may begin in a second, with calls in sessions; 0: any number
	Burst int     // calls that may begin at once after a pause; default Rate, at least 1

	IdleTimeout time.Duration // a container without calls is closed after this time; 0: never
	MaxAge      time.Duration // a container is replaced after this time, or up to a tenth earlier; 0: never
	MaxCalls    int           // a container gets no more calls than this; 0: any number; 1: all calls are one-shot calls
}

func (p Policy) withDefaults() Policy {
	p.Containers = cmp.Or(p.Containers, 1)
	p.Concurrency = cmp.Or(p.Concurrency, 8)
	p.Weight = cmp.Or(p.Weight, 1)
	p.Queue = cmp.Or(p.Queue, 1000)
	p.QueueTime = cmp.Or(p.QueueTime, 30*time.Second)
	p.Burst = cmp.Or(p.Burst, max(1, int(min(math.Ceil(p.Rate), math.MaxInt32))))
	return p
}
