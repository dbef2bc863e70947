package containers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/jsd-project/jsd/call"
)

const (
	// windowToAgent and windowToDaemon are how many bytes of a stream may be sent before the other side has
	// granted more. The daemon holds what it gets, so it takes less.
	windowToAgent  = 256 << 10
	windowToDaemon = 64 << 10

	streamChunk  = 16 << 10 // bytes in a frame of data, at most
	streamNumber = 4        // bytes in front of them

	streamIdle  = 2 * time.Minute // ends a stream on which nothing moves
	streamDrain = 5 * time.Second // for the other side to take what the agent sent before it aborted

	// streamRate is how many connections a container may make in a second, after streamBurst at once: each takes
	// a port of the machine for a minute, of some 28,000 to one place.
	streamRate  = 100
	streamBurst = maxStreams

	maxHost        = 255  // characters
	maxDialCode    = 64   // bytes of a DialError's Code
	maxDialMessage = 1000 // bytes
)

type openHeader struct {
	ID     uint64 `json:"id"` // of the call
	Stream uint32 `json:"stream"`
	Host   string `json:"host"`
	Port   int    `json:"port"`
}

func (h *openHeader) check() error {
	if h.Host == "" || len(h.Host) > 4*maxHost || h.Port < 1 || h.Port > 65535 {
		return fmt.Errorf("%w: a stream to %.100q port %d", errProtocol, h.Host, h.Port)
	}
	return nil
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

// streams are those of a container.
type streams struct {
	link    *link
	dialing *rate.Limiter
	running sync.WaitGroup // goroutines, which the reader starts

	// link.mu guards what follows.
	open map[uint32]*stream // streams that the agent has opened, until it is told that they are closed
	last uint32             // number of the newest stream

	// late is how many bytes of data and other frames the agent may still have sent about streams that are closed here.
	late int
}

func newStreams(l *link) *streams {
	return &streams{link: l, dialing: rate.NewLimiter(streamRate, streamBurst), open: make(map[uint32]*stream)}
}

// connections are the streams of one call.
type connections struct {
	network call.Network // nil: streams are refused

	// link.mu guards what follows.
	ended bool // the call was answered, or the agent told to stop it
	open  int  // streams that the agent was not told the end of yet
}

// A stream is a connection of a script.
//
//	opening ── Network.Dial ──► opened ─► finish from the agent, and the end of what the other side sends ─► closed
//	   │                           └────► abort, and what was sent before is written ────────────────────────┤
//	   └─────────── abort, its call ends, an error, nothing moves, the container dies ───────────────────────┘
//
// Two goroutines copy. What goes to the agent is read when the agent has granted it and the frame before has
// been written, so there is one frame of each stream. What comes from the agent is bounded by what was granted here.
type stream struct {
	streams *streams
	of      *connections
	number  uint32
	ctx     context.Context // ends when it is closed
	stop    context.CancelFunc
	reading context.Context // ends when the agent wants no more of it, and with ctx
	unread  context.CancelFunc

	arrived chan struct{} // of one element: there is something in pending, or no more will be
	granted chan struct{} // of one element: there is credit
	left    chan struct{} // of one element: frame has been written
	frame   []byte        // of data, in the outbox until it has been written

	// link.mu guards what follows.
	opened   bool
	closed   bool   // the last frame is in the outbox, or has been written
	credit   int    // bytes that the agent takes
	room     int    // bytes that the agent may send
	pending  []byte // sent by the agent and not written to the connection
	finished bool   // by the agent
	aborted  bool   // by the agent
	owed     int    // bytes written to the connection, for which no credit was given
	granting bool   // there is a frame with credit in the outbox
}

func newStream(s *streams, of *connections, number uint32) *stream {
	n := &stream{
		streams: s, of: of, number: number,
		arrived: make(chan struct{}, 1), granted: make(chan struct{}, 1), left: make(chan struct{}, 1),
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.reading, n.unread = context.WithCancel(n.ctx)
	return n
}

// admit registers a stream that the agent opens for a call. If the call has ended or has no network, it closes the stream again and
// returns nil. On a dead link it returns nil, too. The agent counts its open streams, so too many of them break the rules.
func (s *streams) admit(of *connections, h openHeader) (*stream, error) {
	s.link.mu.Lock()
	defer s.link.unlock()
	limits := s.link.limits
	switch {
	case h.Stream != s.last+1:
		return nil, fmt.Errorf("%w: stream %d, where %d is next", errProtocol, h.Stream, s.last+1)
	case len(s.open) >= limits.streamsAtOnce() || of.open >= limits.Streams:
		return nil, fmt.Errorf("%w: %d streams, of call %d %d", errProtocol, len(s.open), h.ID, of.open)
	case s.link.cause != nil:
		return nil, nil
	}
	s.last = h.Stream
	n := newStream(s, of, h.Stream)
	s.open[n.number] = n
	of.open++
	switch {
	case of.ended:
		n.closeLocked(&call.DialError{Code: "ECONNABORTED", Message: "the call has ended"})
	case of.network == nil:
		n.closeLocked(&call.DialError{Code: "EACCES", Message: fmt.Sprintf("connect to %s:%d is not allowed: there are no hosts that this script may reach", clip(h.Host, maxHost), h.Port)})
	default:
		s.running.Add(1) // under the lock, so that none is added on a dead link
		return n, nil
	}
	return nil, nil
}

// endLocked closes the streams of a call, which has no more from now on.
func (s *streams) endLocked(of *connections) {
	of.ended = true
	if of.open == 0 {
		return
	}
	for _, each := range s.open {
		if each.of == of {
			each.closeLocked(nil)
		}
	}
}

// closeAllLocked follows the end of the container.
func (s *streams) closeAllLocked() {
	for _, each := range s.open {
		each.closeLocked(nil)
	}
}

// dispatch calls take with the open stream that a frame of the agent is about. A stream that is closed here may still be open in the
// agent for a while. Its frames are ignored; they count against late, each by counts, since the agent can have sent only so many.
func (s *streams) dispatch(k kind, number uint32, counts int, take func(*stream) error) error {
	s.link.mu.Lock()
	defer s.link.unlock()
	if number == 0 || number > s.last {
		return fmt.Errorf("%w: a frame of kind %d of stream %d, which was not opened", errProtocol, k, number)
	}
	of := s.open[number]
	if of == nil || of.closed {
		if s.late -= counts; s.late < 0 {
			return fmt.Errorf("%w: frames without end of closed streams, such as %d", errProtocol, number)
		}
		return nil
	}
	return take(of)
}

// receiveLocked adds data of the agent to pending.
func (s *stream) receiveLocked(data []byte) error {
	if !s.opened || s.finished || len(data) > s.room {
		return fmt.Errorf("%w: %d bytes of stream %d, where %d are granted", errProtocol, len(data), s.number, s.room)
	}
	s.room -= len(data)
	s.pending = append(s.pending, data...)
	signal(s.arrived)
	return nil
}

// grantedLocked notes that the agent grants n bytes more.
func (s *stream) grantedLocked(n int) error {
	if !s.opened || n <= 0 || n > windowToAgent-s.credit {
		return fmt.Errorf("%w: credit of %d bytes for stream %d, which has %d", errProtocol, n, s.number, s.credit)
	}
	s.credit += n
	signal(s.granted)
	return nil
}

// finishedLocked notes that the agent sends no more data.
func (s *stream) finishedLocked() error {
	if !s.opened || s.finished {
		return fmt.Errorf("%w: the end of stream %d, which is not open", errProtocol, s.number)
	}
	s.finished = true
	signal(s.arrived)
	return nil
}

// abortedLocked notes that the agent neither sends nor takes more data. The data that it has sent is still written.
func (s *stream) abortedLocked() error {
	switch {
	case s.aborted:
		return fmt.Errorf("%w: stream %d is aborted twice", errProtocol, s.number)
	case !s.opened:
		s.closeLocked(nil)
		return nil
	}
	s.finished, s.aborted = true, true
	s.unread()
	signal(s.arrived)
	return nil
}

// close closes the stream in any state. The script gets err, if it is not nil.
func (s *stream) close(err error) {
	s.streams.link.mu.Lock()
	defer s.streams.link.unlock()
	s.closeLocked(err)
}

func (s *stream) closeLocked(err error) {
	if s.closed {
		return
	}
	s.closed, s.pending = true, nil
	s.streams.late += s.underWayLocked()
	s.stop()
	s.streams.link.postLocked(outgoing{head: encodeClosed(s.number, err), departure: (*closing)(s)})
}

// closing is the departure of a stream's last frame. The stream's place is free then.
type closing stream

func (s *closing) departLocked(*outgoing) bool {
	delete(s.streams.open, s.number)
	s.of.open--
	return true
}

// encodeClosed makes the last frame of a stream.
func encodeClosed(number uint32, err error) []byte {
	h := closedHeader{Stream: number}
	var told *call.DialError
	switch {
	case errors.As(err, &told):
		h.Code, h.Message = clip(told.Code, maxDialCode), clip(told.Message, maxDialMessage)
	case err != nil:
		h.Code, h.Message = "ECONNREFUSED", "the connection could not be made"
	}
	encoded, err := encodeFrame(kindClosed, h, nil)
	if err != nil {
		panic(err) // a number and two strings
	}
	return encoded
}

// underWayLocked returns how much of late a stream adds when it is closed. The agent may have sent an abort. For a stream that was
// opened it may also have sent a finish, the data that was granted, and a frame of credit for each byte that it got.
func (s *stream) underWayLocked() int {
	switch {
	case s.aborted: // it knows
		return 0
	case !s.opened:
		return 1
	default:
		return s.room + windowToAgent - s.credit + 2
	}
}

// cutData takes a frame of data apart.
func cutData(f frame) (number uint32, data []byte, err error) {
	n := len(f.header) - streamNumber
	if n <= 0 || n > streamChunk {
		return 0, nil, fmt.Errorf("%w: a frame of data with %d bytes", errProtocol, len(f.header))
	}
	return binary.BigEndian.Uint32(f.header), f.header[streamNumber:], nil
}

// signal leaves an element in a channel of one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
