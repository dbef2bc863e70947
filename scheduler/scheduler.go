// Package scheduler decides which container runs which call.
//
// A container belongs to one tenant for its whole life. A spare belongs to nobody yet and waits ready. Each container has a
// profile, such as an image, and serves tenants of that profile only.
//
// # The way of a call
//
//	Start ─► start ─► allocator.admit ─┬─ acquire: a slot is free, or a spare ─► startIn ─► Container.Start
//	                                   └─ enqueue: the call waits in its tenant's queue         │
//	                                         │                                                 done
//	             dispatch grants it a slot ◄─┴──────── allocator.release ◄─── complete ◄────────┘
//	                     │                             balance, when a container is ready
//	                  unlock ─► proceed ─► startIn
//
// A call that finds a free slot takes one section under the mutex to acquire it and one to give it back. It needs no goroutine,
// no channel and no timer; only a call that waits has a timer, for its queue time. What dispatch grants or refuses is
// collected under the mutex. The goroutine that holds the mutex starts or answers these calls when it has unlocked it.
//
// # The way of a container
//
//	allocator.balance ─┬─ assignSpares: tenants in the wait queue ─► assign ─► pool.own, dispatch
//	                   ├─ evict: watermarks.evict ─► pool.drain
//	                   └─ start: watermarks.start ─► run, a goroutine for each container:
//	                          Config.Start ─► started ─► spare ─► a tenant's ─► died, or told to end ─► Close ─► removed
//	janitor.run ─► sweep ─► allocator.sweep ─► recycle, balance
//
// A tenant waits for a container in the wait queue of its profile. Tenants without a container, which are cold, come first. Then
// come tenants whose last container ran a one-shot call, until they have waited for a time slice. Then come tenants that want
// to scale up: they leave spares to the others while there is room to start containers.
//
// A one-shot call goes the same way, as a call of a second tenant of that name. The containers of that tenant have one slot and
// end after their first call, and there may be several of them.
//
// A session is opened like a call and pins its container until it has ended. A pinned container is not evicted, also not after
// its time slice. Only its death, Stop and Close end it earlier, and its sessions with it. Sessions pin at most three quarters of
// all places, so that they do not shut out calls that need none.
//
// A container is stale when it is too old, or of a profile that its tenant no longer has. Its tenant then waits for one more
// container. When it has that, the stale one drains: it gets no new calls, and ends after its calls and sessions.
//
// All state is guarded by one mutex. It is held for a few steps for each profile, however many tenants and containers there are.
// Config.Start and the methods of containers are called without it.
package scheduler

import (
	"context"
	"sync"
)

// A Scheduler shares containers out among tenants. Its methods may be called from any goroutine.
type Scheduler struct {
	cfg Config

	ctx     context.Context // ends with quit; for Config.Start
	cancel  context.CancelFunc
	quit    chan struct{}  // closed by Close when the containers have to be closed
	drained chan struct{}  // closed when Close was called and no call is left
	gone    chan struct{}  // closed when Close has finished
	live    sync.WaitGroup // the janitor, and a goroutine for each container and each session

	mu        sync.Mutex // guards all that follows
	alloc     *allocator
	closeErrs []error // of containers closed by Close
}

// New returns a scheduler, which does nothing before Open.
func New(cfg Config) *Scheduler {
	s := &Scheduler{
		cfg:     cfg.withDefaults(),
		quit:    make(chan struct{}),
		drained: make(chan struct{}),
		gone:    make(chan struct{}),
	}
	s.alloc = newAllocator(&s.cfg)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}
