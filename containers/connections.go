package containers

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/jsd-project/jsd/call"
)

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
		switch {
		case err == nil:
		case s.reading.Err() != nil:
			return // and what fails is the deadline
		case err == io.EOF:
			s.endOfData()
			return
		default:
			s.end(readError(err))
			return
		}
	}
}

func readError(err error) error {
	if errors.Is(err, syscall.ETIMEDOUT) {
		return &call.DialError{Code: "ETIMEDOUT", Message: "read ETIMEDOUT"}
	}
	return &call.DialError{Code: "ECONNRESET", Message: "read ECONNRESET"}
}

// waitForCredit gives how much may be read; 0 when nobody wants more.
func (s *stream) waitForCredit() int {
	for s.reading.Err() == nil {
		s.container.mu.Lock()
		most := min(s.credit, streamChunk)
		s.container.mu.Unlock()
		if most > 0 {
			return most
		}
		select {
		case <-s.granted:
		case <-s.reading.Done():
		}
	}
	return 0
}

// send puts a frame in line, with n bytes that stand in their place in buffer, and reports true when it has been
// written. With false the buffer may still be in use.
func (s *stream) send(buffer []byte, n int) bool {
	binary.BigEndian.PutUint32(buffer, uint32(streamNumber+n))
	buffer[frameHead-1] = byte(kindData)
	binary.BigEndian.PutUint32(buffer[frameHead:], s.number)
	c := s.container
	c.mu.Lock()
	if s.over || s.aborted {
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
	case <-s.reading.Done():
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
