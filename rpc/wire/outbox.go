package wire

import (
	"sync"

	"github.com/coder/websocket"
)

// An outbox holds the frames that wait to be written to a connection, up to a bound. A goroutine that adds a frame becomes the writer
// if there is none. The writer takes frames until there are none. If the peer does not read, the goroutine that writes the backlog
// becomes the writer.
type outbox struct {
	maxFrames, maxBytes int

	mu      sync.Mutex // guards what follows
	frames  [][]byte
	bytes   int  // of frames
	writing bool // there is a writer
	closing *closing
	counted int64 // bytes that the connection's share of the budget has
}

// A closing is the close frame, which comes after all other frames.
type closing struct {
	code   websocket.StatusCode
	reason string
}

// add adds a frame. write says that the caller is the writer now, full that there was no room. A frame after the closing is dropped. An
// empty outbox takes a frame of any size.
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

// close adds the closing. write says that the caller is the writer now, first that there was no closing before.
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

// take returns the frames that wait to the writer, or the closing if there are none. If there is neither, the caller is no longer the
// writer. After the closing the outbox always has a writer, so that no frame is written after it. The outbox uses the slice frames
// again.
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

// change returns by how much the bytes that the connection holds have changed since the last call. more is the number of bytes that
// are being written, besides those in the outbox.
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
