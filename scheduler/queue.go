package scheduler

import (
	"sync/atomic"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A kind says what a call wants besides a slot.
type kind int

const (
	plain kind = iota
	once       // a container for itself
	opens      // a session: it holds the container
)

// A waiter is a call that waits for a slot. It is in its tenant's queue, or one of a session in its container's, until it is
// granted a slot, refused or cancelled, and whichever comes first under the mutex is what happened.
type waiter struct {
	request
	scheduler *Scheduler
	tenant    *tenant
	session   *session      // that it is a call in, or nil
	since     time.Time     // when it came into the queue
	queued    time.Duration // that it has waited, in all
	moved     bool          // it was given a container that was dead
	place     link[*waiter]
	timer     *time.Timer // for its queue time

	container *container // in which it was granted a slot
	err       error      // or why there is none
	cancelled atomic.Bool
	running   call.Running // once it was started
}

func newWaiter(s *Scheduler, t *tenant, r request) *waiter {
	w := &waiter{request: r, scheduler: s, tenant: t, since: time.Now()}
	w.place.item = w
	return w
}

// Cancel is described at call.Running.
func (w *waiter) Cancel() {
	s := w.scheduler
	s.mu.Lock()
	w.cancelled.Store(true)
	if w.place.in != nil {
		s.withdrawLocked(w, errCancelled())
	}
	running := w.running
	s.unlock()
	if running != nil {
		running.Cancel()
	}
}

func errCancelled() error { return &call.Failure{Code: call.Cancelled} }

// expire ends a wait that got nothing within the queue time.
func (w *waiter) expire() {
	s := w.scheduler
	s.mu.Lock()
	defer s.unlock()
	if w.place.in != nil {
		s.count.refused++
		s.withdrawLocked(w, s.busyLocked(w.tenant, QueueTimeSpent)) // judged while it is in line: its own wait counts
	}
}

// proceed starts a waiter that was granted a slot, and answers one that was refused.
func (w *waiter) proceed() {
	s, c := w.scheduler, w.container
	switch {
	case w.err != nil:
		w.answer(call.Result{Queue: w.queued}, w.err)
		return
	case w.cancelled.Load():
		s.giveBack(w)
		w.answer(call.Result{Queue: w.queued}, errCancelled())
		return
	case w.session == nil && !w.moved && c.dead():
		s.elsewhere(w, c)
		return
	}
	var running call.Running
	if w.session != nil {
		running = w.session.begin(w.job, w.queued, w.done)
	} else {
		running = s.startIn(c, &w.request, w.queued)
	}
	s.mu.Lock()
	w.running = running
	s.mu.Unlock()
	if w.cancelled.Load() {
		running.Cancel()
	}
}

// giveBack returns a slot that its waiter does not use, so that it goes to whoever is next.
func (s *Scheduler) giveBack(w *waiter) {
	s.mu.Lock()
	defer s.unlock()
	switch {
	case w.session != nil:
		w.session.inFlight = false
	case w.kind == opens:
		w.container.opening--
		s.lingerLocked(w.container)
	}
	s.returnLocked(w.container, time.Now())
}

func (s *Scheduler) grantLocked(w *waiter, c *container) {
	w.container = c
	s.decideLocked(w)
}

func (s *Scheduler) refuseLocked(w *waiter, err error) {
	w.err = err
	if w.session != nil {
		w.session.inFlight, w.session.lined = false, nil
	}
	s.decideLocked(w)
}

// decideLocked leaves a waiter that is in no queue any more to unlock.
func (s *Scheduler) decideLocked(w *waiter) {
	w.queued += time.Since(w.since)
	if w.timer != nil {
		w.timer.Stop()
	}
	s.decided = append(s.decided, w)
}

// withdrawLocked refuses a waiter that is in a queue.
func (s *Scheduler) withdrawLocked(w *waiter, err error) {
	s.dequeueLocked(w)
	s.refuseLocked(w, err)
	s.forgetLocked(w.tenant)
	s.settleLocked()
}

// enqueueLocked lets a call wait, or refuses it where too many do.
func (s *Scheduler) enqueueLocked(t *tenant, r request) (*waiter, error) {
	if err := s.boundLocked(t); err != nil {
		return nil, err
	}
	w := newWaiter(s, t, r)
	t.waiting.push(&w.place)
	s.queuedLocked(w)
	return w, nil
}

// boundLocked says why no more calls of the tenant may wait, if so.
func (s *Scheduler) boundLocked(t *tenant) error {
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
	s.timeLocked(w)
}

// timeLocked bounds the wait of one that was not served at once.
func (s *Scheduler) timeLocked(w *waiter) {
	if w.place.in != nil {
		w.timer = time.AfterFunc(w.tenant.policy.QueueTime, w.expire)
	}
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
			s.refuseLocked(w, s.heldFullLocked())
			s.settleLocked()
			continue
		}
		s.takeLocked(c, w.kind)
		if w.session != nil {
			w.session.lined = nil
		}
		s.grantLocked(w, c)
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
