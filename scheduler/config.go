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

// ErrClosed is the error of calls before Open, and of calls after Close was called.
var ErrClosed = errors.New("shutting down: no new calls")

// Container is a started container, as far as the scheduler uses it.
type Container interface {
	ID() string

	// Start runs a call. OpenSession runs a call that opens a session. The scheduler calls both without its mutex. They call
	// done exactly once, which may be before they return.
	Start(job *call.Call, done call.Done) call.Running
	OpenSession(job *call.Call, done func(call.Session, call.Result, error)) call.Running

	Done() <-chan struct{} // closed as soon as the container has died or was closed
	Close() error          // ends the container, its calls and its sessions, and waits until nothing of it is left; idempotent
}

// Start starts a container and returns it when it is ready for calls. It starts the given profile, which is the
// Policy.Profile of the tenants that the container may serve. ctx ends when Start returns, so it bounds the start only. A
// Start that fails leaves nothing behind.
type Start func(ctx context.Context, profile string) (Container, error)

// Config is read once, by New. Zero stands for the default where a field has one.
type Config struct {
	Start Start

	// Policy returns what a tenant may have. If it is nil, every tenant has the defaults. The scheduler calls it when it
	// adds a tenant to its table, that is when a call comes of a tenant that has neither containers nor waiting calls, and
	// again in Update. In between it keeps the returned value. The tenant without a name stands for new tenants: spares have
	// its profile, which is the default profile, and its MaxAge. Policy is called with a mutex held, so it must not wait.
	Policy func(tenant string) Policy

	// Limits for the containers of all profiles together.
	Min   int // containers that exist at any time, as far as Max allows
	Max   int // upper bound, with containers that are being started or closed; at least 1
	Spare int // containers of the default profile that are kept ready for tenants to come, as far as Max allows

	// TimeSlice is how long a tenant keeps a container that is never idle while other tenants wait for a place. After that
	// time the container gets no new calls and is closed when its calls have ended. Without a time slice, Max busy tenants
	// would shut out all others. Default 2 s, which is several times the cost of a start. A container with sessions is
	// exempt; its time slice begins when the last session ends.
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

// Policy is what one tenant may have. Zero stands for the default where a field has one.
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
