package containers

import (
	"fmt"
	"io"
)

const (
	// batchFrames and batchBytes bound what goes out in one write. Frames beyond batchBytes are
	// written as they are: copying them would cost more than the write it saves.
	batchFrames = 64
	batchBytes  = 64 << 10
)

// outgoing is a frame for the agent, with the call it starts, if it starts one.
type outgoing struct {
	frame []byte
	call  *pendingCall
}

// write sends what is in the queue until the link is dead. Frames that wait together leave together.
func (c *Container) write() {
	var frames []outgoing
	for {
		frames = c.gather(frames[:0])
		if !c.markSent(frames) {
			return
		}
		if err := writeFrames(c.process, frames); err != nil {
			c.end(fmt.Errorf("%w: writing to it: %w", errAgentEnded, err))
			return
		}
		clear(frames) // the frames of large calls are not kept until the next ones come
	}
}

func writeFrames(w io.Writer, frames []outgoing) error {
	if len(frames) == 1 {
		_, err := w.Write(frames[0].frame)
		return err
	}
	var joined []byte
	flush := func() error {
		_, err := w.Write(joined)
		joined = joined[:0]
		return err
	}
	for _, o := range frames {
		if len(joined) > 0 && len(joined)+len(o.frame) > batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		if len(o.frame) > batchBytes {
			if _, err := w.Write(o.frame); err != nil {
				return err
			}
			continue
		}
		joined = append(joined, o.frame...)
	}
	if len(joined) == 0 {
		return nil
	}
	return flush()
}

// gather waits for a frame and takes those behind it along. It returns none when the link is dead.
func (c *Container) gather(frames []outgoing) []outgoing {
	select {
	case o := <-c.queue:
		frames = append(frames, o)
	case <-c.dead:
		return frames
	}
	for len(frames) < batchFrames {
		select {
		case o := <-c.queue:
			frames = append(frames, o)
		default:
			return frames
		}
	}
	return frames
}

// markSent notes that these frames reach the agent from now on. It reports false on a dead link:
// whoever waited for them has been told that they never started, and so it has to stay.
func (c *Container) markSent(frames []outgoing) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return false
	}
	for _, o := range frames {
		if o.call != nil {
			o.call.sent = true
		}
	}
	return true
}
