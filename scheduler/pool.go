package scheduler

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Reasons why a container drains, for the log.
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

// A pool knows where each container is, and moves it.
//
//	spare ──acquire──► busy, oneShot or pinned ◄──► idle        own makes a spare a tenant's
//	  └────────────────────────┴── drain ──► draining ── close ──► its goroutine closes it
type pool struct {
	table   *table
	queue   *queue
	janitor *janitor
	aged    func(*container) // called, without the mutex, when a container has come to its age

	// A container that is ready is in its profile's spares, in its tenant's idle line or in one of these, the longest there in
	// front. The ones in oneShot are busy with their only call: they end by themselves, and no sooner if they are evicted.
	// The ones in pinned have sessions, and calls or none.
	busy, oneShot, pinned list[*container]

	draining       list[*container] // not closed yet
	drainingPinned int              // the ones of them that sessions pin
	closing        int              // the ones of them that are being closed, so that their places are free soon

	running  int // calls
	sessions int
	slots    int // of all tenants' containers, not of draining ones

	deaths, stale uint64
}

// acquire takes a free slot of a tenant's container.
func (p *pool) acquire(c *container, k kind, now time.Time) {
	p.running++
	c.running++
	c.calls++
	if k == opens {
		c.opening++ // it is pinned from here on: no time slice may end between now and the answer
	}
	if c.draining {
		return // a call of one of the sessions that pin it
	}
	if to := p.listOf(c); c.place.in != to { // a container whose only slot goes from call to call was busy all along
		p.move(c, to, now)
	}
	if most := c.tenant.policy.MaxCalls; most > 0 && c.calls >= most && c.tenant.parent == nil {
		p.drain(c, whyCalls)
		p.janitor.schedule(now) // the caller is in the middle of something: the sweep balances
	}
}

// release gives a slot back. The caller decides what follows.
func (p *pool) release(c *container) {
	p.running--
	c.running--
}

// opened is the end of a call that opens a session.
func (p *pool) opened(c *container) {
	c.opening--
	p.countPinned(c)
}

// listOf is where a tenant's container belongs.
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

// addSpare adds a container that is ready and nobody's.
func (p *pool) addSpare(c *container, now time.Time) {
	p.move(c, &c.profile.spares, now)
	p.setAge(c, p.table.common.MaxAge)
}

// own makes a spare the tenant's, for the container's life.
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

// drain takes a container from its tenant: it gets no calls any more, and is closed when the calls and sessions in it have
// ended. The tenant's waiting calls wait for another container. A container that is dead or has to go at once is closed
// now, with its calls and sessions.
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

// countPinned follows whether sessions pin a draining container.
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

// closeIfUnused has a draining container closed after its last call and session.
func (p *pool) closeIfUnused(c *container) {
	if c.running == 0 && c.pins.length == 0 {
		p.close(c)
	}
}

// close tells a draining container's goroutine to close it now. Calls that wait in its sessions are refused.
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

// makeStale has a container replaced. A container that runs calls goes on until its tenant has another one.
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

// placeStale follows whether a container is stale and may be drained before its tenant has another one. A pinned container may
// not: its place would not be free.
func (p *pool) placeStale(c *container) {
	c.stalePlace.remove()
	if c.stale != "" && c.place.in == &p.busy {
		c.tenant.profile.stale.push(&c.stalePlace)
	}
}

// setAge bounds a container's age; 0: no bound. Up to a tenth is taken off at random, so that containers that were started
// together are not replaced together.
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
