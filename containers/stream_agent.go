package containers

import (
	"encoding/binary"
	"fmt"
)

// What the agent says of a stream that is not over, each judged by what it may say then.

// takeLocked takes data from the agent.
func (s *stream) takeLocked(data []byte) error {
	if !s.opened || s.finished || len(data) > s.room {
		return fmt.Errorf("%w: %d bytes of stream %d, where %d are granted", errProtocol, len(data), s.number, s.room)
	}
	s.room -= len(data)
	s.pending = append(s.pending, data...)
	signal(s.arrived)
	return nil
}

func (s *stream) grantedLocked(n int) error {
	if !s.opened || n <= 0 || n > windowToAgent-s.credit {
		return fmt.Errorf("%w: credit of %d bytes for stream %d, which has %d", errProtocol, n, s.number, s.credit)
	}
	s.credit += n
	signal(s.granted)
	return nil
}

func (s *stream) finishedLocked() error {
	if !s.opened || s.finished {
		return fmt.Errorf("%w: the end of stream %d, which is not open", errProtocol, s.number)
	}
	s.finished = true
	signal(s.arrived)
	return nil
}

// abortedLocked has what was sent before written, and nothing more read.
func (s *stream) abortedLocked() error {
	switch {
	case s.aborted:
		return fmt.Errorf("%w: stream %d is aborted twice", errProtocol, s.number)
	case !s.opened:
		s.endLocked(nil)
		return nil
	}
	s.finished, s.aborted = true, true
	s.unread()
	signal(s.arrived)
	return nil
}

// underWayLocked is what of the agent's may come yet once the stream is over: an abort, and of one that was opened
// the finish, the data that was granted, and credit for what it got, a frame for each byte at worst.
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

// dataOf takes a frame of data apart.
func dataOf(f frame) (number uint32, data []byte, err error) {
	n := len(f.header) - streamNumber
	if n <= 0 || n > streamChunk {
		return 0, nil, fmt.Errorf("%w: a frame of data with %d bytes", errProtocol, len(f.header))
	}
	return binary.BigEndian.Uint32(f.header), f.header[streamNumber:], nil
}
