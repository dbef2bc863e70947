package scheduler

import (
	"errors"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A session is one in a container of a tenant. It has one call in flight, which waits for a slot of the container or has one.
type session struct {
	call.Session
	scheduler *Scheduler
	container *container
	place     link[*session] // in its container's

	// Scheduler.mu guards what follows.
	inFlight bool    // a call waits or has a slot
	lined    *waiter // the call that waits, or nil
	over     bool    // takes no calls any more
}

// errInFlight is a bug of whoever keeps the order of a session's calls.
var errInFlight = errors.New("a session was given a call before the one in it was done")

// errEnded is why a session that was opened in a container on its way out is lost.
var errEnded = errors.New("container ended as a session was opened")

// opened releases the slot of a call that opened a session, which from then on holds the container.
func (s *Scheduler) opened(c *container, given call.Session, err error, began time.Time) (*session, error) {
	now := time.Now()
	s.mu.Lock()
	defer s.unlock()
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
	defer s.unlock()
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

// Start is described at Scheduler.OpenSession.
func (ss *session) Start(job *call.Call, done call.Done) call.Running {
	s := ss.scheduler
	s.mu.Lock()
	w, err := ss.claimLocked(request{kind: plain, job: job, done: done})
	s.unlock()
	switch {
	case err != nil:
		done(call.Result{}, err)
		return over{}
	case w != nil:
		return w
	default:
		return ss.begin(job, 0, done)
	}
}

// begin starts a call that has a slot.
func (ss *session) begin(job *call.Call, queue time.Duration, done call.Done) call.Running {
	began := time.Now()
	return ss.Session.Start(job, func(res call.Result, err error) {
		ss.release(began)
		res.Container, res.Queue = ss.container.ID(), queue
		done(res, err)
	})
}

// Close ends the session with the call that runs; one that waits gets call.ErrNoSession.
func (ss *session) Close() {
	s := ss.scheduler
	s.mu.Lock()
	ss.overLocked()
	s.unlock()
	ss.Session.Close()
}

// claimLocked takes a slot, or gives what waits for one.
func (ss *session) claimLocked(r request) (*waiter, error) {
	s, c := ss.scheduler, ss.container
	t := c.tenant
	switch {
	case s.state != open:
		return nil, ErrClosed
	case ss.over:
		return nil, call.ErrNoSession
	case ss.inFlight:
		return nil, errInFlight
	}
	if err := s.meterLocked(t); err != nil {
		return nil, err
	}
	if c.running < c.slots { // nobody waits for it: then it would have been given away
		ss.inFlight = true
		s.takeLocked(c, plain)
		return nil, nil
	}
	if err := s.boundLocked(t); err != nil {
		return nil, err
	}
	w := newWaiter(s, t, r)
	w.session = ss
	ss.inFlight, ss.lined = true, w
	c.waiting.push(&w.place)
	s.queued++
	t.queued++
	s.timeLocked(w)
	return w, nil
}

// release gives back the slot of a call that has ended.
func (ss *session) release(began time.Time) {
	now := time.Now()
	s := ss.scheduler
	s.mu.Lock()
	ss.inFlight = false
	s.releaseLocked(ss.container, began, now)
	s.unlock()
}

// overLocked refuses calls from now on, and the one that waits.
func (ss *session) overLocked() {
	if ss.over {
		return
	}
	ss.over = true
	if w := ss.lined; w != nil {
		ss.scheduler.dequeueLocked(w)
		ss.scheduler.refuseLocked(w, call.ErrNoSession)
	}
}
