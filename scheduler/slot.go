package scheduler

import (
	"slices"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A request is what a caller asks for: a call, or a session to be opened.
type request struct {
	kind   kind
	job    *call.Call
	done   call.Done                              // of a call
	opened func(call.Session, call.Result, error) // of a session
}

// answer is the end of a request that did not reach a container.
func (r *request) answer(res call.Result, err error) {
	if r.kind == opens {
		r.opened(nil, res, err)
	} else {
		r.done(res, err)
	}
}

// over is what Start returns for a call that has ended already.
type over struct{}

func (over) Cancel() {}

// start takes a slot for the request and begins it there, or lets it wait for one.
func (s *Scheduler) start(name string, r request) call.Running {
	s.mu.Lock()
	if s.state != open {
		s.mu.Unlock()
		r.answer(call.Result{}, ErrClosed)
		return over{}
	}
	c, w, err := s.admitLocked(name, r)
	s.unlock()
	switch {
	case err != nil:
		r.answer(call.Result{}, err)
		return over{}
	case w != nil:
		return w
	case !c.dead():
		return s.startIn(c, &r, 0)
	}
	// It died after it was chosen, or just before its goroutine could say so. Nothing was sent, so the call may go elsewhere.
	w = newWaiter(s, c.tenant, r)
	s.elsewhere(w, c)
	return w
}

// startIn begins a request in a container in which it has a slot.
func (s *Scheduler) startIn(c *container, r *request, queue time.Duration) call.Running {
	cold, began := c.used.CompareAndSwap(false, true), time.Now()
	if r.kind == opens {
		opened := r.opened
		return c.OpenSession(r.job, func(given call.Session, res call.Result, err error) {
			ss, err := s.opened(c, given, err, began)
			res.Container, res.Queue, res.Cold = c.ID(), queue, cold
			if err != nil {
				opened(nil, res, err)
			} else {
				opened(ss, res, nil)
			}
		})
	}
	done := r.done
	return c.Start(r.job, func(res call.Result, err error) {
		s.release(c, began)
		res.Container, res.Queue, res.Cold = c.ID(), queue, cold
		done(res, err)
	})
}

// unlock releases the mutex, and then starts the calls that were granted a slot under it and answers those that were
// refused one. Every section that may do either ends with it.
func (s *Scheduler) unlock() {
	decided := s.decided
	s.decided = nil
	s.mu.Unlock()
	for _, w := range decided {
		w.proceed()
	}
}

// admitLocked gives a slot, what waits for one, or why there is neither.
func (s *Scheduler) admitLocked(name string, r request) (*container, *waiter, error) {
	k := r.kind
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
	w, err := s.enqueueLocked(t, r)
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

// elsewhere gives back a waiter's slot in a dead container for one elsewhere; only once, lest the call chase containers that
// keep dying. The call keeps its rank, so it goes in front of its tenant's queue, and past the bounds, which it was judged
// by already.
func (s *Scheduler) elsewhere(w *waiter, dead *container) {
	s.mu.Lock()
	defer s.unlock()
	k := w.request.kind
	s.running--
	dead.running--
	if k == opens {
		dead.opening--
		s.lingerLocked(dead)
	}
	s.retireLocked(dead, whyDied)
	t := s.tenantLocked(dead.tenant.name, k)
	w.tenant, w.since, w.moved = t, time.Now(), true
	refuse := func(err error) {
		s.refuseLocked(w, err)
		s.forgetLocked(t)
		s.balanceLocked(time.Now())
		s.settleLocked()
	}
	switch {
	case s.state == closed:
		refuse(ErrClosed)
		return
	case w.cancelled.Load():
		refuse(errCancelled())
		return
	}
	if c := s.claimLocked(t, k); c != nil {
		s.grantLocked(w, c)
		s.balanceLocked(time.Now())
		return
	}
	if k == opens && !s.mayWaitToHoldLocked(t) {
		refuse(s.heldFullLocked())
		return
	}
	t.waiting.pushFront(&w.place)
	s.queuedLocked(w)
}

// release gives back the slot of a call that has ended.
func (s *Scheduler) release(c *container, began time.Time) {
	now := time.Now()
	s.mu.Lock()
	s.releaseLocked(c, began, now)
	s.unlock()
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
