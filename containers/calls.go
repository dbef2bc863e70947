package containers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jsd-project/jsd/call"
)

const (
	// deadlineGrace is how much later than the agent's the link's own deadline is. Timeout does not
	// count sending, a worker being replaced (some 100 ms, more on a busy machine) and a context
	// being made; an agent that needs five seconds for these is as good as dead.
	deadlineGrace = 5 * time.Second

	// cancelAnswer is how long a cancelled call waits for the agent, which kills the worker within
	// a few ms and tells what was printed.
	cancelAnswer = 50 * time.Millisecond

	// cancelGrace is how long an agent has to answer for a call that it was told to stop before the
	// container is ended. It only has to notice and to kill, but where the container gets a twentieth
	// of a processor and its workers are at endless loops, the killed one takes seconds to end.
	cancelGrace = 10 * time.Second
)

var (
	errOverdue     = fmt.Errorf("%w: a call is past its deadline", errProtocol)
	errUncancelled = fmt.Errorf("%w: a cancelled call went on", errProtocol)

	// errTwoCalls is the answer to a call in a session whose call before is not done: a fault of the daemon's.
	errTwoCalls = errors.New("two calls at once in a session")
)

// outcome is what a call comes to.
type outcome struct {
	result call.Result
	err    error
}

// A phase is how far a call is. It only goes forward.
type phase int

const (
	waiting    phase = iota // for a free slot of the agent, or for the call before it in its session
	starting                // it has its slot, and its frame is being made
	running                 // its frame is in the outbox, or has left it
	cancelling              // the agent was told to stop it, and its answer still counts
	abandoned               // it is done, and keeps its slot until the agent answers
)

// A pendingCall is a call from Start until the agent has answered it.
type pendingCall struct {
	container *Container
	job       *call.Call
	done      call.Done
	session   *session // that it runs in, or opens; nil for a call of its own
	opens     bool     // the session

	// These are set while the call starts, and not changed afterwards.
	id     uint64
	bundle string  // that the agent has to hold until it is done with the call; "" for none
	host   *hosted // nil where the script reaches nothing of its client

	// Container.mu guards what follows.
	phase     phase
	completed bool          // done was called, or is about to be
	cancelled bool          // by Cancel
	sent      bool          // its frame has been, or is being, written
	streams   int           // that the agent was not told the end of
	due       time.Duration // when the phase has lasted too long, on the clock of Container.words
	stopped   bool          // the agent was told to stop it
	stoppedAt time.Duration
	cause     error // ends the container when the call goes on although it was stopped
}

// Start starts a call. It waits for nobody: a call beyond Concurrency is sent when the agent has answered another.
// Done gets the result, a *Failure where the script came to no value, or a *LostError where the container died. A
// cancelled call is done within 50 ms or so; the agent is told to stop it, and its slot is free once the agent has. A call, or a
// part of its bundle, that is too long for a frame fails with LimitExceeded. Nothing of the call's Client runs any more when Done is called.
func (c *Container) Start(job *call.Call, done call.Done) call.Running {
	p := &pendingCall{container: c, job: job, done: done}
	c.start(p)
	return p
}

// Execute starts a call, waits until it is done, and cancels it when ctx ends.
func (c *Container) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	return await(ctx, func(done call.Done) call.Running { return c.Start(&job, done) })
}

// await starts a call, waits until it is done, and cancels it when ctx ends.
func await(ctx context.Context, start func(call.Done) call.Running) (call.Result, error) {
	if ctx.Err() != nil {
		return call.Result{}, &call.Failure{Code: call.Cancelled}
	}
	outcomes := make(chan outcome, 1)
	r := start(func(result call.Result, err error) { outcomes <- outcome{result, err} })
	defer context.AfterFunc(ctx, r.Cancel)()
	o := <-outcomes
	return o.result, o.err
}

// start puts a call in line, and sends it if it may be sent now.
func (c *Container) start(p *pendingCall) {
	c.mu.Lock()
	err := c.refusalLocked(p)
	if err == nil {
		c.waiting = append(c.waiting, p)
		if p.inSession() {
			p.session.call = p
		}
	}
	c.mu.Unlock()
	if err != nil {
		p.done(call.Result{}, err)
		return
	}
	c.startWaiting()
}

func (c *Container) refusalLocked(p *pendingCall) error {
	switch {
	case p.inSession() && p.session.isOver():
		return call.ErrNoSession
	case p.inSession() && p.session.call != nil:
		return errTwoCalls
	case c.cause != nil:
		return &call.LostError{Cause: c.cause}
	}
	return nil
}

