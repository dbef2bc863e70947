package scheduler

import (
	"context"
	"slices"
	"time"
)

// slot gives a container with a slot taken for the caller, who must release it, and how long that was
// waited for.
func (s *Scheduler) slot(ctx context.Context, tenant string, k kind) (*container, time.Duration, error) {
	c, queue, err := s.acquire(ctx, tenant, k)
	if err == nil && c.dead() {
		// It died after it was chosen, or just before its goroutine could say so. Nothing was sent,
		// so the call may go elsewhere; only once, lest it chase containers that keep dying.
		var more time.Duration
		c, more, err = s.reacquire(ctx, c, k)
		queue += more
	}
	return c, queue, err
}

// acquire is slot, but the container may have died.
func (s *Scheduler) acquire(ctx context.Context, name string, k kind) (*container, time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	if s.state != open {
		s.mu.Unlock()
		return nil, 0, ErrClosed
	}
	c, w, err := s.admitLocked(name, k)
	s.mu.Unlock()
	if w == nil {
		return c, 0, err
	}
	return s.wait(ctx, w)
}

// admitLocked gives a slot, what waits for one, or why there is neither.
func (s *Scheduler) admitLocked(name string, k kind) (*container, *waiter, error) {
	t := s.tenantLocked(name, k)
	if err := s.meterLocked(t); err != nil {
		return nil, nil, err
	}
	if c := s.claimLocked(t, k); c != nil {
		return c, nil, nil
	}
	if k == opens && !s.mayWaitToHoldLocked(t) {
		s.forgetLocked(t)
		return nil, nil, s.heldFullLocked()
	}
	w, err := s.enqueueLocked(t, k)
	return nil, w, err
}

// mayHoldLocked says whether a session of the tenant may hold a container that none holds yet: each is one less for
// all others for a long time. One is left for each other tenant with calls that wait to open a session.
func (s *Scheduler) mayHoldLocked(t *tenant) bool {
	others := s.openers
	if t.openers > 0 {
		others--
	}
	return s.held.length+s.lingering+others < max(1, s.cfg.Max*3/4)
}

// mayWaitToHoldLocked says whether a call that opens a session, and that no slot was found for, may wait for one. Where
// no more containers may be held, it is for one that sessions of its tenant hold already, and not beside a free slot.
func (s *Scheduler) mayWaitToHoldLocked(t *tenant) bool {
	if s.mayHoldLocked(t) {
		return true
	}
	held := func(c *container) bool { return c.place.in == &s.held }
	return t.freest(nil) == nil && slices.ContainsFunc(t.containers, held)
}

// reacquire gives back a slot in a dead container for one elsewhere. The call keeps its rank, so it
// goes in front of its tenant's queue, and past the bounds, which it was judged by already.
func (s *Scheduler) reacquire(ctx context.Context, dead *container, k kind) (*container, time.Duration, error) {
	s.mu.Lock()
	s.running--
	dead.running--
	if k == opens {
		dead.opening--
		s.lingerLocked(dead)
	}
	s.retireLocked(dead, whyDied)
	t := s.tenantLocked(dead.tenant.name, k)
	if c := s.claimLocked(t, k); c != nil {
		s.balanceLocked(time.Now())
		s.mu.Unlock()
		return c, 0, nil
	}
	if k == opens && !s.mayWaitToHoldLocked(t) {
		defer s.mu.Unlock()
		s.forgetLocked(t)
		s.balanceLocked(time.Now())
		s.settleLocked()
		return nil, 0, s.heldFullLocked()
	}
	w := newWaiter(t, k)
	t.waiting.pushFront(&w.place)
	s.queuedLocked(w)
	s.mu.Unlock()
	return s.wait(ctx, w)
}

// release gives back the slot of a call that has ended.
func (s *Scheduler) release(c *container, began time.Time) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(c, began, now)
}

func (s *Scheduler) releaseLocked(c *container, began, now time.Time) {
	s.count.calls++
	s.meanRun.add(now.Sub(began))
	c.tenant.meanRun.add(now.Sub(began))
	s.returnLocked(c, now)
}

// returnLocked gives a slot back, to the next waiter if there is one.
func (s *Scheduler) returnLocked(c *container, now time.Time) {
	s.running--
	c.running--
	switch {
	case c.dead():
		// Before its own goroutine says so, which then has nothing left to do: waiters must not be
		// sent into it, and what takes its place must not wait until it is closed.
		s.retireLocked(c, whyDied)
		s.balanceLocked(now)
	case c.tenant.of != nil && c.used.Load(): // a slot that its caller did not use is still good
		s.retireLocked(c, whyUsed)
		s.balanceLocked(now)
	}
	s.dispatchLocked(c)
	if c.retired {
		s.endIfUnusedLocked(c)
	} else {
		s.easedLocked(c, now)
	}
	s.settleLocked()
}
