package scheduler

import (
	"context"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// open opens a session, which stays open until endSession, endSessions or something worse chooses it.
func (m *model) open() {
	tenant := m.tenant()
	m.call(tenant, func(ctx context.Context, length time.Duration) outcome {
		job := &call.Call{Script: []byte(tenant), Timeout: length}
		return <-openWith(ctx, m.s, job, func(given call.Session) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.sessions = append(m.sessions, given.(*session))
		})
	})
}

// someSession is one that was opened, mostly of the last ones, since others have ended; nil if there is none.
func (m *model) someSession() *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.sessions)
	if n == 0 {
		return nil
	}
	return m.sessions[n-1-min(m.rnd.IntN(n), m.rnd.IntN(8))]
}

func (m *model) sendInSession() {
	if ss := m.someSession(); ss != nil {
		m.call(ss.container.tenant.name, func(ctx context.Context, length time.Duration) outcome {
			m.behind.Add(1)
			return executeIn(ctx, ss, length, func() { m.behind.Add(-1) })
		})
	}
}

// endSession has one closed, or end by itself.
func (m *model) endSession() {
	switch ss := m.someSession(); {
	case ss == nil:
	case m.rnd.IntN(2) == 0:
		ss.Close()
	default:
		ss.session.(*fakeSession).end()
	}
}

// endSessions closes all there are; each must be over then, and say so.
func (m *model) endSessions() {
	for _, ss := range m.sessions {
		ss.Close()
	}
	time.Sleep(sessionEnds)
	synctest.Wait()
	for _, ss := range m.sessions {
		select {
		case <-ss.Done():
		default:
			m.Errorf("a session in %s goes on", ss.container.ID())
		}
	}
	m.check()
	m.never(m.s.Stats().Sessions != 0, "%d sessions are left", m.s.Stats().Sessions)
}
