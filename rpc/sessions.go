package rpc

import (
	"slices"
	"sync"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A session is a context that its connection makes calls in, one after the other. Their order is kept here and nowhere else:
// it is that of the requests, and a call that is cancelled before its turn has touched nothing.
type session struct {
	id      string
	tenant  string
	secrets []string // of all its calls
	idle    time.Duration
	inner   call.Session
	gone    chan struct{} // closed when nothing is left of it

	mu        sync.Mutex // guards what follows
	queue     []*turn    // the calls that run or wait, in their order
	running   bool       // the call in front was started
	starting  bool       // by startNext, which goes on with the next one by itself
	callbacks int        // that the client has not answered
	orphan    bool       // its connection is gone
	timer     *time.Timer
}

// A turn is a call's place in its session. It is the call's call.Running.
type turn struct {
	session  *session
	job      *call.Call
	detached bool // the session goes on for it when the connection is gone
	done     func(res call.Result, waited time.Duration, err error)

	queued  time.Time // zero: it did not have to wait
	waited  time.Duration
	started bool        // guarded by session.mu
	inner   runningCall // once started
}

func newSession(id, tenant string, secrets []string, idle time.Duration, inner call.Session) *session {
	ss := &session{id: id, tenant: tenant, secrets: secrets, idle: idle, inner: inner, gone: make(chan struct{})}
	ss.timer = time.AfterFunc(idle, ss.closeIfIdle)
	return ss
}

// start runs a call behind those before it. done gets its outcome, and how long it waited for its turn.
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

// startNext starts the call in front, unless one runs. A call may be done before its start returns, so it goes on until one
// is not.
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

// complete takes the outcome of a call. The next one starts behind the reply.
func (t *turn) complete(res call.Result, err error) {
	t.session.remove(t)
	t.done(res, t.waited, err)
	t.session.startNext()
}

// remove takes a call out of the queue that is done, or was cancelled before its turn.
func (ss *session) remove(t *turn) {
	ss.mu.Lock()
	i := slices.Index(ss.queue, t)
	ss.queue = slices.Delete(ss.queue, i, i+1)
	if t.started {
		ss.running = false
	}
	if len(ss.queue) == 0 && !ss.hasEnded() {
		ss.timer.Reset(ss.idle)
	}
	unwanted := ss.isUnwantedLocked()
	ss.mu.Unlock()
	if unwanted {
		ss.inner.Close()
	}
}

// Cancel is that of call.Running.
func (t *turn) Cancel() {
	ss := t.session
	ss.mu.Lock()
	waits := !t.started && slices.Contains(ss.queue, t)
	if waits {
		t.started = true // by nobody else
		ss.queue = slices.DeleteFunc(ss.queue, func(other *turn) bool { return other == t })
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

// abandon ends the session behind its detached calls. No call may start in it any more.
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

// countCallback counts the callbacks that wait for the client.
func (ss *session) countCallback(more int) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.callbacks += more
}

// waitsForClient tells that a callback of its script does. A call from inside a callback would wait for itself.
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

// A sessionSet is the sessions of one connection, by ID.
type sessionSet struct {
	mu       sync.Mutex // guards what follows
	sessions map[string]*session
	closed   bool // the connection is gone
}

// add reports false where the connection is gone.
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

// find gives the session that the client names; nil: there is none, or not any more.
func (s *sessionSet) find(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ss := s.sessions[id]; ss != nil && !ss.hasEnded() {
		return ss
	}
	return nil
}

// abandonAll ends the sessions of a connection that is gone.
func (s *sessionSet) abandonAll() {
	s.mu.Lock()
	all := s.sessions
	s.sessions, s.closed = nil, true
	s.mu.Unlock()
	for _, ss := range all {
		ss.abandon()
	}
}
