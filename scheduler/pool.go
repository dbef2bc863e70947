package scheduler

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Why a container drains, for the log.
const (
	whyDied     = "died"
	whyUsed     = "had its only call"
	whyCalls    = "had all its calls"
	whyIdle     = "idle"
	whyOld      = "old"
	whyReplaced = "of a profile that its tenant no longer has"
	whyEvicted  = "gave way to another tenant"
	whySliced   = "was never idle while others waited"
	whySurplus  = "beyond need"
	whyShutdown = "shutdown"
	whyStopped  = "stopped"
)

// A pool keeps each container that is not a spare in the list of its state, and moves containers between the lists.
//
//	spare ──acquire──► busy, oneShot or pinned ◄──► idle        own makes a spare a tenant's
//	  └────────────────────────┴── drain ──► draining ── close ──► its goroutine closes it
type pool struct {
	table   *table
	queue   *queue
	janitor *janitor
	aged    func(*container) // called without the mutex when a container has reached its maximum age

	// A ready container is in its profile's spares, in its tenant's idle line or in one of these lists, and the one that has
	// been there longest is in front. A container in oneShot is busy with its only call and closes after it, so an eviction
	// would not free its place sooner. A container in pinned has sessions, and may have calls.
	busy, oneShot, pinned list[*container]

	draining       list[*container] // not closed yet
	drainingPinned int              // draining containers that sessions pin
	closing        int              // draining containers that are being closed, so their places are free soon

	running  int // calls
	sessions int
	slots    int // of all tenants' containers, without draining ones

	deaths, stale uint64
}

// acquire gives a free slot of a tenant's container to a call. The container drains if this is its last call by MaxCalls.
func (p *pool) acquire(c *container, k kind, now time.Time) {
	p.running++
	c.running++
	c.calls++
	if k == opens {
		c.opening++ // it is pinned from now on, so its time slice cannot end before the answer
	}
	if c.draining {
		return // a call in one of the sessions that pin it
	}
	if to := p.listOf(c); c.place.in != to { // a container that stays busy keeps the time at which it became so
		p.move(c, to, now)
	}
	if most := c.tenant.policy.MaxCalls; most > 0 && c.calls >= most && c.tenant.parent == nil {
		p.drain(c, whyCalls)
		p.janitor.schedule(now) // the caller's changes are not complete, so the sweep balances
	}
}

// release releases a slot. The caller gives the slot to a waiting call or moves the container.
func (p *pool) release(c *container) {
	p.running--
	c.running--
}

// opened is called at the end of a call that opens a session.
func (p *pool) opened(c *container) {
	c.opening--
	p.countPinned(c)
}

// listOf returns the list that a tenant's container belongs in.
func (p *pool) listOf(c *container) *list[*container] {
	switch {
	case c.opening > 0 || c.pins.length > 0:
		return &p.pinned
	case c.running == 0:
		return &c.tenant.idle.list
	case c.tenant.parent != nil:
		return &p.oneShot
	default:
		return &p.busy
	}
}

func (p *pool) move(c *container, to *list[*container], now time.Time) {
	c.place.remove()
	to.push(&c.place)
	c.since = now
	p.placeStale(c)
}

// addSpare adds a ready container to the spares of its profile.
func (p *pool) addSpare(c *container, now time.Time) {
	p.move(c, &c.profile.spares, now)
	p.setAge(c, p.table.common.MaxAge)
}

// own makes a spare the tenant's, for the rest of the container's life. If the tenant has a stale container, the spare
// replaces it.
func (p *pool) own(c *container, t *tenant, now time.Time) {
	c.tenant, c.slots = t, t.slots
	t.served = t.parent != nil
	t.containers = append(t.containers, c)
	c.profile.owned++
	p.slots += c.slots
	p.move(c, &t.idle.list, now)
	p.setAge(c, t.policy.MaxAge)
	if t.stale > 0 {
		i := slices.IndexFunc(t.containers, func(c *container) bool { return c.stale != "" })
		p.drain(t.containers[i], t.containers[i].stale)
	}
	p.queue.placeTenant(t)
}

// drain takes a container from its tenant. The container gets no new calls, and is closed when the calls and sessions in it
// have ended. It is closed at once, with its calls and sessions, if it is dead, its tenant was stopped or the scheduler
// shuts down. The tenant's waiting calls wait for another container.
func (p *pool) drain(c *container, why string) {
	if c.draining {
		return
	}
	c.draining, c.why = true, why
	if why == whyDied {
		p.deaths++
	}
	if c.age != nil {
		c.age.Stop()
	}
	c.place.remove()
	p.draining.push(&c.place)
	p.placeStale(c)
	t := c.tenant
	if t != nil {
		c.profile.owned--
		p.slots -= c.slots
		if c.stale != "" {
			t.stale--
		}
		t.containers = slices.DeleteFunc(t.containers, func(other *container) bool { return other == c })
	}
	p.countPinned(c)
	switch why {
	case whyDied, whyStopped, whyShutdown:
		p.close(c)
	default:
		p.closeIfUnused(c)
	}
	if t != nil {
		p.queue.placeTenant(t)
		p.table.forget(t)
	}
}

// countPinned updates the counts of draining containers that sessions pin.
func (p *pool) countPinned(c *container) {
	pinned := c.draining && c.opening+c.pins.length > 0
	if pinned == c.pinned {
		return
	}
	more := 1
	if c.pinned = pinned; !pinned {
		more = -1
	}
	p.drainingPinned += more
	c.tenant.pinned += more
	if !pinned {
		p.table.forget(c.tenant)
	}
}

// closeIfUnused closes a draining container that has neither calls nor sessions.
func (p *pool) closeIfUnused(c *container) {
	if c.running == 0 && c.pins.length == 0 {
		p.close(c)
	}
}

// close tells the goroutine of a draining container to close it. Calls that wait in its sessions are refused.
func (p *pool) close(c *container) {
	if c.closing {
		return
	}
	c.closing = true
	p.closing++
	close(c.end)
	for l := c.pins.first; l != nil; l = l.next {
		p.queue.close(l.item)
	}
}

// removed frees the place of a container that was closed.
func (p *pool) removed(c *container) {
	c.place.remove()
	p.closing--
}

// makeStale has a container replaced, for the reason why. A container without calls drains at once. A container with calls
// goes on until its tenant has another one.
func (p *pool) makeStale(c *container, why string) {
	switch {
	case c.draining || c.stale != "":
	case c.running == 0:
		p.stale++
		p.drain(c, why)
	case c.tenant.parent == nil: // a one-shot container ends with its call
		p.stale++
		c.stale = why
		c.tenant.stale++
		p.placeStale(c)
		p.queue.placeTenant(c.tenant)
	}
}

// placeStale puts a container into its profile's list of stale containers that may drain before their tenant has another
// one, or takes it out. A pinned container is not in the list, because draining it would not free its place.
func (p *pool) placeStale(c *container) {
	c.stalePlace.remove()
	if c.stale != "" && c.place.in == &p.busy {
		c.tenant.profile.stale.push(&c.stalePlace)
	}
}

// setAge sets the maximum age of a container; 0 stands for none. Up to a tenth is taken off at random, so that containers
// that were started together are not replaced together.
func (p *pool) setAge(c *container, most time.Duration) {
	if c.age != nil {
		c.age.Stop()
		c.age = nil
	}
	if most <= 0 {
		return
	}
	most -= rand.N(most/10 + 1)
	c.age = time.AfterFunc(time.Until(c.born.Add(most)), func() { p.aged(c) })
}
