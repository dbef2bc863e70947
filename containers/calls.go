package containers

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
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

	// maxLate bounds the frames, between two answers, about calls that have been answered. An agent sends none; one
	// that never stops would cost the daemon processor time for nothing.
	maxLate = 10_000
)

var (
	errOverdue     = fmt.Errorf("%w: a call is past its deadline", errProtocol)
	errUncancelled = fmt.Errorf("%w: a cancelled call went on", errProtocol)

	// errTwoCalls is the answer to a call in a session whose call before is not done: a fault of the daemon's.
	errTwoCalls = errors.New("two calls at once in a session")
)

// A phase is how far a call is. It only goes forward.
type phase int

const (
	waiting    phase = iota // for a free slot of the agent, or for the agent's answer to the call before it in its session
	starting                // it has its slot, and its frame is being made
	running                 // its frame is in the outbox, or has left it
	cancelling              // the agent was told to stop it, and its answer still counts
	abandoned               // it is done, and keeps its slot until the agent answers
)

// A pendingCall is a call from Start until the agent has answered it.
type pendingCall struct {
	calls   *calls
	job     *call.Call
	done    call.Done
	session *session // that it runs in, or opens; nil for a call of its own
	opens   bool     // the session

	// These are set while the call starts, and not changed afterwards.
	id        uint64
	bundle    string     // that the agent has to hold until it is done with the call; "" for none
	callbacks *callbacks // nil where the script reaches nothing of its client

	// link.mu guards what follows.
	phase       phase
	completed   bool          // done was called, or is about to be
	cancelled   bool          // by Cancel
	sent        bool          // its frame has been, or is being, written
	connections connections   // of the script
	due         time.Duration // when the phase has lasted too long, on the clock of link.activity
	stopped     bool          // the agent was told to stop it
	stoppedAt   time.Duration
	cause       error // ends the container when the call goes on although it was stopped
}

// inSession tells of a call in a session that another call has opened.
func (p *pendingCall) inSession() bool { return p.session != nil && !p.opens }

// calls holds the calls of a container: the ones that wait, and the ones that the agent may be running.
//
//	start ─► startWaiting ─► send ─► submit ─► link.unlock
//	                                              ┆
//	            complete ◄─ reader.answer ◄─ answered
//	            complete ◄─ checkDue
//	            complete ◄─ Cancel, while it waits
type calls struct {
	link     *link
	bundles  *bundles
	sessions *sessions
	streams  *streams
	overdue  chan struct{} // of one element: a call is past its deadline

	// link.mu guards what follows.
	waiting []*pendingCall          // in the order in which they came
	pending map[uint64]*pendingCall // by id, from submit to the agent's answer
	atAgent int                     // calls that have a slot: the pending ones, and the ones that start
	lastID  uint64
	late    int           // frames about answered calls since the last answer
	timer   *time.Timer   // calls checkDue; nil until there is a call
	timerAt time.Duration // when the timer fires, on the clock of link.activity; 0: it is not set
}

func newCalls(l *link, s *sessions, st *streams) *calls {
	return &calls{
		link: l, sessions: s, streams: st, overdue: make(chan struct{}, 1), pending: make(map[uint64]*pendingCall),
		bundles: newBundles(min(bundleBytes, l.limits.Memory<<20/bundleShare), bundleCount),
	}
}

// start adds a call to the waiting ones, and sends it if it may be sent now.
func (c *calls) start(p *pendingCall) {
	c.link.mu.Lock()
	err := c.refusalLocked(p)
	p.completed = err != nil
	if err == nil {
		c.waiting = append(c.waiting, p)
		if p.inSession() {
			p.session.calling = true
		}
	}
	c.link.mu.Unlock()
	if err != nil {
		p.done(call.Result{}, err)
		return
	}
	c.startWaiting()
}

