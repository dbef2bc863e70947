package scheduler

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Why a container was retired, for logs.
const (
	whyDied     = "died"
	whyUsed     = "had its only call"
	whyCalls    = "had all its calls"
	whyIdle     = "idle"
	whyOld      = "old"
	whyReplaced = "of a class that its tenant has no more"
	whyGaveWay  = "gave way to another tenant"
	whyTurnOver = "was never idle while others waited"
	whySurplus  = "beyond need"
	whyShutdown = "shutdown"
	whyStopped  = "stopped"
)

// retireLocked takes a container out of the table: it gets no calls any more, its tenant's waiters
// line up for another, and it is closed when the calls and sessions in it have ended. One that is dead or
// has to go at once is closed now, with its calls and sessions.
func (s *Scheduler) retireLocked(c *container, why string) {
	if c.retired {
		return
	}
	c.retired, c.why = true, why
	if why == whyDied {
		s.count.deaths++
	}
	if c.old != nil {
		c.old.Stop()
	}
	c.place.leave()
	s.leaving.push(&c.place)
	s.listWornLocked(c)
	t := c.tenant
	if t != nil {
		c.class.owned--
		s.slots -= c.slots
		if c.worn != "" {
			t.worn--
		}
		t.containers = slices.DeleteFunc(t.containers, func(other *container) bool { return other == c })
	}
	s.lingerLocked(c)
	switch why {
	case whyDied, whyStopped, whyShutdown:
		s.endLocked(c)
	default:
		s.endIfUnusedLocked(c)
	}
	if t != nil {
		s.lineUpLocked(t)
		s.forgetLocked(t)
	}
}

// lingerLocked follows whether a retired container is held by sessions.
func (s *Scheduler) lingerLocked(c *container) {
	lingers := c.retired && c.opening+c.sessions.length > 0
	if lingers == c.lingers {
		return
	}
	more := 1
	if c.lingers = lingers; !lingers {
		more = -1
	}
	s.lingering += more
	c.tenant.lingering += more
	if !lingers {
		s.forgetLocked(c.tenant)
	}
}

// endIfUnusedLocked tells a retired container's goroutine to close it, after its last call and session.
func (s *Scheduler) endIfUnusedLocked(c *container) {
	if c.running == 0 && c.sessions.length == 0 {
		s.endLocked(c)
	}
}

// endLocked has the container closed now. Calls that wait in its sessions are refused.
func (s *Scheduler) endLocked(c *container) {
	if c.ended {
		return
	}
	c.ended = true
	s.closing++
	close(c.end)
	for k := c.sessions.first; k != nil; k = k.next {
		k.item.overLocked()
	}
}

// wearLocked has a container replaced. One that runs calls goes on until its tenant has another.
func (s *Scheduler) wearLocked(c *container, why string) {
	switch {
	case c.retired || c.worn != "":
	case c.running == 0:
		s.count.worn++
		s.retireLocked(c, why)
	case c.tenant.of == nil: // else it ends with its call
		s.count.worn++
		c.worn = why
		c.tenant.worn++
		s.listWornLocked(c)
		s.lineUpLocked(c.tenant)
	}
}

// listWornLocked follows whether a container is one of the worn that may go before its tenant has another. One that is
// held is not: its place would not be free.
func (s *Scheduler) listWornLocked(c *container) {
	c.inWorn.leave()
	if c.worn != "" && c.place.in == &s.busy {
		c.tenant.class.worn.push(&c.inWorn)
	}
}

// setAgeLocked says how old the container may become; 0: no limit. Up to a tenth is taken off at random, so that those
// that were started together do not go together.
func (s *Scheduler) setAgeLocked(c *container, most time.Duration) {
	if c.old != nil {
		c.old.Stop()
		c.old = nil
	}
	if most <= 0 {
		return
	}
	most -= rand.N(most/10 + 1)
	c.old = time.AfterFunc(time.Until(c.born.Add(most)), func() { s.aged(c) })
}

func (s *Scheduler) aged(c *container) {
	s.mu.Lock()
	defer s.unlock()
	s.wearLocked(c, whyOld)
	s.balanceLocked(time.Now())
}
