package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A session is one in a container of a tenant. It has one call at a time in line for a slot or in one;
// those behind it wait here, so that they take no slots from others. A call that ends leaves its
// slot to whoever is next: the session's next call lines up anew.
type session struct {
	call.Session
	scheduler *Scheduler
	container *container
	place     link[*session] // in its container's

	// Scheduler.mu guards what follows.
	running bool          // a call has a slot
	lined   *waiter       // the one in its container's queue, or nil
	waiting list[*waiter] // those behind it
	over    bool          // takes no calls any more
}

// errEnded is why a session that was opened in a container on its way out is lost.
var errEnded = errors.New("container ended as a session was opened")

// OpenSession opens a session in the container of the tenant that its calls without Once run in, after
// waiting for one as Run does. It counts as a call until it returns, and its errors are Run's, with the
// same in the result: beside a session that is Container, Queue and Cold, too. call.OneShot stands for nothing here.
//
// The session's Execute waits for a slot of that container, no longer than the queue time from its beginning,
// and in line with the tenant's other calls: first come, first served, where a call behind another of
// its session comes when that one has ended. The time it waited is in Queue. Its errors are the
// container's, and while it waits ctx's if the caller gave up, a *call.BusyError, ErrClosed, or
// call.ErrNoSession where the session ended. Done and Close are the container's; the container
// is held until Done is closed.
func (s *Scheduler) OpenSession(ctx context.Context, tenant string, job call.Call) (call.Session, call.Result, error) {
	job.OneShot = false
	c, queue, err := s.slot(ctx, tenant, opens)
	if err != nil {
		return nil, call.Result{Queue: queue}, err
	}
	res := call.Result{Container: c.ID(), Queue: queue, Cold: c.used.CompareAndSwap(false, true)}
	began := time.Now()
	given, err := c.OpenSession(ctx, job)
	ss, err := s.opened(c, given, err, began)
	if err != nil {
		return nil, res, err
	}
	return ss, res, nil
}

// opened releases the slot of a call that opened a session, which from then on holds the container.
func (s *Scheduler) opened(c *container, given call.Session, err error, began time.Time) (*session, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c.opening--
	if err == nil && c.ended {
		err = &call.LostError{Started: true, Cause: errEnded} // the session ends with it
	}
	var ss *session
	if err == nil {
		ss = &session{Session: given, scheduler: s, container: c}
		ss.place.item = ss
		c.sessions.push(&ss.place)
		s.sessions++
		s.live.Go(func() { // while that of the container, not ended, goes on: so Close waits for it, too
			<-ss.Done()
			s.ended(ss)
		})
	}
	s.lingerLocked(c)
	s.releaseLocked(c, began, now)
	return ss, err
}

// ended follows the end of a session, which holds its container no more.
func (s *Scheduler) ended(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss.overLocked()
	ss.place.leave()
	s.sessions--
	c, now := ss.container, time.Now()
	switch {
	case !c.retired:
		s.easedLocked(c, now)
	case c.sessions.length == 0:
		s.lingerLocked(c)
		s.endIfUnusedLocked(c)
		s.balanceLocked(now)
	}
}

// Execute is described at OpenSession.
func (ss *session) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	queue, err := ss.acquire(ctx)
	if err != nil {
		return call.Result{Queue: queue}, err
	}
	defer ss.release(time.Now())
	res, err := ss.Session.Execute(ctx, job)
	res.Container, res.Queue = ss.container.ID(), queue
	return res, err
}

// Close ends the session with the call that runs; those that wait get call.ErrNoSession.
func (ss *session) Close() {
	s := ss.scheduler
	s.mu.Lock()
	ss.overLocked()
	s.mu.Unlock()
	ss.Session.Close()
}

// acquire takes a slot for a call, and says how long that was waited for.
func (ss *session) acquire(ctx context.Context) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	began := time.Now()
	ss.scheduler.mu.Lock()
	w, err := ss.claimLocked()
	ss.scheduler.mu.Unlock()
	if w == nil {
		return 0, err
	}
	_, _, err = ss.scheduler.wait(ctx, w)
	return time.Since(began), err
}

// claimLocked takes a slot, or gives what waits for one.
func (ss *session) claimLocked() (*waiter, error) {
	s, c := ss.scheduler, ss.container
	t := c.tenant
	switch {
	case s.state != open:
		return nil, ErrClosed
	case ss.over:
		return nil, call.ErrNoSession
	}
	if err := s.meterLocked(t); err != nil {
		return nil, err
	}
	first := !ss.running && ss.lined == nil
	if first && c.running < c.slots { // nobody waits for it: then it would have been given away
		ss.running = true
		s.takeLocked(c, plain)
		return nil, nil
	}
	if err := s.refuseLocked(t); err != nil {
		return nil, err
	}
	w := newWaiter(t, plain)
	w.session = ss
	ss.waiting.push(&w.place)
	s.queued++
	t.queued++
	if first {
		ss.nextLocked()
	}
	return w, nil
}

// release gives back the slot of a call that has ended.
func (ss *session) release(began time.Time) {
	now := time.Now()
	s := ss.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	ss.nextLocked()
	s.releaseLocked(ss.container, began, now)
}

// nextLocked lets the next call line up, now that the one before has ended or gave up. It does not look
// for a free slot.
func (ss *session) nextLocked() {
	ss.running, ss.lined = false, ss.waiting.front()
	if w := ss.lined; w != nil {
		w.place.leave()
		w.since = time.Now()
		ss.container.waiting.push(&w.place)
	}
}

// overLocked refuses calls from now on, and those that wait.
func (ss *session) overLocked() {
	if ss.over {
		return
	}
	ss.over = true
	refuse := func(w *waiter) {
		ss.scheduler.dequeueLocked(w)
		w.granted <- grant{err: call.ErrNoSession}
	}
	if ss.lined != nil {
		refuse(ss.lined)
		ss.lined = nil
	}
	for w := ss.waiting.front(); w != nil; w = ss.waiting.front() {
		refuse(w)
	}
}
