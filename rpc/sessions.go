package rpc

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A session is a context that its connection makes calls in, one after the other.
type session struct {
	id     string
	tenant string
	hidden []string // secrets, of all its calls
	idle   time.Duration
	inner  call.Session
	gone   chan struct{} // closed when nothing is left of it

	mu        sync.Mutex // guards all below
	turns     []*turn    // of the calls that run or wait, in their order
	callbacks int        // that the client has not answered
	orphan    bool       // its connection is gone
	timer     *time.Timer
}

// A turn is a call's place in its session. Calls wait for it here rather than in the container: so
// their order is that of the requests, and one that is cancelled before has touched nothing.
type turn struct {
	mine   chan struct{} // closed when it has come
	detach bool
}

func newSession(id, tenant string, hidden []string, idle time.Duration, inner call.Session) *session {
	ss := &session{id: id, tenant: tenant, hidden: hidden, idle: idle, inner: inner, gone: make(chan struct{})}
	ss.timer = time.AfterFunc(idle, ss.endIfIdle)
	return ss
}

// start is what a run in the session starts with.
func (ss *session) start(detach bool) func(func() blanker) task {
	return func(blank func() blanker) task {
		t := ss.join(detach)
		return func(ctx context.Context, job call.Call) (json.RawMessage, spent, error) {
			defer ss.leave(t)
			waited, err := t.wait(ctx)
			if err != nil {
				return nil, spent{}, err
			}
			result, err := ss.inner.Execute(ctx, job)
			reply, err := executed(result, err, job.Stats, blank)
			return reply, spent{waited, result}, err
		}
	}
}

// wait says how long the turn took to come: nothing where it was there. Where ctx has ended it is given up.
func (t *turn) wait(ctx context.Context) (time.Duration, error) {
	select {
	case <-t.mine:
		return 0, ctx.Err()
	default:
	}
	began := time.Now()
	select {
	case <-t.mine:
	case <-ctx.Done():
	}
	return time.Since(began), ctx.Err()
}

func (ss *session) join(detach bool) *turn {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.timer.Stop()
	t := &turn{make(chan struct{}), detach}
	if ss.turns = append(ss.turns, t); len(ss.turns) == 1 {
		close(t.mine)
	}
	return t
}

func (ss *session) leave(t *turn) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	i := slices.Index(ss.turns, t)
	ss.turns = slices.Delete(ss.turns, i, i+1)
	switch {
	case len(ss.turns) == 0 && !ss.hasEnded():
		ss.timer.Reset(ss.idle)
	case i == 0 && len(ss.turns) > 0:
		close(ss.turns[0].mine)
	}
	ss.endIfUnwantedLocked()
}

func (ss *session) endIfIdle() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.turns) == 0 {
		ss.inner.Close()
	}
}

// abandon ends the session behind its detached calls. No call may join after it.
func (ss *session) abandon() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.orphan = true
	ss.endIfUnwantedLocked()
}

func (ss *session) endIfUnwantedLocked() {
	if ss.orphan && !slices.ContainsFunc(ss.turns, func(t *turn) bool { return t.detach }) {
		ss.inner.Close()
	}
}

// asking counts the callbacks that wait for the client.
func (ss *session) asking(more int) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.callbacks += more
}

func (ss *session) isAsking() bool {
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

// adopt makes a session one of the connection's, unless that is gone.
func (c *client) adopt(ss *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == nil {
		return false
	}
	c.sessions[ss.id] = ss
	return true
}

func (c *client) disown(ss *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, ss.id)
}

// session is the one that the client names.
func (c *client) session(id string) (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ss := c.sessions[id]; ss != nil && !ss.hasEnded() {
		return ss, nil
	}
	return nil, errNotFound
}

// enter puts a call into a session, whose tenant and secrets are the call's then. A session whose
// script waits for the client is refused: a call from inside a callback would wait for itself.
func (r *run) enter(id string) error {
	ss, err := r.client.session(id)
	if err != nil {
		return err
	}
	r.session, r.tenant, r.hidden = ss, ss.tenant, ss.hidden
	if ss.isAsking() {
		return forbidden("session")
	}
	return nil
}

// abandonSessions ends those of a connection that is gone.
func (c *client) abandonSessions() {
	c.mu.Lock()
	all := c.sessions
	c.sessions = nil
	c.mu.Unlock()
	for _, ss := range all {
		ss.abandon()
	}
}
