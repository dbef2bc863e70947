// Package scheduler decides which container runs which call.
//
// A container belongs to one tenant for life. Spares belong to nobody yet and wait ready. Each container
// is of a class, such as those of one image, and serves tenants of that class only.
//
//	Run ──┬─ the tenant's container has a free slot ──────────┬─► Execute ─► release ─┬─► next waiter
//	      ├─ a spare of its class becomes the tenant's ───────┤                       └─► idle
//	      └─ waits in its tenant's queue ── is granted a slot ┘
//	                │                            ▲
//	                └─ a tenant without a container waits in the turns of its class, too:
//	                   balance gives the first one a spare, starts containers of the class
//	                   that waits longest, and takes for them the places of idle ones of any
//
//	one class:    turns ─► spares, starts, back-off     all of them:  Max places, idle and busy containers
//
// A call with Once goes the same way, as a call of a second tenant of that name, whose containers have
// one slot and end after their first call; it may have several of them. Once the last has ended it waits for
// the next behind those that come with nothing, so that a flood of such calls takes no spares from them, and
// after a turn among them.
//
// A session is opened as a call is run, and holds its container until it has ended: a container with
// sessions gives way to nobody, also not after its turn. Only its death, Stop and Close end it before them,
// and them with it. So that sessions do not shut out those who have none, they hold no more than three
// quarters of all places.
//
// A tenant that has a container and may have more of them comes behind all that have none, and leaves the
// spares for these alone while there is room to start others. A container that is worn, which is too old
// or of a class that its tenant has no more, is replaced like that as well: its tenant lines up for
// one more, and then the worn one gets no new calls, and ends behind those it has and its sessions.
//
//	live, a goroutine per container:  Start ─► spare ─► a tenant's ─► died or ended ─► Close
//	keep, one goroutine:              what time brings: idle timeout, end of a turn, next try to start
//
// All of it meets under one mutex, held for a few steps for each class, however many tenants and
// containers there are; Start, Execute and Close are called without it.
package scheduler

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

// ErrClosed is what Run answers before Open and from the moment Close is called.
var ErrClosed = errors.New("shutting down: no new calls")

// Container is what the scheduler needs of a started container.
type Container interface {
	ID() string
	Start(job *call.Call, done call.Done) call.Running
	OpenSession(job *call.Call, done func(call.Session, call.Result, error)) call.Running
	Done() <-chan struct{} // closed as soon as it has died or was closed
	Close() error          // ends it with its calls and sessions, waits until nothing of it is left; idempotent
}

// Start gives a container that is ready for calls. ctx bounds the starting only, it ends when Start
// returns; class is the Policy.Class of the tenants it may serve. A Start that fails leaves
// nothing behind.
type Start func(ctx context.Context, class string) (Container, error)

// Config is read once, by New. Where a default is named, zero stands for it.
type Config struct {
	Start Start

	// Policy says what a tenant may have; nil stands for one that gives everybody the defaults. It is asked
	// when a tenant comes that has neither containers nor waiting calls, and again by Update; in between its answer
	// holds. The tenant without a name stands for those to come: spares are of its class, the default one, and
	// have its MaxAge. Policy is called with a mutex held, so it must answer at once.
	Policy func(tenant string) Policy

	// These hold over all classes together.
	Min   int // containers that exist at any time, as far as Max allows
	Max   int // never more than these, with those being started and closed; at least 1
	Spare int // of the default class, kept ready for tenants to come, as far as Max allows

	// Turn is how long a container that is never idle stays with its tenant while others wait for
	// a place; then it gets no new calls and ends with those it has. Default 2 s, several times
	// what a start costs. Without it Max busy tenants would shut out all others. A container with
	// sessions is not subject to it; a turn begins when the last of them ends.
	Turn time.Duration

	QueueAll int // calls of all tenants that wait; default 10,000

	Starts    int           // starts at once, of all classes; default 2. With 1, starts of a class that hang hold up all
	StartTime time.Duration // a start that takes longer has failed; default 1 min

	Log zerolog.Logger
}

func (c Config) withDefaults() Config {
	c.Max = max(c.Max, 1)
	if c.Policy == nil {
		c.Policy = func(string) Policy { return Policy{} }
	}
	c.Turn = cmp.Or(c.Turn, 2*time.Second)
	c.QueueAll = cmp.Or(c.QueueAll, 10000)
	c.Starts = cmp.Or(c.Starts, 2)
	c.StartTime = cmp.Or(c.StartTime, time.Minute)
	return c
}

