package scheduler

import (
	"time"

	"github.com/jsd-project/jsd/call"
)

// Start runs a call in a container of the tenant. If job.OneShot is set, the container runs nothing else. If no slot is
// free, the call waits for one. Start calls done exactly once with the result or an error.
//
// After an error of the container, the result has Container, Queue and Cold all the same. A result without Container comes
// with one of these errors:
//   - a *call.Failure with the code Cancelled: the call was cancelled while it waited;
//   - a *call.BusyError: too many calls wait, or this one waited too long;
//   - ErrClosed.
//
// A script that may have started is never started again.
func (s *Scheduler) Start(tenant string, job *call.Call, done call.Done) call.Running {
	k := plain
	if job.OneShot {
		k = oneShot
	}
	return s.start(tenant, request{kind: k, job: job, done: done})
}

// over is the Running of a call that was refused.
type over struct{}

func (over) Cancel() {}

// pending is the Running of a call that had to wait.
type pending struct {
	scheduler *Scheduler
	waiter    *waiter
}

func (p pending) Cancel() { p.scheduler.cancelWaiter(p.waiter) }

// start admits the request and starts it if it got a slot.
func (s *Scheduler) start(name string, r request) call.Running {
	s.mu.Lock()
	if s.alloc.state != open {
		s.mu.Unlock()
		r.done(call.Result{}, ErrClosed)
		return over{}
	}
	now := time.Now()
	c, w, err := s.alloc.admit(name, r, now)
	s.setTimerLocked(w)
	s.unlock()
	switch {
	case err != nil:
		r.done(call.Result{}, err)
		return over{}
	case w != nil:
		return pending{s, w}
	case !c.dead():
		return s.startIn(c, &r, now, 0)
	}
	// The container died after it was chosen, or shortly before and its goroutine has not noticed yet. Nothing was sent, so
	// the call may run elsewhere.
	w = newWaiter(c.tenant, r)
	s.moveWaiter(w, c)
	return pending{s, w}
}

// startIn starts a request in a container in which it has a slot. waited is how long it waited for the slot.
func (s *Scheduler) startIn(c *container, r *request, began time.Time, waited time.Duration) call.Running {
	if r.start != nil {
		return r.start(c, waited)
	}
	cold := c.used.CompareAndSwap(false, true)
	done := r.done
	return c.Start(r.job, func(res call.Result, err error) {
		s.complete(c, began)
		res.Container, res.Queue, res.Cold = c.ID(), waited, cold
		done(res, err)
	})
}

// complete releases the slot of a call that has ended.
func (s *Scheduler) complete(c *container, began time.Time) {
	now := time.Now()
	s.mu.Lock()
	s.alloc.complete(c, began, now)
	s.unlock()
}

// unlock unlocks the mutex. Then it starts the waiting calls that were granted a slot in the meantime, and answers the ones
// that were refused. Every section that may grant or refuse a slot ends with unlock.
func (s *Scheduler) unlock() {
	a := s.alloc
	decided := a.queue.decided
	a.queue.decided = nil
	if a.state == draining && a.pool.running == 0 && a.queue.queued == 0 {
		a.setState(drained)
		close(s.drained)
	}
	s.mu.Unlock()
	for _, w := range decided {
		s.proceed(w)
	}
}

// proceed starts a call that was granted a slot, or answers one that was refused.
func (s *Scheduler) proceed(w *waiter) {
	switch {
	case w.err != nil:
		w.done(call.Result{Queue: w.waited}, w.err)
		return
	case w.cancelled.Load():
		s.mu.Lock()
		s.alloc.giveBack(w)
		s.unlock()
		w.done(call.Result{Queue: w.waited}, errCancelled())
		return
	case w.pin == nil && !w.moved && w.container.dead():
		s.moveWaiter(w, w.container)
		return
	}
	running := s.startIn(w.container, &w.request, time.Now(), w.waited)
	s.mu.Lock()
	w.running = running
	s.mu.Unlock()
	if w.cancelled.Load() { // after the check above
		running.Cancel()
	}
}

// moveWaiter releases a request's slot in a dead container and admits the request again. A request is moved once only,
// because it might meet one dying container after the other.
func (s *Scheduler) moveWaiter(w *waiter, dead *container) {
	s.mu.Lock()
	s.alloc.readmit(w, dead)
	s.setTimerLocked(w)
	s.unlock()
}

// setTimerLocked bounds the wait of a call in a queue by its tenant's queue time. It does nothing for other calls and for
// nil.
func (s *Scheduler) setTimerLocked(w *waiter) {
	if w != nil && w.waits() {
		w.timer = time.AfterFunc(w.tenant.policy.QueueTime, func() { s.expire(w) })
	}
}

// expire refuses a call that got no slot within its queue time.
func (s *Scheduler) expire(w *waiter) {
	s.mu.Lock()
	if w.waits() {
		s.alloc.withdraw(w, s.alloc.pace.busy(w.tenant, QueueTimeSpent)) // before the call is removed: its own wait counts for the estimate
	}
	s.unlock()
}

// cancelWaiter cancels a call that had to wait. A call in a queue is refused, and a running call is cancelled in its
// container.
func (s *Scheduler) cancelWaiter(w *waiter) {
	s.mu.Lock()
	w.cancelled.Store(true)
	if w.waits() {
		s.alloc.withdraw(w, errCancelled())
	}
	running := w.running
	s.unlock()
	if running != nil {
		running.Cancel()
	}
}
