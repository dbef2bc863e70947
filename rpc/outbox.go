package rpc

import (
	"context"
	"sync"

	"github.com/coder/websocket"
)

// An outbox holds the frames that a connection's writer has still to write, up to a bound.
type outbox struct {
	maxFrames, maxBytes int

	buffer *buffer // which counts frames and writing

	wake chan struct{} // of one element: there may be something for next

	mu     sync.Mutex // guards all below
	frames [][]byte
	bytes  int
	ending *ending

	writing int   // bytes of the frame that next gave last
	counted int64 // in buffer
}

// An ending is the close frame behind all others.
type ending struct {
	code   websocket.StatusCode
	reason string
}

func newOutbox(maxFrames, maxBytes int, b *buffer) *outbox {
	return &outbox{maxFrames: maxFrames, maxBytes: maxBytes, buffer: b, wake: make(chan struct{}, 1)}
}

// add takes a frame, or says that there is no room. One that comes after the end is dropped. An
// empty outbox takes a frame of any size: it may be the only one for long.
func (o *outbox) add(frame []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ending != nil {
		return true
	}
	if len(o.frames) > 0 && (len(o.frames) >= o.maxFrames || o.bytes+len(frame) > o.maxBytes) {
		return false
	}
	o.frames = append(o.frames, frame)
	o.bytes += len(frame)
	o.countLocked()
	o.wakeLocked()
	return true
}

// end says what comes behind the frames that are there. It tells whether it was the first to.
func (o *outbox) end(e ending) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ending != nil {
		return false
	}
	o.ending = &e
	o.wakeLocked()
	return true
}

func (o *outbox) wakeLocked() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// next waits for a frame, or for the ending where no frame is left. It gives neither when ctx ends.
// Only the writer calls it.
func (o *outbox) next(ctx context.Context) ([]byte, *ending) {
	for {
		if frame, end := o.take(); frame != nil || end != nil {
			return frame, end
		}
		select {
		case <-o.wake:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func (o *outbox) take() ([]byte, *ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = 0
	defer o.countLocked()
	if len(o.frames) == 0 {
		o.frames = nil
		return nil, o.ending
	}
	frame := o.frames[0]
	o.frames[0] = nil
	o.frames = o.frames[1:]
	o.bytes -= len(frame)
	o.writing = len(frame)
	return frame, nil
}

// countLocked brings the buffer up to date. The outbox may be that of the connection which is evicted for
// it, which is ended without the lock.
func (o *outbox) countLocked() {
	held := int64(o.bytes + o.writing)
	if held <= unnoticed {
		held = 0
	}
	o.buffer.change(held - o.counted)
	o.counted = held
}