// A Scheduler shares containers out among tenants. Its methods may be called from any goroutine.
type Scheduler struct {
	cfg Config

	ctx     context.Context // ends with quit; for Start
	cancel  context.CancelFunc
	quit    chan struct{}  // closed when containers must go and nobody may wait any longer
	drained chan struct{}  // closed when Close was called and no call is left
	gone    chan struct{}  // closed when Close has finished
	wake    chan struct{}  // for keep: the alarm was set to an earlier time
	live    sync.WaitGroup // keep, and a goroutine per container

	mu      sync.Mutex // guards all below, and the fields of every tenant, container and waiter
	state   state
	tenants map[string]*tenant // with a container or a waiter; others are forgotten
	base    *class             // the default one
	common  Policy             // of the tenant without a name
	classes []*class           // base, and those in use

	// A ready container is in exactly one of these or its class's spares, each with the longest there
	// in front. Those in lone are busy with their only call: they end by themselves, and no sooner for
	// being asked to give way. Those in held have sessions, and calls or none.
	idle             idlers
	busy, lone, held list[*container]

	leaving         list[*container] // retired, and not closed yet
	lingering       int              // those of them that sessions still hold
	closing         int              // those of them that are being closed, so that their places are free soon
	running, queued int              // calls
	sessions        int
	openers         int // tenants with calls that wait to open a session
	slots           int // of all tenants' containers, not those of retired ones
	buckets         buckets

	alarm     time.Time // when keep looks again at the latest, zero: when woken
	meanRun   mean      // how long calls run
	count     counters
	decided   []*waiter // since the mutex was locked; see unlock
	closeErrs []error   // of containers closed by Close
}

type state int

const (
	fresh    state = iota // New, not yet Open
	open                  // takes calls
	draining              // takes none, those it has taken go on
	settled               // none are left
	closed                // quit is closed
)

// New makes a scheduler, which does nothing before Open.
func New(cfg Config) *Scheduler {
	s := &Scheduler{
		cfg:     cfg.withDefaults(),
		quit:    make(chan struct{}),
		drained: make(chan struct{}),
		gone:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
		tenants: map[string]*tenant{},
	}
	s.setCommonLocked() // nobody else has it yet
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Open begins to start containers and to take calls. It does not wait for them; see Ready. It may
// be called once, and wants a Close later.
func (s *Scheduler) Open() {
	s.mu.Lock()
	defer s.unlock()
	if s.state != fresh {
		return
	}
	s.state = open
	s.live.Go(s.keep)
	s.balanceLocked(time.Now())
}

// Start runs a call in a container of the tenant, or with job.OneShot in one that runs nothing else, and calls done with what
// it came to. Where no slot is free the call waits for one. The errors are the container's, then with Container, Queue and
// Cold in the result all the same; and without a Container a Failure with the code Cancelled where the call was cancelled
// while it waited, a *call.BusyError, or ErrClosed. A script that may have started is never started again.
func (s *Scheduler) Start(tenant string, job *call.Call, done call.Done) call.Running {
	k := plain
	if job.OneShot {
		k = once
	}
	return s.start(tenant, request{kind: k, job: job, done: done})
}

// OpenSession opens a session in the container of the tenant that its calls without OneShot run in, after waiting for a slot
// as Start does. It counts as a call until done is called. The errors are Start's, and the result says Container, Queue and
// Cold as Start's does, beside a session too. job.OneShot stands for nothing here.
//
// The session's Start waits for a slot of that container, no longer than the queue time and in line with the tenant's other
// calls: first come, first served. The time it waited is in Queue. Its errors are those of the container, and, before
// the call has a slot, a Failure with the code Cancelled, a *call.BusyError, ErrClosed, or call.ErrNoSession where the
// session has ended. A session has one call in flight; its caller keeps the order. Done and Close are the container's; the
// container is held until Done is closed.
func (s *Scheduler) OpenSession(tenant string, job *call.Call, done func(call.Session, call.Result, error)) call.Running {
	return s.start(tenant, request{kind: opens, job: job, opened: done})
}
