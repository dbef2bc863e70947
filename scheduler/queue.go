package scheduler

import (
	"context"
	"time"
)

// A kind says what a call wants besides a slot.
type kind int

const (
	plain kind = iota
	once       // a container for itself
	opens      // a session: it holds the container
)

// A waiter is a call that waits for a slot. It is in its tenant's queue until it is granted one or
// gives up, and whichever comes first under the mutex is what happened. One of a session is in the
// session's queue, and then in its container's.
type waiter struct {
	tenant  *tenant
	kind    kind
	session *session      // that it is a call in, or nil
	since   time.Time     // when it came into the queue it is in
	longest time.Duration // that it waits
	place   link[*waiter]
	granted chan grant // has room for one, so that granting never blocks
}

// A grant is what a waiter came to: a slot that was taken for it, or why there will be none.
type grant struct {
	container *container
	err       error
}

func newWaiter(t *tenant, k kind) *waiter {
	w := &waiter{tenant: t, kind: k, since: time.Now(), longest: t.policy.QueueTime, granted: make(chan grant, 1)}
	w.place.item = w
	return w
}

// enqueueLocked lets a call wait, or refuses it where too many do.
func (s *Scheduler) enqueueLocked(t *tenant, k kind) (*waiter, error) {
	if err := s.refuseLocked(t); err != nil {
		return nil, err
	}
	w := newWaiter(t, k)
	t.waiting.push(&w.place)
	s.queuedLocked(w)
	return w, nil
}

// refuseLocked says why no more calls of the tenant may wait, if so.
func (s *Scheduler) refuseLocked(t *tenant) error {
	var err error
	switch {
	case t.queued >= t.policy.Queue:
		err = s.busyLocked(t, QueueTenantFull)
	case s.queued >= s.cfg.QueueAll:
		err = s.busyLocked(t, QueueFull)
	}
	if err != nil {
		s.count.refused++
		s.forgetLocked(t)
	}
	return err
}

// queuedLocked follows a waiter that joined its tenant's queue.
func (s *Scheduler) queuedLocked(w *waiter) {
	t := w.tenant
	s.queued++
	t.queued++
	if w.kind == opens {
		if t.openers++; t.openers == 1 {
			s.openers++
		}
	}
	s.lineUpLocked(t)
	s.balanceLocked(time.Now())
}

// dispatchLocked gives free slots of a container to those that wait for them, its tenant's calls and
// those of its sessions: first come, first served. One that is retired is for its sessions alone.
func (s *Scheduler) dispatchLocked(c *container) {
	for c.running < c.slots {
		var w *waiter
		if !c.retired {
			w = c.tenant.waiting.front()
		}
		if in := c.waiting.front(); w == nil || in != nil && in.since.Before(w.since) {
			w = in
		}
		if w == nil {
			return
		}
		s.dequeueLocked(w)
		if w.kind == opens && c.place.in != &s.held && !s.mayHoldLocked(w.tenant) {
			w.granted <- grant{err: s.heldFullLocked()}
			s.settleLocked()
			continue
		}
		s.takeLocked(c, w.kind)
		if w.session != nil {
			w.session.lined, w.session.running = nil, true
		}
		w.granted <- grant{container: c}
	}
}

func (s *Scheduler) dequeueLocked(w *waiter) {
	w.place.leave()
	s.queued--
	w.tenant.queued--
	if w.kind == opens {
		if w.tenant.openers--; w.tenant.openers == 0 {
			s.openers--
		}
	}
	if w.tenant.turn.in != nil {
		s.lineUpLocked(w.tenant)
	}
}

// wait returns with a slot and how long it took, or with why there is none.
func (s *Scheduler) wait(ctx context.Context, w *waiter) (*container, time.Duration, error) {
	timer := time.NewTimer(w.longest)
	defer timer.Stop()
	select {
	case g := <-w.granted:
		return g.container, time.Since(w.since), g.err
	case <-ctx.Done():
	case <-timer.C:
	case <-s.quit:
	}
	c, err := s.giveUp(ctx, w)
	return c, time.Since(w.since), err
}

// giveUp ends a wait that got nothing in time. A slot that was granted meanwhile is used, unless
// the caller is gone: then it goes to whoever is next.
func (s *Scheduler) giveUp(ctx context.Context, w *waiter) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.place.in == nil {
		g := <-w.granted
		c := g.container
		switch {
		case g.err != nil || ctx.Err() == nil:
			return c, g.err
		case w.session != nil:
			w.session.nextLocked()
		case w.kind == opens:
			c.opening--
			s.lingerLocked(c)
		}
		s.returnLocked(c, time.Now())
		return nil, ctx.Err()
	}
	err := ctx.Err()
	switch {
	case err != nil:
	case s.state == closed:
		err = ErrClosed
	default:
		s.count.refused++
		err = s.busyLocked(w.tenant, QueueTimeSpent) // judged while it is in line: its own wait counts
	}
	s.dequeueLocked(w)
	if ss := w.session; ss != nil && ss.lined == w {
		ss.nextLocked()
	}
	s.forgetLocked(w.tenant)
	s.settleLocked()
	return nil, err
}
