package containers

import (
	"fmt"
	"time"

	"github.com/jsd-project/jsd/call"
)

var errUnclosed = fmt.Errorf("%w: a closed session went on", errProtocol)

// cancelGrace is how long an agent may need to end a call or a session that it was told to end, before the container
// is ended. It only has to notice and to kill. But where the container gets a twentieth of a processor and its workers
// are at endless loops, the killed worker takes seconds to end.
const cancelGrace = 10 * time.Second

// sessions are those of a container.
type sessions struct {
	link *link

	// link.mu guards what follows.
	live map[uint64]*session // that the agent was told to open and has not said to have ended
	last uint64              // number of the newest
}

// A session is the daemon's side of a context that the agent keeps. Its calls are sent one at a time: the next one goes when
// the agent has answered the one before.
type session struct {
	sessions *sessions
	closed   chan struct{} // closed when it takes no calls any more; link.mu guards the closing
	done     chan struct{} // closed when the agent has nothing of it any more

	// link.mu guards what follows.
	id       uint64
	bundle   string      // that the agent has to hold until the session has ended; "" for none
	opened   bool        // the call that opens it was answered
	calling  bool        // a call in it is not done
	busy     bool        // the agent is at a call in it
	lost     error       // why the container died, where that is what ended it
	unclosed *time.Timer // ends the container when a closed session goes on
}

func newSession(s *sessions) *session {
	return &session{sessions: s, closed: make(chan struct{}), done: make(chan struct{})}
}

// sessionHeader is that of close and ended.
type sessionHeader struct {
	Session uint64 `json:"session"`
}

// close refuses calls from now on and has the agent end the session. An agent that does not is ended. It reports false
// of a session that was closed already.
func (s *session) close() bool {
	l := s.sessions.link
	l.mu.Lock()
	defer l.unlock()
	if s.isClosed() {
		return false
	}
	close(s.closed)
	if s.sessions.live[s.id] == s { // else the agent has not heard of it
		asked := l.activity.now()
		s.unclosed = time.AfterFunc(cancelGrace, func() { s.checkClosed(asked) })
		l.postLocked(outgoing{head: encodeNumbers(kindClose, sessionHeader{Session: s.id})})
		l.pingLocked()
	}
	return true
}

// checkClosed ends the container of a session that goes on, unless the agent has said nothing since it was asked to end
// the session. Whether it is slow or dead is for health to find out.
func (s *session) checkClosed(asked time.Duration) {
	l := s.sessions.link
	l.mu.Lock()
	goesOn := s.sessions.live[s.id] == s
	heard := l.activity.last() >= asked
	if goesOn && !heard {
		s.unclosed.Reset(cancelGrace)
	}
	l.mu.Unlock()
	if goesOn && heard {
		l.fail(errUnclosed)
	}
}

func (s *session) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// endErrorLocked is the error of a call that waited when the session ended.
func (s *session) endErrorLocked() error {
	if s.lost != nil {
		return &call.LostError{Cause: s.lost}
	}
	return call.ErrNoSession
}

// openLocked notes that the agent is about to be told to open a session.
func (s *sessions) openLocked(opened *session) { s.live[opened.id] = opened }

// ended takes the agent's word that it has nothing of a session any more.
func (s *sessions) ended(id uint64) (*session, error) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	ended := s.live[id]
	if ended == nil || !ended.opened {
		return nil, fmt.Errorf("%w: the end of session %d, which is not open", errProtocol, id)
	}
	delete(s.live, id)
	ended.endLocked(nil)
	return ended, nil
}

// endAllLocked follows the end of the container.
func (s *sessions) endAllLocked(cause error) {
	for _, each := range s.live {
		each.endLocked(cause)
	}
	clear(s.live)
}

// endLocked notes that the agent has the session no more; lost is nil where the container lives on.
func (s *session) endLocked(lost error) {
	if s.unclosed != nil {
		s.unclosed.Stop()
	}
	if !s.isClosed() {
		s.lost = lost
		close(s.closed)
	}
	close(s.done)
}
