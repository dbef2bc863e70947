package containers

import (
	"context"
	"fmt"
	"time"

	"github.com/jsd-project/jsd/call"
)

var errUnclosed = fmt.Errorf("%w: a closed session went on", errProtocol)

// A session is the daemon's side of a context that the agent keeps. Its calls are sent one at a time:
// the next one goes when the agent has answered the one before. So none is late for having waited, and
// one that is given up before its turn was never sent.
type session struct {
	container *Container
	id        uint64
	bundle    string // that the agent has to hold until the session has ended; "" for none

	turn chan struct{} // one element while the agent is at a call
	over chan struct{} // closed when it takes no calls any more; Container.mu guards the closing
	done chan struct{} // closed when nothing of it is left in the agent

	// Container.mu guards what follows.
	answered bool        // the call that opens it
	lost     error       // why the container died, where that is what ended it
	unclosed *time.Timer // ends the container when a closed session goes on
}

// OpenSession evaluates call.Script, of which it takes code or files (or call.Bundle), file, globals,
// language and secrets, and keeps the context. It waits as Execute does, and has its errors; a context
// whose evaluation failed is not kept. call.Client serves the evaluation alone.
//
// The session lives until it is closed, a call in it ends it, or the container dies. Its calls count
// as calls of the container while they run. A call of its own from inside a callback waits for the call
// that waits for it: whoever allows that has to refuse it.
func (c *Container) OpenSession(ctx context.Context, job call.Call) (call.Session, error) {
	if err := c.takeSlot(ctx, nil); err != nil {
		return nil, err
	}
	s := &session{
		container: c,
		turn:      make(chan struct{}, 1),
		over:      make(chan struct{}),
		done:      make(chan struct{}),
	}
	c.mu.Lock()
	c.lastSession++
	s.id = c.lastSession
	c.mu.Unlock()
	pending := newPendingCall()
	pending.session, pending.opens = s, true
	if _, err := c.perform(ctx, job, pending); err != nil {
		if ctx.Err() != nil || pending.overdue {
			s.Close() // the agent may have opened it before it saw the cancel
		}
		return nil, err
	}
	return s, nil
}

// Execute is that of Session. The call's Timeout counts from its turn.
func (s *session) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	if ctx.Err() != nil {
		return call.Result{}, &call.Failure{Code: call.Cancelled}
	}
	if s.isOver() {
		return call.Result{}, call.ErrNoSession
	}
	select {
	case s.turn <- struct{}{}:
	case <-s.over:
		return call.Result{}, s.ending()
	case <-ctx.Done():
		return call.Result{}, &call.Failure{Code: call.Cancelled}
	}
	if err := s.container.takeSlot(ctx, s); err != nil {
		<-s.turn
		return call.Result{}, err
	}
	job.Bundle, job.Memory = nil, 0 // are the session's
	pending := newPendingCall()
	pending.session = s
	return s.container.perform(ctx, job, pending)
}

// Done is closed when the session's worker is gone: by the agent's word, or with the container.
func (s *session) Done() <-chan struct{} { return s.done }

// Close refuses calls from now on and has the agent end the session. An agent that does not is ended.
func (s *session) Close() {
	c := s.container
	encoded, err := encodeFrame(kindClose, sessionHeader{Session: s.id}, nil)
	if err != nil {
		c.end(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.isOver() {
		return
	}
	close(s.over)
	if c.sessions[s.id] == s { // else the agent has not heard of it
		asked := c.words.now()
		s.unclosed = time.AfterFunc(cancelGrace, func() {
			c.endFor(errUnclosed, asked, func() *time.Timer {
				if c.sessions[s.id] != s {
					return nil
				}
				return s.unclosed
			})
		})
		c.postLocked(outgoing{frame: encoded})
		c.pingLocked()
	}
}

// endLocked notes that the agent has the session no more; lost is nil where the container lives on.
func (s *session) endLocked(lost error) {
	if s.unclosed != nil {
		s.unclosed.Stop()
	}
	if !s.isOver() {
		s.lost = lost
		close(s.over)
	}
	close(s.done)
}

func (s *session) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// ending is the answer to a call that waited when the session ended.
func (s *session) ending() error {
	s.container.mu.Lock()
	defer s.container.mu.Unlock()
	if s.lost != nil {
		return &call.LostError{Cause: s.lost}
	}
	return call.ErrNoSession
}

func (c *Container) handleEnded(f frame) error {
	var h sessionHeader
	if err := decodeSmall(f, c.limits, &h); err != nil {
		return err
	}
	c.mu.Lock()
	s := c.sessions[h.Session]
	if s == nil || !s.answered {
		c.mu.Unlock()
		return fmt.Errorf("%w: the end of session %d, which is not open", errProtocol, h.Session)
	}
	delete(c.sessions, h.Session)
	s.endLocked(nil)
	c.mu.Unlock()
	if s.bundle != "" {
		c.bundles.release(s.bundle)
	}
	return nil
}

// sessionHeader is that of close and ended.
type sessionHeader struct {
	Session uint64 `json:"session"`
}
