package containers

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/jsd-project/jsd/call"
)

// read takes the agent's frames until one cannot be believed, and says why.
func (c *Container) read(r *bufio.Reader) error {
	limit := c.limits.headerLimit() + 1 + c.limits.Result
	for {
		f, err := readFrame(r, limit)
		if errors.Is(err, errFrameTooLong) {
			return fmt.Errorf("%w: %w", errProtocol, err)
		}
		if err != nil {
			return endOf(err)
		}
		if err := c.handle(f); err != nil {
			return err
		}
	}
}

// handle does what a frame says, without waiting for anybody. Its errors say that the agent broke the
// rules of the link.
func (c *Container) handle(f frame) error {
	switch f.kind {
	case kindPrint:
		return c.handlePrint(f)
	case kindCallback:
		return c.handleCallback(f)
	case kindEnded:
		return c.handleEnded(f)
	case kindPong:
		return c.handlePong(f)
	case kindOpen:
		return c.handleOpen(f)
	case kindData:
		return c.handleData(f)
	case kindCredit:
		return c.handleCredit(f)
	case kindFinish:
		return c.handleFinish(f)
	case kindAbort:
		return c.handleAbort(f)
	default:
		return c.handleAnswer(f)
	}
}

func (c *Container) handleAnswer(f frame) error {
	h, err := decodeHeader(f, c.limits)
	if err != nil {
		return err
	}
	o := outcomeOf(f, h, c.limits)
	p, claimed := c.answered(h.ID, errors.Is(o.err, call.ErrNoSession))
	if p == nil {
		return fmt.Errorf("%w: an answer to call %d, which waits for none", errProtocol, h.ID)
	}
	if p.bundle != "" {
		c.bundles.release(p.bundle)
	}
	c.startWaiting()
	if claimed {
		if o.err == nil {
			o.result.Container = c.ID()
		}
		p.complete(o)
	}
	return nil
}

// answered takes the call that waits for an answer under id, once, or gives nil. A call that was not sent yet
// cannot be answered, and only one in a session can have missed it. With claimed the answer is to be passed on.
func (c *Container) answered(id uint64, missed bool) (_ *pendingCall, claimed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[id]
	if p == nil || !p.sent || missed && !p.inSession() {
		return nil, false
	}
	delete(c.pending, id)
	c.endStreamsLocked(p)
	c.late = 0
	if p.opens {
		p.session.answered = true
	}
	c.releaseLocked(p)
	return p, p.claimLocked()
}

// maxLate bounds the frames, between two answers, about calls that have been answered. An agent sends none; one
// that never stops would cost the daemon processor time for nothing.
const maxLate = 10_000

// find gives the call that a frame of the agent is about, or nil where it has been answered.
func (c *Container) find(id uint64) (*pendingCall, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pending := c.pending[id]
	if pending == nil && id > 0 && id <= c.lastID {
		if c.late++; c.late > maxLate {
			return nil, fmt.Errorf("%w: %d frames about calls that have been answered", errProtocol, c.late)
		}
		return nil, nil
	}
	if pending == nil || !pending.sent {
		return nil, fmt.Errorf("%w: a frame about call %d, which was not made", errProtocol, id)
	}
	return pending, nil
}

// decodeSmall takes the header of a frame that is neither a hello nor an answer.
func decodeSmall(f frame, l Limits, header any) error {
	if len(f.header) > HeaderRoom || len(f.body) > l.Result {
		return fmt.Errorf("%w: header of %d bytes and body of %d in a frame of kind %d", errProtocol, len(f.header), len(f.body), f.kind)
	}
	if err := json.Unmarshal(f.header, header); err != nil {
		return fmt.Errorf("%w: header: %w", errProtocol, err)
	}
	return nil
}

var errAgentEnded = errors.New("the agent ended")

// endOf says what a failed read means: at its end a stream has nothing to add to that.
func endOf(err error) error {
	if err == io.EOF {
		return errAgentEnded
	}
	return fmt.Errorf("%w: %w", errAgentEnded, err)
}