func (c *calls) refusalLocked(p *pendingCall) error {
	switch {
	case p.inSession() && p.session.isClosed():
		return call.ErrNoSession
	case p.inSession() && p.session.calling:
		return errTwoCalls
	case c.link.cause != nil:
		return c.link.lostLocked()
	}
	return nil
}

// startWaiting sends the calls that may be sent, and completes those whose session has ended.
func (c *calls) startWaiting() {
	for {
		c.link.mu.Lock()
		p, err := c.nextLocked()
		c.link.mu.Unlock()
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

// nextLocked takes a call out of waiting: one that may be sent now, which gets a slot, or one whose session has ended, with the error
// to complete it with. It returns nil if there is none.
func (c *calls) nextLocked() (*pendingCall, error) {
	for i, p := range c.waiting {
		switch {
		case p.inSession() && p.session.isClosed():
			c.waiting = slices.Delete(c.waiting, i, i+1)
			p.claimLocked()
			return p, p.session.endErrorLocked()
		case c.atAgent < c.link.limits.concurrency() && !(p.inSession() && p.session.busy):
			c.waiting = slices.Delete(c.waiting, i, i+1)
			c.acquireLocked(p)
			return p, nil
		}
	}
	return nil, nil
}

// acquireLocked takes a slot for a call.
func (c *calls) acquireLocked(p *pendingCall) {
	c.atAgent++
	c.lastID++
	p.id, p.phase = c.lastID, starting
	switch {
	case p.opens:
		c.sessions.last++
		p.session.id = c.sessions.last
	case p.session != nil:
		p.session.busy = true
	}
}

// releaseLocked gives the slot of a call back.
func (c *calls) releaseLocked(p *pendingCall) {
	c.atAgent--
	if p.inSession() {
		p.session.busy = false
	}
}

// send makes the frame of a call and submits it. The frames of its bundle come first if the agent does not hold the bundle.
func (c *calls) send(p *pendingCall) {
	p.callbacks = newCallbacks(c.link, p.id, p.job)
	p.connections.network = p.job.Network
	o := outgoing{body: p.job.Script, departure: p}
	var err error
	o.head, err = encodeCall(p)
	switch bundle := p.job.Bundle; {
	case err != nil:
	case bundle == nil || p.inSession(): // the bundle is the session's
		c.submit(p, o)
	default:
		if p.opens {
			p.session.bundle = bundle.ID
		} else {
			p.bundle = bundle.ID
		}
		err = c.bundles.need(bundle, func(frames [][]byte) {
			o.before = frames
			c.submit(p, o)
		})
	}
	if err == nil {
		c.link.flush() // not before the lock of bundles is free
		return
	}
	c.link.mu.Lock()
	c.releaseLocked(p)
	p.claimLocked()
	c.link.mu.Unlock()
	if errors.Is(err, errFrameTooLong) {
		err = &call.Failure{Code: call.LimitExceeded, Limit: "frame"}
	} else {
		err = fmt.Errorf("encode a call: %w", err)
	}
	p.complete(outcome{err: err})
}

// submit registers a call and posts its frame. On a dead link it completes the call.
func (c *calls) submit(p *pendingCall, o outgoing) {
	c.link.mu.Lock()
	if c.link.cause != nil {
		p.claimLocked()
		lost := c.link.lostLocked()
		c.link.mu.Unlock()
		p.complete(outcome{err: lost})
		return
	}
	p.phase = running
	c.pending[p.id] = p
	if p.opens {
		c.sessions.openLocked(p.session)
	}
	c.dueLocked(p, c.link.activity.now()+p.job.Timeout+deadlineGrace)
	c.link.postLocked(o)
	if p.cancelled { // while it started
		c.cancelLocked(p)
	}
	c.link.mu.Unlock()
}

// departLocked notes that the agent may start the call from now on.
func (p *pendingCall) departLocked(*outgoing) bool {
	p.sent = true
	return true
}

// claimLocked returns true to its first caller, which then has to complete the call, and false to all others.
func (p *pendingCall) claimLocked() bool {
	if p.completed {
		return false
	}
	p.completed = true
	p.callbacks.endLocked()
	if p.inSession() {
		p.session.calling = false
	}
	return true
}

// complete calls done when no goroutine is in the client any more. The caller has claimed the call and holds no lock.
func (p *pendingCall) complete(o outcome) {
	if p.callbacks == nil {
		p.done(o.result, o.err)
		return
	}
	p.callbacks.close(func() { p.done(o.result, o.err) })
}

// answered removes the pending call with this id and gives its slot back. It returns nil if no such call can have this answer: a call
// that was not sent yet has none, and only a call in a session can have missed its session. If claimed is true the caller completes
// the call.
func (c *calls) answered(id uint64, missed bool) (_ *pendingCall, claimed bool) {
	c.link.mu.Lock()
	defer c.link.unlock()
	p := c.pending[id]
	if p == nil || !p.sent || missed && !p.inSession() {
		return nil, false
	}
	delete(c.pending, id)
	c.streams.endLocked(&p.connections)
	c.late = 0
	if p.opens {
		p.session.opened = true
	}
	c.releaseLocked(p)
	return p, p.claimLocked()
}

// find returns the call that a frame of the agent is about, or nil if the call has been answered. The error says that the frame breaks
// the rules.
func (c *calls) find(id uint64) (*pendingCall, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	p := c.pending[id]
	if p == nil && id > 0 && id <= c.lastID {
		if c.late++; c.late > maxLate {
			return nil, fmt.Errorf("%w: %d frames about calls that have been answered", errProtocol, c.late)
		}
		return nil, nil
	}
	if p == nil || !p.sent {
		return nil, fmt.Errorf("%w: a frame about call %d, which was not made", errProtocol, id)
	}
	return p, nil
}

// unstopped reports whether the agent has a call that it was not told to stop.
func (c *calls) unstopped() bool {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for _, p := range c.pending {
		if !p.stopped {
			return true
		}
	}
	return false
}

// Cancel is described at call.Running.
func (p *pendingCall) Cancel() {
	c := p.calls
	c.link.mu.Lock()
	claimed := false
	switch {
	case p.cancelled || p.completed:
	case p.phase == waiting:
		c.waiting = slices.DeleteFunc(c.waiting, func(other *pendingCall) bool { return other == p })
		claimed = p.claimLocked()
	case p.phase == running:
		c.cancelLocked(p)
	}
	p.cancelled = true
	c.link.unlock()
	if claimed {
		p.complete(outcome{err: &call.Failure{Code: call.Cancelled}})
	}
}

// wasStopped reports whether the call was cancelled or exceeded its deadline.
func (p *pendingCall) wasStopped() bool {
	p.calls.link.mu.Lock()
	defer p.calls.link.mu.Unlock()
	return p.cancelled || p.stopped
}

// cancelLocked tells the agent to stop a call. The agent's answer counts for cancelAnswer more.
func (c *calls) cancelLocked(p *pendingCall) {
	c.stopLocked(p, errUncancelled)
	p.phase = cancelling
	c.dueLocked(p, p.stoppedAt+cancelAnswer)
}

type cancelHeader struct {
	ID uint64 `json:"id"`
}

// stopLocked tells the agent to stop a call, and sends a ping. If the agent answers only the ping within cancelGrace, the link dies of
// cause.
func (c *calls) stopLocked(p *pendingCall, cause error) {
	p.stopped, p.stoppedAt, p.cause = true, c.link.activity.now(), cause
	p.callbacks.endLocked()
	c.streams.endLocked(&p.connections)
	c.link.postLocked(outgoing{head: encodeNumbers(kindCancel, cancelHeader{ID: p.id})})
	c.link.pingLocked()
}

// dueLocked sets the time at which a call is checked again. All calls share one timer. It fires at the earliest time that was set since
// it fired last, also if that call has been answered meanwhile.
func (c *calls) dueLocked(p *pendingCall, at time.Duration) {
	p.due = at
	if c.timerAt != 0 && c.timerAt <= at {
		return
	}
	c.timerAt = at
	if d := at - c.link.activity.now(); c.timer == nil {
		c.timer = time.AfterFunc(d, c.checkDue)
	} else {
		c.timer.Reset(d)
	}
}

// checkDue ends the phases that have lasted too long. The timer calls it.
func (c *calls) checkDue() {
	var late, cancelled []*pendingCall
	var cause error
	c.link.mu.Lock()
	now := c.link.activity.now()
	c.timerAt = 0
	for _, p := range c.pending {
		if p.due <= now {
			switch p.phase {
			case running: // the agent should have ended it, and no answer counts any more
				c.stopLocked(p, errOverdue)
				late = c.abandonLocked(late, p)
			case cancelling:
				cancelled = c.abandonLocked(cancelled, p)
			case abandoned:
				if c.link.activity.last() >= p.stoppedAt {
					cause = p.cause
				}
				p.due = now + cancelGrace // an agent that is silent is slow or dead, which is for health to find out
			}
		}
		c.dueLocked(p, p.due)
	}
	c.link.unlock()
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
		c.link.fail(cause)
	}
}

// abandonLocked claims a call and adds it to list, whose calls are then completed without an answer.
func (c *calls) abandonLocked(list []*pendingCall, p *pendingCall) []*pendingCall {
	p.phase, p.due = abandoned, p.stoppedAt+cancelGrace
	p.claimLocked()
	return append(list, p)
}

// loseAllLocked removes all calls when the container has died. It returns the ones that the caller has to complete.
func (c *calls) loseAllLocked() []*pendingCall {
	if c.timer != nil {
		c.timer.Stop()
	}
	lost := c.waiting
	for _, p := range c.pending {
		lost = append(lost, p)
	}
	c.waiting = nil
	clear(c.pending)
	return slices.DeleteFunc(lost, func(p *pendingCall) bool { return !p.claimLocked() })
}

// encodeCall makes the head of a call's frame. It is written out here since it is on the way of every call.
func encodeCall(p *pendingCall) ([]byte, error) {
	job := p.job
	head := make([]byte, frameHead, 128)
	head = strconv.AppendUint(append(head, `{"id":`...), p.id, 10)
	head = strconv.AppendInt(append(head, `,"timeout":`...), milliseconds(job.Timeout), 10)
	head = strconv.AppendInt(append(head, `,"cpu":`...), milliseconds(job.CPU), 10)
	var err error
	if job.Bundle != nil && !p.inSession() {
		head, err = appendJSON(append(head, `,"bundle":`...), job.Bundle.ID)
	}
	if job.Memory > 0 && !p.inSession() {
		head = strconv.AppendInt(append(head, `,"memory":`...), int64(job.Memory), 10)
	}
	if job.Stats {
		head = append(head, `,"stats":true`...)
	}
	switch {
	case p.opens:
		head = strconv.AppendUint(append(head, `,"open":`...), p.session.id, 10)
	case p.session != nil: // whose bundle and memory are those it was opened with
		head = strconv.AppendUint(append(head, `,"session":`...), p.session.id, 10)
	}
	if p.callbacks != nil && job.Stream {
		head = append(head, `,"stream":true`...)
	}
	if p.callbacks != nil && len(job.Callbacks) > 0 && err == nil {
		head, err = appendJSON(append(head, `,"callbacks":`...), job.Callbacks)
	}
	if err != nil {
		return nil, err
	}
	head = append(head, '}')
	if job.Script != nil {
		head = append(head, '\n')
	}
	return head, finishHead(head, kindCall, job.Script)
}

// milliseconds rounds up, so that no time set becomes none.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
