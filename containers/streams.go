package containers

import (
	"errors"
	"fmt"

	"github.com/jsd-project/jsd/call"
)

const (
	// windowToAgent and windowToDaemon are how many bytes of a stream may be sent before the other side has
	// granted more. The daemon holds what it gets, so it takes less.
	windowToAgent  = 256 << 10
	windowToDaemon = 64 << 10

	streamChunk  = 16 << 10 // bytes in a frame of data, at most
	streamNumber = 4        // bytes in front of them

	maxHost    = 255  // characters
	maxStreams = 256  // of a container at once
	maxCode    = 64   // bytes of a DialError's Code
	maxWhy     = 1000 // bytes of its Message
)

type openHeader struct {
	ID     uint64 `json:"id"` // of the call
	Stream uint32 `json:"stream"`
	Host   string `json:"host"`
	Port   int    `json:"port"`
}

type openedHeader struct {
	Stream  uint32 `json:"stream"`
	Address string `json:"address,omitempty"`
}

type creditHeader struct {
	Stream uint32 `json:"stream"`
	Bytes  int    `json:"bytes"`
}

// streamHeader is that of finish and abort.
type streamHeader struct {
	Stream uint32 `json:"stream"`
}

type closedHeader struct {
	Stream  uint32 `json:"stream"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// streamsAtOnce is how many streams of all calls there may be: each of them may have l.Streams, within reason.
func (l Limits) streamsAtOnce() int {
	return min(l.Streams*max(1, l.Concurrency), max(l.Streams, maxStreams))
}

// handleOpen starts a stream. An agent counts what is open, as it is told to, so more than may be is against
// the rules; as is a stream of a call that it has answered.
func (c *Container) handleOpen(f frame) error {
	var h openHeader
	if err := decodeSmall(f, c.limits, &h); err != nil {
		return err
	}
	if h.Host == "" || len(h.Host) > 4*maxHost || h.Port < 1 || h.Port > 65535 {
		return fmt.Errorf("%w: a stream to %.100q port %d", errProtocol, h.Host, h.Port)
	}
	pending, err := c.find(h.ID)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case pending == nil:
		return fmt.Errorf("%w: a stream of call %d, which has been answered", errProtocol, h.ID)
	case h.Stream != c.lastStream+1:
		return fmt.Errorf("%w: stream %d, where %d is next", errProtocol, h.Stream, c.lastStream+1)
	case len(c.streams) >= c.limits.streamsAtOnce() || pending.streams >= c.limits.Streams:
		return fmt.Errorf("%w: %d streams, of pending %d %d", errProtocol, len(c.streams), h.ID, pending.streams)
	case c.cause != nil:
		return nil
	}
	c.lastStream = h.Stream
	s := newStream(c, pending, h)
	c.streams[s.number] = s
	pending.streams++
	switch {
	case pending.stopped:
		s.endLocked(&call.DialError{Code: "ECONNABORTED", Message: "the call has ended"})
	case pending.job.Network == nil:
		s.endLocked(&call.DialError{Code: "EACCES", Message: fmt.Sprintf("connect to %s:%d is not allowed: there are no hosts that this script may reach", clip(h.Host, maxHost), h.Port)})
	default:
		c.streaming.Go(func() { s.run(h.Host, h.Port) })
	}
	return nil
}

// handleStream takes what the agent says of a stream it has opened, by a frame that counts for so much. One that has
// ended here may live on there for a while, in which no more can come than it was allowed to send.
func (c *Container) handleStream(f frame, number uint32, counts int, take func(*stream) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number == 0 || number > c.lastStream {
		return fmt.Errorf("%w: a frame of kind %d of stream %d, which was not opened", errProtocol, f.kind, number)
	}
	s := c.streams[number]
	if s == nil || s.over {
		if c.lateData -= counts; c.lateData < 0 {
			return fmt.Errorf("%w: frames without end of streams that are over, such as %d", errProtocol, number)
		}
		return nil
	}
	return take(s)
}

func (c *Container) handleData(f frame) error {
	number, data, err := dataOf(f)
	if err != nil {
		return err
	}
	return c.handleStream(f, number, len(data), func(s *stream) error { return s.takeLocked(data) })
}

func (c *Container) handleCredit(f frame) error {
	var h creditHeader
	if err := decodeSmall(f, c.limits, &h); err != nil {
		return err
	}
	return c.handleStream(f, h.Stream, 1, func(s *stream) error { return s.grantedLocked(h.Bytes) })
}

func (c *Container) handleFinish(f frame) error {
	var h streamHeader
	if err := decodeSmall(f, c.limits, &h); err != nil {
		return err
	}
	return c.handleStream(f, h.Stream, 1, (*stream).finishedLocked)
}

func (c *Container) handleAbort(f frame) error {
	var h streamHeader
	if err := decodeSmall(f, c.limits, &h); err != nil {
		return err
	}
	return c.handleStream(f, h.Stream, 1, (*stream).abortedLocked)
}

// endStreamsLocked ends those of a call, of all calls for nil.
func (c *Container) endStreamsLocked(call *pendingCall) {
	if call != nil && call.streams == 0 {
		return
	}
	for _, s := range c.streams {
		if call == nil || s.call == call {
			s.endLocked(nil)
		}
	}
}

// dataTurn is how many frames of data go at once: what a call waits for that comes now.
const dataTurn = 4

// gatherDataLocked takes frames of data to be written behind others: a few, of as many streams, in the order in which
// they came. Each stream has one at most, so that all get their turn.
func (c *Container) gatherDataLocked(turn []*stream) []*stream {
	for len(c.data) > 0 && len(turn) < dataTurn {
		s := c.data[0]
		c.data[0] = nil
		if c.data = c.data[1:]; len(c.data) == 0 {
			c.data = nil
		}
		if !s.over && !s.aborted {
			turn = append(turn, s)
		}
	}
	if len(c.data) > 0 {
		c.wakeLocked()
	}
	return turn
}

// writeData writes what gatherDataLocked gives.
func (c *Container) writeData(turn []*stream) error {
	for _, s := range turn {
		if _, err := c.process.Write(s.frame); err != nil {
			return err
		}
		s.written <- struct{}{}
	}
	return nil
}

// closeOf makes the last frame of a stream.
func closeOf(number uint32, why error) ([]byte, error) {
	h := closedHeader{Stream: number}
	var said *call.DialError
	switch {
	case errors.As(why, &said):
		h.Code, h.Message = clip(said.Code, maxCode), clip(said.Message, maxWhy)
	case why != nil:
		h.Code, h.Message = "ECONNREFUSED", "the connection could not be made"
	}
	return encodeFrame(kindClosed, h, nil)
}
