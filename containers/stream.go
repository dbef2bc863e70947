package containers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// streamIdle ends a stream on which nothing moves.
const streamIdle = 2 * time.Minute

// A stream is a connection of a script.
//
//	opening ── Network.Dial ──► opened ─► finish from the agent, and the end of what the other side sends ─► over
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

func newStream(c *Container, call *pendingCall, h openHeader) *stream {
	s := &stream{
		container: c, call: call, number: h.Stream,
		arrived: make(chan struct{}, 1), granted: make(chan struct{}, 1), written: make(chan struct{}, 1),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// run is the life of a stream.
func (s *stream) run(host string, port int) {
	conn, err := s.call.network.Dial(s.ctx, host, port)
	if err != nil {
		s.end(err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
	idle := time.AfterFunc(streamIdle, func() { s.end(&DialError{"ETIMEDOUT", fmt.Sprintf("nothing was sent or received in %v", streamIdle)}) })
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

// upload writes what the agent sends to the connection until the agent has finished or the stream is over. Where the
// other side takes no more, what it has sent may still be read: the rest is dropped.
func (s *stream) upload(conn net.Conn, idle *time.Timer) {
	var spare []byte
	refused := false
	for {
		data, finished := s.take(spare)
		switch {
		case len(data) > 0:
			if !refused {
				_, err := conn.Write(data)
				refused = err != nil
				idle.Reset(streamIdle)
			}
			s.grant(len(data))
			spare = data[:0]
			continue
		case finished:
			if half, ok := conn.(interface{ CloseWrite() error }); ok && !refused {
				_ = half.CloseWrite() // what is wrong is told by reading
			}
			return
		}
		spare = data // the one before is in its place now
		select {
		case <-s.arrived:
		case <-s.ctx.Done():
			return
		}
	}
}

// take gives what has arrived, and leaves spare in its place.
func (s *stream) take(spare []byte) (data []byte, finished bool) {
	s.container.mu.Lock()
	defer s.container.mu.Unlock()
	data, s.pending = s.pending, spare
	return data, s.finished
}

// grant lets the agent send as much again. Small amounts wait until they are worth a frame.
func (s *stream) grant(n int) {
	c := s.container
	c.mu.Lock()
	defer c.mu.Unlock()
	s.owed += n
	if s.owed >= windowToDaemon/4 && !s.granting && !s.over && !s.finished {
		s.granting = true
		c.postLocked(outgoing{credit: s})
	}
}

// creditLocked makes the frame that grants what is owed, as it is about to be written; nil where nobody needs it.
func (s *stream) creditLocked() []byte {
	s.granting = false
	if s.over {
		return nil
	}
	encoded, err := encodeFrame(kindCredit, creditHeader{Stream: s.number, Bytes: s.owed}, nil)
	if err != nil {
		return nil // two numbers
	}
	s.room += s.owed
	s.owed = 0
	return encoded
}

// download sends the agent what is read of the connection, until its end or the stream is over.
func (s *stream) download(conn net.Conn, idle *time.Timer) {
	buffer := make([]byte, frameHead+streamNumber+streamChunk)
	for {
		most := s.waitForCredit()
		if most == 0 {
			return
		}
		n, err := conn.Read(buffer[frameHead+streamNumber:][:most])
		if n > 0 {
			idle.Reset(streamIdle)
			if !s.send(buffer, n) {
				return
			}
		}
		if err == io.EOF {
			s.endOfData()
			return
		}
		if err != nil {
			s.end(readError(err))
			return
		}
	}
}

func readError(err error) error {
	if errors.Is(err, syscall.ETIMEDOUT) {
		return &DialError{"ETIMEDOUT", "read ETIMEDOUT"}
	}
	return &DialError{"ECONNRESET", "read ECONNRESET"}
}

// waitForCredit gives how much may be read; 0 when the stream is over.
func (s *stream) waitForCredit() int {
	for {
		s.container.mu.Lock()
		most, over := min(s.credit, streamChunk), s.over
		s.container.mu.Unlock()
		if over {
			return 0
		}
		if most > 0 {
			return most
		}
		select {
		case <-s.granted:
		case <-s.ctx.Done():
			return 0
		}
	}
}

// send puts a frame in line, with n bytes that stand in their place in buffer, and reports true when it has been
// written. With false the buffer may still be in use.
func (s *stream) send(buffer []byte, n int) bool {
	binary.BigEndian.PutUint32(buffer, uint32(streamNumber+n))
	buffer[frameHead-1] = byte(kindData)
	binary.BigEndian.PutUint32(buffer[frameHead:], s.number)
	c := s.container
	c.mu.Lock()
	if s.over {
		c.mu.Unlock()
		return false
	}
	s.frame = buffer[:frameHead+streamNumber+n]
	s.credit -= n
	c.data = append(c.data, s)
	c.wakeLocked()
	c.mu.Unlock()
	select {
	case <-s.written:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// endOfData tells the agent that the other side has sent its last byte, all of which has been written.
func (s *stream) endOfData() {
	encoded, err := encodeFrame(kindFinish, streamHeader{Stream: s.number}, nil)
	if err != nil {
		s.container.end(err)
		return
	}
	s.container.mu.Lock()
	defer s.container.mu.Unlock()
	if !s.over {
		s.container.postLocked(outgoing{frame: encoded})
	}
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
