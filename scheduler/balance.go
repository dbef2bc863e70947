package scheduler

import "time"

// A state is a stage in the scheduler's life. The stages follow each other in this order.
type state int

const (
	created  state = iota // New, not yet Open
	open                  // admits calls
	draining              // refuses new calls and waits for the admitted calls
	drained               // no call is left
	closed                // quit is closed
)

// An allocator gives containers to tenants, and slots to calls. It holds everything that Scheduler.mu guards, except
// Scheduler.closeErrs. The mutex is held when its methods are called, and none of them waits. Requests that were granted a
// slot or refused are collected in queue.decided.
type allocator struct {
	cfg            *Config
	state          state
	table          table
	queue          queue
	pool           pool
	pinning        pinning
	pace           pace
	marks          watermarks
	rates          rates
	janitor        *janitor
	startContainer func(*profile) // starts a container in the background

	calls, starts, failed, evictions, recycled uint64
}

func newAllocator(cfg *Config) *allocator {
	a := &allocator{cfg: cfg, janitor: newJanitor()}
	a.table = table{policy: cfg.Policy, max: cfg.Max, tenants: map[string]*tenant{}}
	a.table.setCommon()
	a.queue = queue{max: cfg.QueueAll, timeSlice: cfg.TimeSlice, janitor: a.janitor}
	a.pool = pool{table: &a.table, queue: &a.queue, janitor: a.janitor}
	a.pinning = pinning{max: cfg.Max, queue: &a.queue, pool: &a.pool}
	a.pace = pace{queue: &a.queue, pool: &a.pool}
	a.marks = watermarks{cfg: cfg, table: &a.table, pool: &a.pool}
	return a
}

// setState sets the state. Spares are kept ready only while the scheduler is open.
func (a *allocator) setState(s state) {
	a.state = s
	a.marks.keepSpares = s == open
}

// balance assigns spares to waiting tenants, drains containers that have to make room, and starts containers that are
// missing. It depends on counts only, so it may be called after any change and any number of times.
func (a *allocator) balance(now time.Time) {
	if a.state == created || a.state == closed {
		return
	}
	a.queue.renew(a.table.profiles, now)
	for {
		a.assignSpares(now)
		// Both change which tenant may have a spare. An eviction may take a tenant's only container, and a start may take
		// the last place.
		if !a.evict(now) && !a.start(now) {
			break
		}
	}
	a.table.forgetProfiles(now)
}

// assignSpares gives spares to the tenants that wait for a container, for each profile in the order of its wait queue.
func (a *allocator) assignSpares(now time.Time) {
	for _, p := range a.table.profiles {
		for {
			first := p.waiting.front()
			if first == nil || !a.marks.maySpare(first.item) {
				break
			}
			a.assign(p.spares.front(), first.item, now)
		}
	}
}

// assign gives a spare to the tenant at the front of the wait queue.
func (a *allocator) assign(c *container, t *tenant, now time.Time) {
	c.profile.meanWait.add(time.Since(t.position.since)) // not now, which may be from before the mutex was held
	t.position.serve()
	a.pool.own(c, t, now)
	a.dispatch(c, now)
	a.queue.placeTenant(t)
	if c.running == 0 { // it replaces a stale container
		a.scheduleIdle(c, now)
	}
}

// dispatch gives the free slots of a container to waiting calls, in the order in which they came. These are calls of its
// tenant and calls in its sessions. A draining container runs calls in its sessions only.
func (a *allocator) dispatch(c *container, now time.Time) {
	for c.running < c.slots {
		var w *waiter
		if !c.draining {
			w = c.tenant.waiting.front()
		}
		if in := c.waiting.front(); w == nil || in != nil && in.since.Before(w.since) {
			w = in
		}
		if w == nil {
			return
		}
		a.queue.remove(w)
		if w.kind == opens && c.place.in != &a.pool.pinned && !a.pinning.mayPin(w.tenant) {
			a.queue.refuse(w, a.pinning.refusal())
			continue
		}
		a.pool.acquire(c, w.kind, now)
		a.queue.grant(w, c)
	}
}

// evict drains a container if one has to make room. It returns false if none has to.
func (a *allocator) evict(now time.Time) bool {
	c, why, at := a.marks.evict(now)
	a.janitor.schedule(at)
	if c == nil {
		return false
	}
	a.evictions++
	a.pool.drain(c, why)
	return true
}

// start starts a container if one is due. It returns false if none is due.
func (a *allocator) start(now time.Time) bool {
	p := a.marks.start(now)
	if p == nil {
		return false
	}
	p.starting++
	a.starts++
	a.startContainer(p)
	return true
}

// onIdle is called after the end of a call or session in a container. It drains a stale container without calls. It moves
// any other container to the list that it belongs in now, and balances if a tenant waits for a place.
func (a *allocator) onIdle(c *container, now time.Time) {
	if c.stale != "" && c.running == 0 {
		a.pool.drain(c, c.stale)
		a.balance(now)
		return
	}
	to := a.pool.listOf(c)
	if c.place.in == to {
		return
	}
	a.pool.move(c, to, now)
	if to == &c.tenant.idle.list {
		a.scheduleIdle(c, now)
	}
	if sum := a.table.total(); sum.waiting+sum.canaries > 0 {
		a.balance(now)
	}
}

// scheduleIdle schedules the sweeps that a container's becoming idle may require: at its tenant's idle timeout, and when it
// would yield its place to a spare.
func (a *allocator) scheduleIdle(c *container, now time.Time) {
	if timeout := c.tenant.idle.timeout; timeout > 0 {
		a.janitor.schedule(now.Add(timeout))
	}
	if a.marks.lacksSpares() {
		a.janitor.schedule(now.Add(idleYield))
	}
}

// sweep recycles and balances, and returns the time of the next sweep. A zero time stands for never.
func (a *allocator) sweep(now time.Time) time.Time {
	a.janitor.next = now // recycle and balance need no wake-up of their own
	a.recycle(now)
	a.balance(now)
	a.janitor.next = a.marks.next(now)
	return a.janitor.next
}

// recycle drains containers that have been idle too long. These are containers of tenants, and spares beyond the number to
// keep ready. Such spares are left over when calls are cancelled while a container starts for them.
func (a *allocator) recycle(now time.Time) {
	for _, l := range a.table.idle {
		for c := l.front(); c != nil && l.timeout > 0 && !c.since.Add(l.timeout).After(now); c = l.front() {
			a.recycled++
			a.pool.drain(c, whyIdle)
		}
	}
	for _, p := range a.table.profiles {
		for a.marks.surplus(p) && !p.spares.front().since.Add(spareTTL).After(now) {
			a.recycled++
			a.pool.drain(p.spares.front(), whySurplus)
		}
	}
}

// scheduleNext schedules the next sweep after a change that may bring it forward.
func (a *allocator) scheduleNext(now time.Time) { a.janitor.schedule(a.marks.next(now)) }
