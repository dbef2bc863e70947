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
	live map[uint64]*session // sessions that the agent was told to open, until it says that they have ended
	last uint64              // number of the newest session
}

// A session is the daemon's side of a context in the agent. Its calls are sent one at a time: the next call is sent when the agent
// has answered the one before.
type session struct {
	sessions *sessions
	closed   chan struct{} // closed when the session takes no calls any more; link.mu guards the closing
	done     chan struct{} // closed when the agent has ended the session

	// link.mu guards what follows.
	id       uint64
	bundle   string      // the agent has to hold it until the session has ended; "" for none
	opened   bool        // the call that opens it was answered
	calling  bool        // a call in it is not done
	busy     bool        // the agent is at a call in it
	lost     error       // why the container died, if its death ended the session
	unclosed *time.Timer // ends the container when a closed session goes on
}

func newSession(s *sessions) *session {
	return &session{sessions: s, closed: make(chan struct{}), done: make(chan struct{})}
}

// sessionHeader is the header of close and ended.
type sessionHeader struct {
	Session uint64 `json:"session"`
}

// close refuses further calls and tells the agent to end the session. If the agent does not end it in time, the container is ended.
// close returns false if the session was closed already.
func (s *session) close() bool {
	l := s.sessions.link
	l.mu.Lock()
	defer l.unlock()
	if s.isClosed() {
		return false
	}
	close(s.closed)
	if s.sessions.live[s.id] == s { // else the agent was not told to open it
		asked := l.activity.now()
		s.unclosed = time.AfterFunc(cancelGrace, func() { s.checkClosed(asked) })
		l.postLocked(outgoing{head: encodeNumbers(kindClose, sessionHeader{Session: s.id})})
		l.pingLocked()
	}
	return true
}

// checkClosed ends the container if the session still goes on. An agent that has sent nothing since it was told to end the session
// may be slow or dead; health finds that out, and checkClosed waits.
func (s *session) checkClosed(asked time.Duration) {
	l := s.sessions.link
	l.mu.Lock()
	goesOn := s.sessions.live[s.id] == s
	active := l.activity.last() >= asked
	if goesOn && !active {
		s.unclosed.Reset(cancelGrace)
	}
	l.mu.Unlock()
	if goesOn && active {
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

// ended notes that the agent has ended a session.
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

// endAllLocked ends all sessions when the container has died of cause.
func (s *sessions) endAllLocked(cause error) {
	for _, each := range s.live {
		each.endLocked(cause)
	}
	clear(s.live)
}

// endLocked notes that the agent has ended the session. lost is why the container died, nil if it lives.
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
