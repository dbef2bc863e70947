package wire

import (
	"sync"

	"github.com/coder/websocket"
)

// An outbox holds the frames that wait to be written to a connection, up to a bound. Whoever adds a frame where nobody
// writes becomes the writer: it takes frames until there are none. A peer that does not read makes the writer stop; what
// writes the backlog then goes on as the writer.
type outbox struct {
	maxFrames, maxBytes int

	mu      sync.Mutex // guards what follows
	frames  [][]byte
	bytes   int  // of frames
	writing bool // there is a writer
	closing *closing
	counted int64 // in the connection's share of the budget
}

// A closing is the close frame behind all other frames.
type closing struct {
	code   websocket.StatusCode
	reason string
}

// add takes a frame. write tells that the caller is the writer now; full that there was no room. A frame that comes behind
// the closing is dropped. An empty outbox takes a frame of any size: it may be the only one for long.
func (o *outbox) add(frame []byte) (write, full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing != nil {
		return false, false
	}
	if len(o.frames) > 0 && (len(o.frames) >= o.maxFrames || o.bytes+len(frame) > o.maxBytes) {
		return false, true
	}
	o.frames = append(o.frames, frame)
	o.bytes += len(frame)
	return o.startLocked(), false
}

// close says what comes behind the frames that are there. first tells whether it was the first to.
func (o *outbox) close(c closing) (write, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing != nil {
		return false, false
	}
	o.closing = &c
	return o.startLocked(), true
}

func (o *outbox) startLocked() (write bool) {
	write = !o.writing
	o.writing = true
	return write
}

// take gives the writer the frames that wait, or the closing where there are none. Where there is neither, the caller is
// the writer no longer. Behind the closing there is a writer for ever. The slice frames is used again.
func (o *outbox) take(frames [][]byte) ([][]byte, *closing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.frames) == 0 {
		o.frames = frames
		o.writing = o.closing != nil
		return nil, o.closing
	}
	taken := o.frames
	o.frames, o.bytes = frames, 0
	return taken, nil
}

// change is by how much the bytes that the connection holds have changed since the last change, where so many more than
// those of the outbox are being written.
func (o *outbox) change(more int) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	held := int64(o.bytes + more)
	if held <= Unnoticed {
		held = 0
	}
	change := held - o.counted
	o.counted = held
	return change
}
