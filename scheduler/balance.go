package scheduler

import "time"

// A state is what the scheduler does about calls.
type state int

const (
	created  state = iota // New, not yet Open
	open                  // takes calls
	draining              // takes none, and waits for the calls that it has taken
	drained               // no call is left
	closed                // quit is closed
)

// An allocator gives containers to tenants, and slots to calls. It has all that Scheduler.mu guards: every method is called with
// the mutex held, and none waits. What they grant and refuse is in queue.decided.
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

// setState also says whether spares are kept ready.
func (a *allocator) setState(s state) {
	a.state = s
	a.marks.keepSpares = s == open
}

// balance does all that can be done now about tenants that wait for containers, and about containers that are missing. It looks
// at counts only, so it may be called after any change and any number of times.
func (a *allocator) balance(now time.Time) {
	if a.state == created || a.state == closed {
		return
	}
	a.queue.renew(a.table.profiles, now)
	for {
		a.assignSpares(now)
		// Either changes which tenant may have a spare: a tenant may lose its only container, a start may take the last place.
		if !a.evict(now) && !a.start(now) {
			break
		}
	}
	a.table.forgetProfiles(now)
}

// assignSpares gives spares to the tenants that wait for a container of their profile, in the order of the wait queue.
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
	c.profile.meanWait.add(time.Since(t.position.since)) // now may be older: from before the mutex was held
	t.position.serve()
	a.pool.own(c, t, now)
	a.dispatch(c, now)
	a.queue.placeTenant(t)
	if c.running == 0 { // it replaces a stale container
		a.scheduleIdle(c, now)
	}
}

// dispatch gives the free slots of a container to calls that wait for them, its tenant's and the ones of its sessions: first
// come, first served. A draining container is for its sessions only.
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

// evict drains a container if one has to make room.
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

// start begins a start if one is due.
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

// onIdle follows the end of a call or session in a container. After the last one the container goes to the end of its idle
// line, or is closed if another tenant waits for its place.
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

// scheduleIdle schedules what may follow from a container having become idle.
func (a *allocator) scheduleIdle(c *container, now time.Time) {
	if timeout := c.tenant.idle.timeout; timeout > 0 {
		a.janitor.schedule(now.Add(timeout))
	}
	if a.marks.lacksSpares() {
		a.janitor.schedule(now.Add(idleYield))
	}
}

// sweep does what is due now, and returns when to sweep again, zero for never.
func (a *allocator) sweep(now time.Time) time.Time {
	a.janitor.next = now // what is found below needs no wake-up
	a.recycle(now)
	a.balance(now)
	a.janitor.next = a.marks.next(now)
	return a.janitor.next
}

// recycle drains what was idle too long: tenants' containers, and spares that nobody needs, which are left when the calls that
// they were started for were cancelled.
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
