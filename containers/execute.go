package containers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// deadlineGrace is how much later than the agent's the link's own deadline is. Timeout does not
	// count sending, a worker being replaced (some 100 ms, more on a busy machine) and a context
	// being made; an agent that needs five seconds for these is as good as dead.
	deadlineGrace = 5 * time.Second

	// cancelAnswer is how long a cancelled call waits for the agent, which kills the worker within
	// a few ms and tells what was printed.
	cancelAnswer = 50 * time.Millisecond

	// cancelGrace is how long an agent has to answer for a cancelled call before the container is
	// ended. It only has to notice and to kill.
	cancelGrace = 2 * time.Second
)

var (
	errOverdue     = fmt.Errorf("%w: a call is past its deadline", errProtocol)
	errUncancelled = fmt.Errorf("%w: a cancelled call went on", errProtocol)
)

// outcome is what Execute returns.
type outcome struct {
	result Result
	err    error
}

// A pendingCall waits for the agent's answer. It stays pending, and holds its slot, after a
// cancelled Execute has returned.
type pendingCall struct {
	id     uint64
	bundle string       // that the agent has to hold until it is done with the call; "" for none
	sent   bool         // its frame has been, or is being, written; guarded by Container.mu while pending
	answer chan outcome // of one element, so that settle never waits

	abandoned *time.Timer // ends the container when a cancelled call goes on; guarded by Container.mu
}

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
// fails with LimitExceeded.
func (c *Container) Execute(ctx context.Context, call Call) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, &Failure{Code: Cancelled}
	}
	select {
	case c.slots <- struct{}{}:
	case <-c.dead:
		return Result{}, c.lost()
	case <-ctx.Done():
		return Result{}, &Failure{Code: Cancelled}
	}
	pending, err := c.begin(call)
	if err != nil {
		<-c.slots
		return Result{}, err
	}
	deadline := time.NewTimer(call.Timeout + deadlineGrace)
	defer deadline.Stop()
	select {
	case o := <-pending.answer:
		return o.result, o.err
	case <-deadline.C:
		c.endFor(errOverdue, pending, outcome{err: &Failure{Code: Timeout, Limit: "wall"}})
		o := <-pending.answer
		return o.result, o.err
	case <-ctx.Done():
		return c.cancel(pending)
	}
}

// begin registers the call and puts its frame in the queue, behind those of its bundle where the
// agent does not hold that. Its errors are Execute's.
func (c *Container) begin(call Call) (*pendingCall, error) {
	pending := &pendingCall{answer: make(chan outcome, 1)}
	c.mu.Lock()
	c.lastID++
	pending.id = c.lastID
	c.mu.Unlock()
	if call.Bundle != nil {
		pending.bundle = call.Bundle.ID
	}
	encoded, err := encodeFrame(kindCall, callHeader{
		ID:      pending.id,
		Timeout: milliseconds(call.Timeout),
		CPU:     milliseconds(call.CPU),
		Bundle:  pending.bundle,
		Memory:  call.Memory,
		Stats:   call.Stats,
	}, call.Script)
	if err == nil && call.Bundle != nil {
		err = c.bundles.need(call.Bundle, func(frames [][]byte) {
			c.submit(outgoing{bundle: frames, frame: encoded, call: pending})
		})
	} else if err == nil {
		c.submit(outgoing{frame: encoded, call: pending})
	}
	if errors.Is(err, errFrameTooLong) {
		return nil, &Failure{Code: LimitExceeded, Limit: "frame"}
	}
	if err != nil {
		return nil, fmt.Errorf("encode a call: %w", err)
	}
	return pending, nil
}

// submit registers a call and puts it in the queue, or answers it where the link is dead.
func (c *Container) submit(o outgoing) {
	c.mu.Lock()
	cause := c.cause
	if cause == nil {
		c.pending[o.call.id] = o.call
	}
	c.mu.Unlock()
	if cause != nil {
		o.call.settle(outcome{err: &LostError{Cause: cause}})
		return
	}
	c.enqueue(o)
}

// enqueue hands a frame to the writer. The queue has room for all that may come, see Open.
func (c *Container) enqueue(o outgoing) {
	select {
	case c.queue <- o:
	case <-c.dead:
	}
}

// cancel tells the agent to stop a call and returns without waiting for it longer than cancelAnswer.
func (c *Container) cancel(pending *pendingCall) (Result, error) {
	c.mu.Lock()
	if c.pending[pending.id] == nil {
		c.mu.Unlock()
		o := <-pending.answer
		return o.result, o.err
	}
	pending.abandoned = time.AfterFunc(cancelGrace, func() {
		c.endFor(errUncancelled, pending, outcome{err: &Failure{Code: Cancelled}})
	})
	c.mu.Unlock()

	encoded, err := encodeFrame(kindCancel, cancelHeader{ID: pending.id}, nil)
	if err != nil {
		return Result{}, err
	}
	c.enqueue(outgoing{frame: encoded})
	patience := time.NewTimer(cancelAnswer)
	defer patience.Stop()
	select {
	case o := <-pending.answer:
		return o.result, o.err
	case <-patience.C:
		return Result{}, &Failure{Code: Cancelled}
	}
}

// lost is the answer to a call that met a dead link.
func (c *Container) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &LostError{Cause: c.cause}
}

// milliseconds rounds up, so that no time set becomes none.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
