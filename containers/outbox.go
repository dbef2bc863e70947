package containers

import (
	"fmt"
	"io"
	"slices"
)

const (
	// batchBytes bounds what goes out in one write. Frames beyond it are written as they are: copying
	// them would cost more than the write it saves.
	batchBytes = 64 << 10

	keptFrames = 256 // places of an outbox that is used again; a crowd of replies leaves no larger one
)

// outgoing is what the agent gets in one piece: a frame, and in front of it others that it depends on.
type outgoing struct {
	pieces [][]byte // together they are whole frames, or the first part of frame
	frame  []byte
	call   *pendingCall // that the frame starts, if it starts one
	reply  *callback    // that the frame answers, if it answers one
	credit *stream      // that the frame, which is made when it is written, grants credit; or nil
	closes *stream      // that the frame ends, if it ends one
}

// postLocked puts a frame in the outbox, which on a dead link nobody reads. Nothing waits there: calls
// and cancels are bounded by the slots, replies by those that may be open, closes by the sessions, and of pings there
// is one at a time; of a stream there are four frames at most.
func (c *Container) postLocked(o outgoing) {
	if c.cause != nil {
		return
	}
	c.outbox = append(c.outbox, o)
	c.wakeLocked()
}

// wakeLocked tells the writer, unless it has been told.
func (c *Container) wakeLocked() { signal(c.unsent) }

// write sends what is in the outbox until the link is dead. Frames that wait together leave together. Data of
// streams goes behind everything else, a little at a time.
func (c *Container) write() {
	var frames []outgoing
	var few [dataTurn]*stream
	for {
		select {
		case <-c.unsent:
		case <-c.dead:
			return
		}
		var turn []*stream
		frames, turn = c.gather(frames, few[:0])
		err := writeFrames(c.process, frames)
		if err == nil {
			err = c.writeData(turn)
		}
		if err != nil {
			c.end(fmt.Errorf("%w: writing to it: %w", errAgentEnded, err))
			return
		}
		clear(frames) // the frames of large calls are not kept until the next ones come
		if frames = frames[:0]; cap(frames) > keptFrames {
			frames = nil
		}
	}
}

// gather takes what is in the outbox, leaves empty in its place, and notes that these calls reach the
// agent from now on. On a dead link there is nothing: whoever waited for a call in the outbox has been
// told that it never started, and so it has to stay. Replies to calls that have ended are left out. Data goes with
// what was there before it: the agent knows of no stream whose opened it has not seen.
func (c *Container) gather(empty []outgoing, turn []*stream) ([]outgoing, []*stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	frames := c.outbox
	c.outbox = empty
	for i := range frames {
		o := &frames[i]
		switch {
		case o.call != nil:
			o.call.sent = true
		case o.credit != nil:
			o.frame = o.credit.creditLocked()
		case o.closes != nil:
			o.closes.goneLocked()
		}
	}
	return slices.DeleteFunc(frames, func(o outgoing) bool {
		return o.reply != nil && !c.takeReplyLocked(o.reply)
	}), c.gatherDataLocked(turn)
}

func writeFrames(w io.Writer, frames []outgoing) error {
	if len(frames) == 1 && frames[0].pieces == nil && len(frames[0].frame) > 0 {
		_, err := w.Write(frames[0].frame)
		return err
	}
	b := batch{w: w}
	for _, o := range frames {
		for _, piece := range o.pieces {
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
