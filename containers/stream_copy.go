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

	"github.com/jsd-project/jsd/call"
)

// run connects a stream and copies until it is closed.
//
//	run
//	  Network.Dial
//	  open                      tells the agent
//	  upload                    agent → connection, in a goroutine
//	    arrivedData, conn.Write, grant
//	  download                  connection → agent
//	    waitForCredit, conn.Read, send
//	  close
func (s *stream) run(host string, port int) {
	defer s.streams.running.Done()
	if s.streams.dialing.Wait(s.ctx) != nil {
		return // it is closed
	}
	conn, err := s.of.network.Dial(s.ctx, host, port)
	if err != nil {
		s.close(err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })()
	defer context.AfterFunc(s.reading, func() {
		_ = conn.SetReadDeadline(time.Now())
		_ = conn.SetWriteDeadline(time.Now().Add(streamDrain))
	})()
	idle := time.AfterFunc(streamIdle, func() {
		s.close(&call.DialError{Code: "ETIMEDOUT", Message: fmt.Sprintf("nothing was sent or received in %v", streamIdle)})
	})
	defer idle.Stop()
	if err := s.open(conn); err != nil {
		s.streams.link.fail(err)
		return
	}
	var upload sync.WaitGroup
	upload.Go(func() { s.upload(conn, idle) })
	s.download(conn, idle)
	upload.Wait()
	s.close(nil)
}

// open tells the agent that the stream is connected.
func (s *stream) open(conn net.Conn) error {
	h := openedHeader{Stream: s.number}
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		h.Address = tcp.AddrPort().Addr().Unmap().String()
	}
	encoded, err := encodeFrame(kindOpened, h, nil)
	if err != nil {
		return err
	}
	s.streams.link.mu.Lock()
	defer s.streams.link.unlock()
	if !s.closed {
		s.opened, s.credit, s.room = true, windowToAgent, windowToDaemon
		s.streams.link.postLocked(outgoing{head: encoded})
	}
	return nil
}

// upload writes the agent's data to the connection until the agent has finished or the stream is closed. If the other side
// refuses data, the rest is dropped but the stream goes on, because the other side's own data may still be read.
func (s *stream) upload(conn net.Conn, idle *time.Timer) {
	var spare []byte
	refused := false
	for {
		data, finished := s.arrivedData(spare)
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
				_ = half.CloseWrite() // an error shows when reading
			}
			return
		}
		spare = data // the stream has the buffer before
		select {
		case <-s.arrived:
		case <-s.ctx.Done():
			return
		}
	}
}

// arrivedData returns the data that has arrived, and whether the agent has finished. spare becomes the buffer for the next
// data.
func (s *stream) arrivedData(spare []byte) (data []byte, finished bool) {
	s.streams.link.mu.Lock()
	defer s.streams.link.mu.Unlock()
	data, s.pending = s.pending, spare
	return data, s.finished
}

// grant returns credit for n bytes to the agent. It collects small amounts until they are worth a frame.
func (s *stream) grant(n int) {
	l := s.streams.link
	l.mu.Lock()
	defer l.unlock()
	s.owed += n
	if s.owed >= windowToDaemon/4 && !s.granting && !s.closed && !s.finished {
		s.granting = true
		l.postLocked(outgoing{departure: (*granting)(s)})
	}
}

// granting is the departure of a credit frame. The frame is made at its departure, so it grants all bytes that are owed
// then.
type granting stream

func (s *granting) departLocked(o *outgoing) bool {
	s.granting = false
	if s.closed {
		return false
	}
	o.head = encodeNumbers(kindCredit, creditHeader{Stream: s.number, Bytes: s.owed})
	s.room += s.owed
	s.owed = 0
	return true
}

// download sends the agent the data of the connection, until its end or until the stream is closed.
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
			return // the error is that of the read deadline
		case err == io.EOF:
			s.finish()
			return
		default:
			s.close(readError(err))
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

// waitForCredit waits for credit and returns how many bytes may be read. It returns 0 when the agent reads no more.
func (s *stream) waitForCredit() int {
	for s.reading.Err() == nil {
		s.streams.link.mu.Lock()
		most := min(s.credit, streamChunk)
		s.streams.link.mu.Unlock()
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

// send posts a frame with the n bytes that are in buffer behind the frame's head. It returns true when the frame has been
// written. If it returns false, the buffer may still be in use.
func (s *stream) send(buffer []byte, n int) bool {
	binary.BigEndian.PutUint32(buffer, uint32(streamNumber+n))
	buffer[frameHead-1] = byte(kindData)
	binary.BigEndian.PutUint32(buffer[frameHead:], s.number)
	l := s.streams.link
	l.mu.Lock()
	if s.closed || s.aborted {
		l.mu.Unlock()
		return false
	}
	s.frame = buffer[:frameHead+streamNumber+n]
	s.credit -= n
	l.postDataLocked(s)
	l.unlock()
	select {
	case <-s.left:
		return true
	case <-s.reading.Done():
		return false
	}
}

func (s *stream) dataLocked() []byte {
	if s.closed || s.aborted {
		return nil
	}
	return s.frame
}

func (s *stream) written() { s.left <- struct{}{} }

// finish tells the agent that the other side has ended its data, all of which has been written.
func (s *stream) finish() {
	l := s.streams.link
	l.mu.Lock()
	defer l.unlock()
	if !s.closed {
		l.postLocked(outgoing{head: encodeNumbers(kindFinish, streamHeader{Stream: s.number})})
	}
}
