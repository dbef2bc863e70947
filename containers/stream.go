package containers

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jsd-project/jsd/call"
)

const (
	streamIdle  = 2 * time.Minute // ends a stream on which nothing moves
	streamDrain = 5 * time.Second // for the other side to take what the agent sent before it aborted

	// streamRate is how many connections a container may make in a second, behind streamBurst at once: each takes
	// a port of the machine for a minute, of some 28,000 to one place.
	streamRate  = 100
	streamBurst = maxStreams
)

// A stream is a connection of a script.
//
//	opening ── Network.Dial ──► opened ─► finish from the agent, and the end of what the other side sends ─► over
//	   │                           └────► abort, and what was sent before is written ────────────────────────┤
//	   └─────────── abort, its call ends, an error, nothing moves, the container dies ───────────────────────┘
//
// Two goroutines copy. What goes to the agent is read when the agent has granted it and the frame before has
// been written, so there is one frame of each stream; what comes from it is bounded by what was granted here.
type stream struct {
	container *Container
	call      *pendingCall
	number    uint32
	ctx       context.Context // ends when it is over
	stop      context.CancelFunc
	reading   context.Context // ends when the agent wants no more of it, and with ctx
	unread    context.CancelFunc

	arrived chan struct{} // of one element: there is something in pending, or no more will be
	granted chan struct{} // of one element: there is credit
	written chan struct{} // of one element: frame has been written
	frame   []byte        // for the writer, from when the stream is in Container.data until written

	// Container.mu guards what follows.
	opened   bool
	over     bool   // and closed is in the outbox, or has been written
	credit   int    // bytes that the agent takes
	room     int    // bytes that the agent may send
	pending  []byte // sent by it and not written to the connection
	finished bool   // by it
	aborted  bool   // likewise
	owed     int    // bytes written to the connection, for which no credit was given
	granting bool   // there is a frame with credit in the outbox
}

func newStream(c *Container, pending *pendingCall, h openHeader) *stream {
	s := &stream{
		container: c, call: pending, number: h.Stream,
		arrived: make(chan struct{}, 1), granted: make(chan struct{}, 1), written: make(chan struct{}, 1),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.reading, s.unread = context.WithCancel(s.ctx)
	return s
}

// run is the life of a stream.
func (s *stream) run(host string, port int) {
	if s.container.dialing.Wait(s.ctx) != nil {
		return // it is over
	}
	conn, err := s.call.job.Network.Dial(s.ctx, host, port)
	if err != nil {
		s.end(err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
	defer context.AfterFunc(s.reading, func() {
		_ = conn.SetReadDeadline(time.Now())
		_ = conn.SetWriteDeadline(time.Now().Add(streamDrain))
	})()
	idle := time.AfterFunc(streamIdle, func() {
		s.end(&call.DialError{Code: "ETIMEDOUT", Message: fmt.Sprintf("nothing was sent or received in %v", streamIdle)})
	})
	defer idle.Stop()
	if err := s.open(conn); err != nil {
		s.container.end(err)
		return
	}
	var upload sync.WaitGroup
	upload.Go(func() { s.upload(conn, idle) })
	s.download(conn, idle)
	upload.Wait()
	s.end(nil)
}

// open tells the agent that the stream is there.
func (s *stream) open(conn net.Conn) error {
	h := openedHeader{Stream: s.number}
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		h.Address = tcp.AddrPort().Addr().Unmap().String()
	}
	encoded, err := encodeFrame(kindOpened, h, nil)
	if err != nil {
		return err
	}
	s.container.mu.Lock()
	defer s.container.mu.Unlock()
	if !s.over {
		s.opened, s.credit, s.room = true, windowToAgent, windowToDaemon
		s.container.postLocked(outgoing{frame: encoded})
	}
	return nil
}

// end ends the stream, whatever it is at. The script is told of an error.
func (s *stream) end(why error) {
	s.container.mu.Lock()
	defer s.container.mu.Unlock()
	s.endLocked(why)
}

func (s *stream) endLocked(why error) {
	if s.over {
		return
	}
	s.over, s.pending = true, nil
	s.container.lateData += s.underWayLocked()
	s.stop()
	encoded, err := closeOf(s.number, why)
	if err != nil {
		encoded, _ = closeOf(s.number, nil) // a number
	}
	s.container.postLocked(outgoing{frame: encoded, closes: s})
}

// goneLocked is called when the agent is about to be told that the stream is over: its place is free then.
func (s *stream) goneLocked() {
	delete(s.container.streams, s.number)
	s.call.streams--
}
