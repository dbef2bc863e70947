package scheduler

import (
	"errors"
	"time"

	"github.com/jsd-project/jsd/call"
)

// OpenSession opens a session in a container of the tenant. The container also runs the tenant's plain calls. The call waits
// for a slot as Start does, and uses it until opened is called. The errors are Start's. The result has Container, Queue and
// Cold, also if a session was opened. job.OneShot is ignored.
//
// The session's Start waits for a slot of that container, at most for the queue time. The slots go to the session's calls
// and the tenant's other calls in the order in which they came. Queue in the result is the wait. The errors are the
// container's and, before the call has a slot, Scheduler.Start's, and call.ErrNoSession if the session has ended.
//
// A session has one call in flight: its caller starts a call when the call before is done. Done and Close are those of the
// container's session. The session pins its container until Done is closed.
func (s *Scheduler) OpenSession(tenant string, job *call.Call, opened func(call.Session, call.Result, error)) call.Running {
	return s.start(tenant, request{
		kind: opens,
		job:  job,
		done: func(res call.Result, err error) { opened(nil, res, err) },
		start: func(c *container, waited time.Duration) call.Running {
			return s.openIn(c, job, waited, opened)
		},
	})
}

// A session is an open session in a tenant's container.
type session struct {
	scheduler *Scheduler
	*pin
}

var (
	// errEnded is the cause of a LostError of a session that was opened in a container that is being closed.
	errEnded = errors.New("container ended as a session was opened")

	// errInFlight is the error of a second call in flight. It is a bug of the caller.
	errInFlight = errors.New("a session was given a call before the one in it was done")
)

// openIn opens a session in a container in which the request has a slot. waited is how long it waited for the slot.
func (s *Scheduler) openIn(c *container, job *call.Call, waited time.Duration, opened func(call.Session, call.Result, error)) call.Running {
	cold, began := c.used.CompareAndSwap(false, true), time.Now()
	return c.OpenSession(job, func(given call.Session, res call.Result, err error) {
		p, err := s.completeOpening(c, given, err, began)
		res.Container, res.Queue, res.Cold = c.ID(), waited, cold
		if err != nil {
			opened(nil, res, err)
		} else {
			opened(&session{s, p}, res, nil)
		}
	})
}

// completeOpening releases the slot of a call that opened a session. If there is no error, it returns the session's pin on
// the container.
func (s *Scheduler) completeOpening(c *container, given call.Session, err error, began time.Time) (*pin, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.unlock()
	var p *pin
	if err == nil && c.closing {
		err = &call.LostError{Started: true, Cause: errEnded} // the session ends with the container
	}
	if err == nil {
		p = &pin{session: given, container: c}
		p.place.item = p
		c.pins.push(&p.place)
		s.alloc.pool.sessions++
		s.live.Go(func() { // the container's goroutine is in live still, so Close waits for this one, too
			<-given.Done()
			s.unpin(p)
		})
	}
	s.alloc.pool.opened(c)
	s.alloc.complete(c, began, now)
	return p, err
}

// unpin removes the pin of a session that has ended. It closes a draining container without calls and sessions.
func (s *Scheduler) unpin(p *pin) {
	s.mu.Lock()
	defer s.unlock()
	a, c, now := s.alloc, p.container, time.Now()
	a.queue.close(p)
	p.place.remove()
	a.pool.sessions--
	switch {
	case !c.draining:
		a.onIdle(c, now)
	case c.pins.length == 0:
		a.pool.countPinned(c)
		a.pool.closeIfUnused(c)
		a.balance(now)
	}
}

// Start starts a call in the session. It is described at OpenSession.
func (ss *session) Start(job *call.Call, done call.Done) call.Running {
	s := ss.scheduler
	w, err := s.acquirePinned(ss.pin, request{kind: plain, job: job, done: done})
	switch {
	case err != nil:
		done(call.Result{}, err)
		return over{}
	case w != nil:
		return pending{s, w}
	default:
		return s.startPinned(ss.pin, job, done, 0)
	}
}

// acquirePinned acquires a slot for a call in a session. It returns a waiter if the call has to wait, and nil if the call
// has the slot.
func (s *Scheduler) acquirePinned(p *pin, r request) (*waiter, error) {
	s.mu.Lock()
	defer s.unlock()
	switch {
	case s.alloc.state != open:
		return nil, ErrClosed
	case p.closed:
		return nil, call.ErrNoSession
	case p.inFlight:
		return nil, errInFlight
	}
	w, err := s.alloc.admitPinned(p, r, time.Now())
	if w != nil {
		w.start = func(_ *container, waited time.Duration) call.Running { return s.startPinned(p, r.job, r.done, waited) }
		s.setTimerLocked(w)
	}
	return w, err
}

// startPinned starts a call in a session that has a slot. waited is how long it waited for the slot.
func (s *Scheduler) startPinned(p *pin, job *call.Call, done call.Done, waited time.Duration) call.Running {
	c, began := p.container, time.Now()
	return p.session.Start(job, func(res call.Result, err error) {
		now := time.Now()
		s.mu.Lock()
		p.inFlight = false
		s.alloc.complete(c, began, now)
		s.unlock()
		res.Container, res.Queue = c.ID(), waited
		done(res, err)
	})
}

// Done returns a channel that is closed when the session has ended.
func (ss *session) Done() <-chan struct{} { return ss.session.Done() }

// Close ends the session and the call that runs in it. A call that waits fails with call.ErrNoSession.
func (ss *session) Close() {
	s := ss.scheduler
	s.mu.Lock()
	s.alloc.queue.close(ss.pin)
	s.unlock()
	ss.session.Close()
}