// inSession tells of a call in a session that another call has opened.
func (p *pendingCall) inSession() bool { return p.session != nil && !p.opens }

// startWaiting sends the calls that may be sent, and completes those whose session has ended.
func (c *Container) startWaiting() {
	for {
		c.mu.Lock()
		p, err := c.nextLocked()
		c.mu.Unlock()
		switch {
		case p == nil:
			return
		case err != nil:
			p.complete(outcome{err: err})
		default:
			c.send(p)
		}
	}
}

// nextLocked takes a call out of the line that may be sent now, with a slot for it, or that is over, with its error.
func (c *Container) nextLocked() (*pendingCall, error) {
	for i, p := range c.waiting {
		switch {
		case p.inSession() && p.session.isOver():
			c.waiting = slices.Delete(c.waiting, i, i+1)
			p.claimLocked()
			return p, p.session.endingLocked()
		case c.atAgent < max(1, c.limits.Concurrency) && !(p.inSession() && p.session.busy):
			c.waiting = slices.Delete(c.waiting, i, i+1)
			c.acquireLocked(p)
			return p, nil
		}
	}
	return nil, nil
}

func (c *Container) acquireLocked(p *pendingCall) {
	c.atAgent++
	c.lastID++
	p.id, p.phase = c.lastID, starting
	switch {
	case p.opens:
		c.lastSession++
		p.session.id = c.lastSession
	case p.session != nil:
		p.session.busy = true
	}
}

// releaseLocked gives back what acquireLocked took.
func (c *Container) releaseLocked(p *pendingCall) {
	c.atAgent--
	if p.inSession() {
		p.session.busy = false
	}
}

// send hands the frame of a call to the writer, behind those of its bundle where the agent does not hold that.
func (c *Container) send(p *pendingCall) {
	if job := p.job; job.Client != nil && (job.Stream || len(job.Callbacks) > 0) {
		p.host = newHosted(job, c.limits)
	}
	encoded, err := encodeFrame(kindCall, headerOf(p), p.job.Script)
	switch bundle := p.job.Bundle; {
	case err != nil:
	case bundle == nil || p.inSession(): // the bundle is the session's
		c.submit(outgoing{frame: encoded, call: p})
	default:
		if p.opens {
			p.session.bundle = bundle.ID
		} else {
			p.bundle = bundle.ID
		}
		err = c.bundles.need(bundle, func(frames [][]byte) {
			c.submit(outgoing{pieces: frames, frame: encoded, call: p})
		})
	}
	if err == nil {
		return
	}
	c.mu.Lock()
	c.releaseLocked(p)
	p.claimLocked()
	c.mu.Unlock()
	if errors.Is(err, errFrameTooLong) {
		err = &call.Failure{Code: call.LimitExceeded, Limit: "frame"}
	} else {
		err = fmt.Errorf("encode a call: %w", err)
	}
	p.complete(outcome{err: err})
}

// submit registers a call and puts it in the outbox, or completes it where the link is dead.
func (c *Container) submit(o outgoing) {
	p := o.call
	c.mu.Lock()
	cause := c.cause
	if cause == nil {
		p.phase = running
		c.pending[p.id] = p
		if p.opens {
			c.sessions[p.session.id] = p.session
		}
		c.dueLocked(p, c.words.now()+p.job.Timeout+deadlineGrace)
		c.postLocked(o)
		if p.cancelled {
			c.cancelLocked(p)
		}
	} else {
		p.claimLocked()
	}
	c.mu.Unlock()
	if cause != nil {
		p.complete(outcome{err: &call.LostError{Cause: cause}})
	}
}

// claimLocked reports whether the caller is the one to complete the call, which is then the caller's duty.
func (p *pendingCall) claimLocked() bool {
	if p.completed {
		return false
	}
	p.completed = true
	if p.inSession() {
		p.session.call = nil
	}
	return true
}

// complete calls done, once the client is left alone. Whoever has claimed the call does so, without a lock.
func (p *pendingCall) complete(o outcome) {
	if p.host == nil {
		p.done(o.result, o.err)
		return
	}
	p.host.end(func() { p.done(o.result, o.err) })
}

// Cancel is described at call.Running.
func (p *pendingCall) Cancel() {
	c := p.container
	c.mu.Lock()
	completes := false
	switch {
	case p.cancelled || p.completed:
	case p.phase == waiting:
		c.waiting = slices.DeleteFunc(c.waiting, func(other *pendingCall) bool { return other == p })
		completes = p.claimLocked()
	case p.phase == running:
		c.cancelLocked(p)
	}
	p.cancelled = true
	c.mu.Unlock()
	if completes {
		p.complete(outcome{err: &call.Failure{Code: call.Cancelled}})
	}
}

