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

// outgoing is a frame for the agent, with the call it starts, if it starts one, and the frames of the
// bundle that the call needs first, if the agent has to get it.
type outgoing struct {
	bundle [][]byte // any pieces: together they are whole frames
	frame  []byte
	call   *pendingCall
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
	if len(frames) == 1 && frames[0].bundle == nil {
		_, err := w.Write(frames[0].frame)
		return err
	}
	b := batch{w: w}
	for _, o := range frames {
		for _, piece := range o.bundle {
			if err := b.write(piece); err != nil {
				return err
			}
		}
		if err := b.write(o.frame); err != nil {
			return err
		}
	}
	return b.flush()
}

// A batch joins small pieces to larger writes.
type batch struct {
	w      io.Writer
	joined []byte
}

func (b *batch) write(piece []byte) error {
	if len(b.joined)+len(piece) > batchBytes {
		if err := b.flush(); err != nil {
			return err
		}
	}
	if len(piece) > batchBytes {
		_, err := b.w.Write(piece)
		return err
	}
	b.joined = append(b.joined, piece...)
	return nil
}

func (b *batch) flush() error {
	if len(b.joined) == 0 {
		return nil
	}
	_, err := b.w.Write(b.joined)
	b.joined = b.joined[:0]
	return err
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
