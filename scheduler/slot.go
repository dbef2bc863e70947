package scheduler

import (
	"context"
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
	t := s.tenantLocked(name, k == once)
	if c := s.claimLocked(t, k); c != nil {
		s.mu.Unlock()
		return c, 0, nil
	}
	w, err := s.enqueueLocked(t, k)
	s.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	return s.wait(ctx, w)
}

// reacquire gives back a slot in a dead container for one elsewhere. The call keeps its rank, so it
// goes in front of its tenant's queue, and past the bounds, which it was judged by already.
func (s *Scheduler) reacquire(ctx context.Context, dead *container, k kind) (*container, time.Duration, error) {
	s.mu.Lock()
	s.running--
	dead.running--
	if k == opens {
		dead.opening--
	}
	s.retireLocked(dead, whyDied)
	t := s.tenantLocked(dead.tenant.name, k == once)
	if c := s.claimLocked(t, k); c != nil {
		s.balanceLocked(time.Now())
		s.mu.Unlock()
		return c, 0, nil
	}
	w := newWaiter(t, k)
	t.waiting.pushFront(&w.place)
	s.queuedLocked(t)
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
	if c.retired {
		c.endIfUnusedLocked()
	} else {
		s.dispatchLocked(c)
		s.easedLocked(c, now)
	}
	s.settleLocked()
}
