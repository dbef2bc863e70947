package containers

import (
	"context"
	"errors"
	"fmt"
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
)

// outcome is what Execute returns.
type outcome struct {
	result call.Result
	err    error
}

// A pendingCall waits for the agent's answer. It stays pending, and holds its slot, after a
// cancelled Execute has returned.
type pendingCall struct {
	id      uint64
	bundle  string       // that the agent has to hold until it is done with the call; "" for none
	host    *hosted      // nil where the script reaches nothing of its client
	session *session     // that it runs in, or opens; nil for a call of its own
	opens   bool         // the session
	network call.Network // nil: there is none for it
	streams int          // that the agent was not told the end of; guarded by Container.mu
	sent    bool         // its frame has been, or is being, written; guarded by Container.mu while pending
	answer  chan outcome // of one element, so that settle never waits

	overdue   bool        // its client was told so; for the goroutine that performs it
	abandoned *time.Timer // ends the container when a call that was to stop goes on; guarded by Container.mu
}

func newPendingCall() *pendingCall { return &pendingCall{answer: make(chan outcome, 1)} }

// settle gives the call its answer. Only who took it out of pending, or could not put it there, may
// do so, hence once.
func (p *pendingCall) settle(o outcome) {
	if p.abandoned != nil {
		p.abandoned.Stop()
	}
	p.answer <- o
}

// Execute runs a call and returns its result, a *Failure where the script came to no value, or a
// *LostError where the container died. It waits while Concurrency calls are at work. When ctx ends it
// returns a Failure with code Cancelled within 50 ms or so; the agent is told to stop the call, and
// its slot is free once the agent has. A call, or a part of its bundle, that is too long for a frame
// fails with LimitExceeded. The call's Host is not called any more when Execute has returned.
func (c *Container) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	if err := c.takeSlot(ctx, nil); err != nil {
		return call.Result{}, err
	}
	return c.perform(ctx, job, newPendingCall())
}

// takeSlot waits until the agent may be given another call. Where that is one in a session, it waits
// no longer than the session lasts.
func (c *Container) takeSlot(ctx context.Context, s *session) error {
	if ctx.Err() != nil {
		return &call.Failure{Code: call.Cancelled}
	}
	var over <-chan struct{}
	if s != nil {
		over = s.over
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-c.dead:
		return c.lost()
	case <-over:
		return s.ending()
	case <-ctx.Done():
		return &call.Failure{Code: call.Cancelled}
	}
}

// free gives back what a call held of the agent.
func (c *Container) free(pending *pendingCall) {
	<-c.slots
	if pending.session != nil && !pending.opens {
		<-pending.session.turn
	}
}

// perform runs a call that has its slot, and its turn where it has to wait for one.
func (c *Container) perform(ctx context.Context, job call.Call, pending *pendingCall) (call.Result, error) {
	if job.Client != nil && (job.Stream || len(job.Callbacks) > 0) {
		pending.host = newHosted(ctx, job, c.limits)
		defer pending.host.end()
	}
	pending.network = job.Network
	if err := c.begin(job, pending); err != nil {
		c.free(pending)
		return call.Result{}, err
	}
	deadline := time.NewTimer(job.Timeout + deadlineGrace)
	defer deadline.Stop()
	select {
	case o := <-pending.answer:
		return o.result, o.err
	case <-deadline.C:
		return c.giveUp(pending)
	case <-ctx.Done():
		return c.cancel(pending)
	}
}

// begin registers the call and hands its frame to the writer, behind those of its bundle where the
// agent does not hold that. Its errors are Execute's.
func (c *Container) begin(job call.Call, pending *pendingCall) error {
	c.mu.Lock()
	c.lastID++
	pending.id = c.lastID
	c.mu.Unlock()
	encoded, err := encodeFrame(kindCall, headerOf(job, pending), job.Script)
	if err == nil && job.Bundle != nil {
		if pending.opens {
			pending.session.bundle = job.Bundle.ID
		} else {
			pending.bundle = job.Bundle.ID
		}
		err = c.bundles.need(job.Bundle, func(frames [][]byte) {
			c.submit(outgoing{pieces: frames, frame: encoded, call: pending})
		})
	} else if err == nil {
		c.submit(outgoing{frame: encoded, call: pending})
	}
	if errors.Is(err, errFrameTooLong) {
		return &call.Failure{Code: call.LimitExceeded, Limit: "frame"}
	}
	if err != nil {
		return fmt.Errorf("encode a call: %w", err)
	}
	return nil
}

// submit registers a call and puts it in the outbox, or answers it where the link is dead.
func (c *Container) submit(o outgoing) {
	c.mu.Lock()
	cause := c.cause
	if cause == nil {
		c.pending[o.call.id] = o.call
		if o.call.opens {
			c.sessions[o.call.session.id] = o.call.session
		}
		c.postLocked(o)
	}
	c.mu.Unlock()
	if cause != nil {
		o.call.settle(outcome{err: &call.LostError{Cause: cause}})
	}
}

// cancel tells the agent to stop a call and returns without waiting for it longer than cancelAnswer.
func (c *Container) cancel(pending *pendingCall) (call.Result, error) {
	c.abandon(pending, errUncancelled)
	patience := time.NewTimer(cancelAnswer)
	defer patience.Stop()
	select {
	case o := <-pending.answer:
		return o.result, o.err
	case <-patience.C:
		return call.Result{}, &call.Failure{Code: call.Cancelled}
	}
}

// giveUp is for a call that the agent should have ended by itself: no answer of it counts any more.
func (c *Container) giveUp(pending *pendingCall) (call.Result, error) {
	if !c.abandon(pending, errOverdue) {
		o := <-pending.answer
		return o.result, o.err
	}
	pending.overdue = true
	signal(c.overdue)
	return call.Result{}, &call.Failure{Code: call.Timeout, Limit: "wall"}
}

// abandon tells the agent to stop a call, and to give a sign of life. Where it does only the latter
// within cancelGrace, the link ends. It reports false where the call has been answered.
func (c *Container) abandon(pending *pendingCall, cause error) bool {
	encoded, err := encodeFrame(kindCancel, cancelHeader{ID: pending.id}, nil)
	if err != nil {
		c.end(err)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[pending.id] == nil {
		return false
	}
	asked := c.words.now()
	c.endStreamsLocked(pending)
	pending.abandoned = time.AfterFunc(cancelGrace, func() {
		c.endFor(cause, asked, func() *time.Timer {
			if c.pending[pending.id] != pending {
				return nil
			}
			return pending.abandoned
		})
	})
	c.postLocked(outgoing{frame: encoded})
	c.pingLocked()
	return true
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

func headerOf(job call.Call, pending *pendingCall) callHeader {
	h := callHeader{
		ID:      pending.id,
		Timeout: milliseconds(job.Timeout),
		CPU:     milliseconds(job.CPU),
		Memory:  job.Memory,
		Stats:   job.Stats,
	}
	if job.Bundle != nil {
		h.Bundle = job.Bundle.ID
	}
	if pending.host != nil {
		h.Stream, h.Callbacks = job.Stream, job.Callbacks
	}
	switch {
	case pending.opens:
		h.Open = pending.session.id
	case pending.session != nil:
		h.Session = pending.session.id
	}
	return h
}

type cancelHeader struct {
	ID uint64 `json:"id"`
}
