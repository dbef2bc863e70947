package containers

import (
	"context"
	"fmt"
	"time"

	"github.com/jsd-project/jsd/call"
)

var errUnclosed = fmt.Errorf("%w: a closed session went on", errProtocol)

// A session is the daemon's side of a context that the agent keeps. Its calls are sent one at a time:
// the next one goes when the agent has answered the one before.
type session struct {
	container *Container
	id        uint64
	bundle    string // that the agent has to hold until the session has ended; "" for none

	turn chan struct{} // one element while Execute is at a call
	over chan struct{} // closed when it takes no calls any more; Container.mu guards the closing
	done chan struct{} // closed when nothing of it is left in the agent

	// Container.mu guards what follows.
	answered bool         // the call that opens it
	call     *pendingCall // the call in it that is not done
	busy     bool         // the agent is at a call in it
	lost     error        // why the container died, where that is what ended it
	unclosed *time.Timer  // ends the container when a closed session goes on
}

// OpenSession evaluates call.Script, of which it takes code or files (or call.Bundle), file, globals,
// language and secrets, and keeps the context. It starts the call as Start does, and has its errors; a context
// whose evaluation failed is not kept. call.Client serves the evaluation alone.
//
// The session lives until it is closed, a call in it ends it, or the container dies. Its calls count
// as calls of the container while they run.
func (c *Container) OpenSession(job *call.Call, done func(call.Session, call.Result, error)) call.Running {
	s := &session{
		container: c,
		turn:      make(chan struct{}, 1),
		over:      make(chan struct{}),
		done:      make(chan struct{}),
	}
	p := &pendingCall{container: c, job: job, session: s, opens: true}
	p.done = func(result call.Result, err error) {
		if err == nil {
			done(s, result, nil)
			return
		}
		if p.wasStopped() {
			s.Close() // the agent may have opened it before it saw the cancel
		}
		done(nil, result, err)
	}
	c.start(p)
	return p
}

// wasStopped tells of a call that was cancelled or past its deadline.
func (p *pendingCall) wasStopped() bool {
	p.container.mu.Lock()
	defer p.container.mu.Unlock()
	return p.cancelled || p.stopped
}

// OpenSessionContext opens a session, waits until that is done, and cancels it when ctx ends.
func (c *Container) OpenSessionContext(ctx context.Context, job call.Call) (call.Session, error) {
	var opened call.Session
	_, err := await(ctx, func(done call.Done) call.Running {
		return c.OpenSession(&job, func(s call.Session, result call.Result, err error) {
			opened = s
			done(result, err)
		})
	})
	return opened, err
}

// Start starts a call in the session. It is for when the call before is done; until then it is an error. Where that call was
// cancelled and the agent has not answered it, the new one waits for that.
func (s *session) Start(job *call.Call, done call.Done) call.Running {
	p := &pendingCall{container: s.container, job: job, done: done, session: s}
	s.container.start(p)
	return p
}

// Execute waits for the calls before it, starts a call, waits until it is done, and cancels it when ctx ends.
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
	defer func() { <-s.turn }()
	if s.isOver() {
		return call.Result{}, s.ending()
	}
	return await(ctx, func(done call.Done) call.Running { return s.Start(&job, done) })
}

// Done is closed when the session's worker is gone: by the agent's word, or with the container.
func (s *session) Done() <-chan struct{} { return s.done }

// Close refuses calls from now on and has the agent end the session. An agent that does not is ended.
func (s *session) Close() {
	if s.close() {
		s.container.startWaiting()
	}
}

// close reports false of a session that was over already.
func (s *session) close() bool {
	c := s.container
	encoded, err := encodeFrame(kindClose, sessionHeader{Session: s.id}, nil)
	if err != nil {
		c.end(err)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.isOver() {
		return false
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
	return true
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
	return s.endingLocked()
}

func (s *session) endingLocked() error {
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
	c.startWaiting()
	return nil
}

// sessionHeader is that of close and ended.
type sessionHeader struct {
	Session uint64 `json:"session"`
}
