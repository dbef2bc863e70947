package rpc

import (
	"sync"

	"github.com/coder/websocket"
)

// An outbox holds the frames that a connection's writer has still to write, up to a bound.
type outbox struct {
	maxFrames, maxBytes int

	buffer *buffer // which counts frames and writing
	write  func()  // the writer's goroutine

	mu     sync.Mutex // guards all below
	frames [][]byte
	bytes  int
	ending *ending

	writes  bool  // there is a writer; after the ending there seems to be one for ever
	writing int   // bytes of the frame that take gave last
	counted int64 // in buffer
}

// An ending is the close frame behind all others.
type ending struct {
	code   websocket.StatusCode
	reason string
}

// newOutbox makes one whose frames write has to take. It runs while there are any: a connection that has nothing
// to say needs no goroutine for that.
func newOutbox(maxFrames, maxBytes int, b *buffer, write func()) *outbox {
	return &outbox{maxFrames: maxFrames, maxBytes: maxBytes, buffer: b, write: write}
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
	o.writeLocked()
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
	o.writeLocked()
	return true
}

func (o *outbox) writeLocked() {
	if !o.writes {
		o.writes = true
		go o.write()
	}
}

// take gives the writer a frame, or the ending where no frame is left. Where it gives neither, the writer has to
// return; behind the ending as well.
func (o *outbox) take() ([]byte, *ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = 0
	defer o.countLocked()
	if len(o.frames) == 0 {
		o.frames = nil
		o.writes = o.ending != nil
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
