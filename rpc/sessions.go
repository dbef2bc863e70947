package rpc

import (
	"slices"
	"sync"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A session is a context in which its connection makes calls, one at a time, in the order of the requests. Only this file keeps
// that order. A call that is cancelled while it waits for its turn never reaches the context.
type session struct {
	id      string
	tenant  string
	secrets []string // redacted from the outcomes of all its calls
	idle    time.Duration
	inner   call.Session
	gone    chan struct{} // closed when the session has ended and its place is free

	mu        sync.Mutex // guards what follows
	queue     []*turn    // the calls that run or wait, in their order
	running   bool       // the call in front was started
	starting  bool       // startNext is starting a call; it goes on with the next one by itself
	callbacks int        // of its scripts, which the client has not answered
	orphan    bool       // its connection has closed
	timer     *time.Timer
}

// A turn is a call's place in the queue of its session. It is the call.Running of the call.
type turn struct {
	session  *session
	job      *call.Call
	detached bool // the session stays open for the call when the connection has closed
	done     func(res call.Result, waited time.Duration, err error)

	queued  time.Time // when the call began to wait; zero: it did not have to
	waited  time.Duration
	started bool        // guarded by session.mu
	inner   runningCall // once started
}

func newSession(id, tenant string, secrets []string, idle time.Duration, inner call.Session) *session {
	ss := &session{id: id, tenant: tenant, secrets: secrets, idle: idle, inner: inner, gone: make(chan struct{})}
	ss.timer = time.AfterFunc(idle, ss.closeIfIdle)
	return ss
}

// start queues a call, and starts it when the calls before it are done. done gets the outcome, and how long the call waited for
// its turn.
func (ss *session) start(job *call.Call, detached bool, done func(call.Result, time.Duration, error)) call.Running {
	t := &turn{session: ss, job: job, detached: detached, done: done}
	ss.mu.Lock()
	ss.timer.Stop()
	ss.queue = append(ss.queue, t)
	first := len(ss.queue) == 1
	if !first {
		t.queued = time.Now()
	}
	ss.mu.Unlock()
	if first {
		ss.startNext()
	}
	return t
}

// startNext starts the call in front, unless a call runs. A call may be done before Start returns; startNext then goes on with
// the next one.
func (ss *session) startNext() {
	for {
		ss.mu.Lock()
		if ss.running || ss.starting || len(ss.queue) == 0 {
			ss.mu.Unlock()
			return
		}
		t := ss.queue[0]
		ss.running, ss.starting, t.started = true, true, true
		ss.mu.Unlock()
		if !t.queued.IsZero() {
			t.waited = time.Since(t.queued)
		}
		t.inner.set(ss.inner.Start(t.job, t.complete))
		ss.mu.Lock()
		ss.starting = false
		ss.mu.Unlock()
	}
}

// complete takes the outcome of a call. The next call starts after the reply was written.
func (t *turn) complete(res call.Result, err error) {
	t.session.remove(t)
	t.done(res, t.waited, err)
	t.session.startNext()
}

// remove takes a call that is done out of the queue. The next one may start.
func (ss *session) remove(t *turn) {
	ss.mu.Lock()
	if t.started {
		ss.running = false
	}
	ss.removeLocked(t)
	unwanted := ss.isUnwantedLocked()
	ss.mu.Unlock()
	if unwanted {
		ss.inner.Close()
	}
}

// removeLocked removes a call from the queue. The session is idle when no call is left.
func (ss *session) removeLocked(t *turn) {
	ss.queue = slices.DeleteFunc(ss.queue, func(other *turn) bool { return other == t })
	if len(ss.queue) == 0 && !ss.hasEnded() {
		ss.timer.Reset(ss.idle)
	}
}

// Cancel implements call.Running.
func (t *turn) Cancel() {
	ss := t.session
	ss.mu.Lock()
	waits := !t.started && slices.Contains(ss.queue, t)
	if waits {
		t.started = true // so that startNext does not start it
		ss.removeLocked(t)
	}
	unwanted := waits && ss.isUnwantedLocked()
	ss.mu.Unlock()
	if !waits {
		t.inner.Cancel()
		return
	}
	if unwanted {
		ss.inner.Close()
	}
	t.done(call.Result{}, time.Since(t.queued), errCancelled)
}

func (ss *session) closeIfIdle() {
	ss.mu.Lock()
	idle := len(ss.queue) == 0
	ss.mu.Unlock()
	if idle {
		ss.inner.Close()
	}
}

// abandon closes the session after its detached calls. The connection has closed, so no more calls come.
func (ss *session) abandon() {
	ss.mu.Lock()
	ss.orphan = true
	unwanted := ss.isUnwantedLocked()
	ss.mu.Unlock()
	if unwanted {
		ss.inner.Close()
	}
}

func (ss *session) isUnwantedLocked() bool {
	return ss.orphan && !slices.ContainsFunc(ss.queue, func(t *turn) bool { return t.detached })
}

// countCallback adds to the number of callbacks that wait for the client.
func (ss *session) countCallback(more int) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.callbacks += more
}

// waitsForClient reports whether a callback of its script waits for the client. A call that the client makes in the session to
// answer the callback would wait for itself.
func (ss *session) waitsForClient() bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.callbacks > 0
}

func (ss *session) hasEnded() bool {
	select {
	case <-ss.inner.Done():
		return true
	default:
		return false
	}
}

// A sessionSet holds the sessions of one connection, by ID.
type sessionSet struct {
	mu       sync.Mutex // guards what follows
	sessions map[string]*session
	closed   bool // the connection has closed
}

// add adds a session. It returns false if the connection has closed.
func (s *sessionSet) add(ss *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.sessions == nil {
		s.sessions = map[string]*session{}
	}
	s.sessions[ss.id] = ss
	return true
}

func (s *sessionSet) remove(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, ss.id)
}

// find returns the session of an ID that the client names, or nil if there is none or it has ended.
func (s *sessionSet) find(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ss := s.sessions[id]; ss != nil && !ss.hasEnded() {
		return ss
	}
	return nil
}

// abandonAll abandons all sessions. It is called when the connection has closed.
func (s *sessionSet) abandonAll() {
	s.mu.Lock()
	all := s.sessions
	s.sessions, s.closed = nil, true
	s.mu.Unlock()
	for _, ss := range all {
		ss.abandon()
	}
}