// cancelLocked tells the agent to stop a call, whose answer counts for another moment.
func (c *Container) cancelLocked(p *pendingCall) {
	c.stopLocked(p, errUncancelled)
	p.phase = cancelling
	c.dueLocked(p, p.stoppedAt+cancelAnswer)
	if p.host != nil {
		p.host.stop()
	}
}

// stopLocked tells the agent to stop a call, and to give a sign of life. Where it does only the latter within
// cancelGrace, the link ends.
func (c *Container) stopLocked(p *pendingCall, cause error) {
	p.stopped, p.stoppedAt, p.cause = true, c.words.now(), cause
	c.endStreamsLocked(p)
	if encoded, err := encodeFrame(kindCancel, cancelHeader{ID: p.id}, nil); err == nil { // a number
		c.postLocked(outgoing{frame: encoded})
	}
	c.pingLocked()
}

// dueLocked sets when a call is looked at again. One timer does for all calls: it goes off at the earliest time that was set
// since it last did, and a call that was answered meanwhile is no longer there.
func (c *Container) dueLocked(p *pendingCall, at time.Duration) {
	p.due = at
	if c.alarmAt != 0 && c.alarmAt <= at {
		return
	}
	c.alarmAt = at
	if d := at - c.words.now(); c.alarm == nil {
		c.alarm = time.AfterFunc(d, c.checkDue)
	} else {
		c.alarm.Reset(d)
	}
}

// checkDue is what the timer calls.
func (c *Container) checkDue() {
	var late []*pendingCall // past their deadline
	var cancelled []*pendingCall
	var cause error
	c.mu.Lock()
	now := c.words.now()
	c.alarmAt = 0
	for _, p := range c.pending {
		if p.due <= now {
			switch p.phase {
			case running: // no answer of the agent counts any more
				c.stopLocked(p, errOverdue)
				p.phase, p.due = abandoned, p.stoppedAt+cancelGrace
				p.claimLocked()
				late = append(late, p)
			case cancelling:
				p.phase, p.due = abandoned, p.stoppedAt+cancelGrace
				p.claimLocked()
				cancelled = append(cancelled, p)
			case abandoned:
				if c.words.last() >= p.stoppedAt {
					cause = p.cause
				}
				p.due = now + cancelGrace // whether it is slow or dead is for watch to find out
			}
		}
		c.dueLocked(p, p.due)
	}
	c.mu.Unlock()
	for _, p := range late {
		p.complete(outcome{err: &call.Failure{Code: call.Timeout, Limit: "wall"}})
	}
	for _, p := range cancelled {
		p.complete(outcome{err: &call.Failure{Code: call.Cancelled}})
	}
	if len(late) > 0 {
		signal(c.overdue)
	}
	if cause != nil {
		c.end(cause)
	}
}

// lost is the answer to a call that met a dead link.
func (c *Container) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &call.LostError{Cause: c.cause}
}

// milliseconds rounds up, so that no time set becomes none.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

type callHeader struct {
	ID        uint64   `json:"id"`
	Timeout   int64    `json:"timeout"` // ms
	CPU       int64    `json:"cpu"`     // ms
	Bundle    string   `json:"bundle,omitempty"`
	Memory    int      `json:"memory,omitempty"` // MiB
	Stats     bool     `json:"stats,omitempty"`
	Open      uint64   `json:"open,omitempty"`    // the session it opens
	Session   uint64   `json:"session,omitempty"` // the session it runs in
	Stream    bool     `json:"stream,omitempty"`
	Callbacks []string `json:"callbacks,omitempty"`
}

func headerOf(p *pendingCall) callHeader {
	job := p.job
	h := callHeader{
		ID:      p.id,
		Timeout: milliseconds(job.Timeout),
		CPU:     milliseconds(job.CPU),
		Stats:   job.Stats,
	}
	if p.host != nil {
		h.Stream, h.Callbacks = job.Stream, job.Callbacks
	}
	if p.inSession() { // whose bundle and memory are those it was opened with
		h.Session = p.session.id
		return h
	}
	h.Memory = job.Memory
	if job.Bundle != nil {
		h.Bundle = job.Bundle.ID
	}
	if p.opens {
		h.Open = p.session.id
	}
	return h
}

type cancelHeader struct {
	ID uint64 `json:"id"`
}
