package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/containers"
)

// TestModel lets tenants, calls with and without Once, callers that give up, deaths and a failing engine meet in random order,
// and checks after every step, when nothing moves any more, that all is in its place.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			cfg := Config{
				Max: 1 + rnd.IntN(6), Min: rnd.IntN(4), Spare: rnd.IntN(3), Concurrency: 1 + rnd.IntN(3), Starts: 1 + rnd.IntN(3),
				IdleTimeout: time.Duration(rnd.IntN(3)) * 5 * time.Second, Turn: time.Second,
				QueueTenant: 1 + rnd.IntN(20), QueueAll: 1 + rnd.IntN(40), QueueTime: 4 * time.Second,
			}
			in(t, cfg, func(t *testing.T, w *world, s *Scheduler) {
				(&model{T: t, w: w, s: s, rnd: rnd, cold: map[string]int{}}).run()
			})
		})
	}
}

type model struct {
	*testing.T
	w        *world
	s        *Scheduler
	rnd      *rand.Rand
	sent     int64
	answered atomic.Int64

	mu   sync.Mutex
	cold map[string]int // calls that were said to be the first, by container
}

func (m *model) run() {
	var slow atomic.Int64 // the world's starts read it in goroutines of their own
	m.w.mu.Lock()
	m.w.takes = func() time.Duration { return time.Duration(slow.Load()) }
	m.w.mu.Unlock()
	for range 300 {
		for range 1 + m.rnd.IntN(4) { // things that happen at the same time
			slow.Store(int64(m.within(500 * time.Millisecond)))
			m.happen()
		}
		synctest.Wait()
		m.check()
		if m.Failed() {
			m.FailNow()
		}
	}
	m.end()
}

func (m *model) happen() {
	switch n := m.rnd.IntN(100); {
	case n < 60:
		m.send()
	case n < 63:
		m.w.breakDown(errEngine)
	case n < 70:
		m.w.breakDown(nil)
	case n < 75:
		if all := m.w.containers(); len(all) > 0 {
			all[m.rnd.IntN(len(all))].die()
		}
	case n < 76:
		time.Sleep(m.within(20 * time.Second))
	default:
		time.Sleep(m.within(300 * time.Millisecond))
	}
}

func (m *model) within(d time.Duration) time.Duration {
	return time.Duration(m.rnd.Int64N(int64(d)))
}

// send starts a call: some callers give up, few tenants are many of the calls.
func (m *model) send() {
	tenant := fmt.Sprint("t", min(m.rnd.IntN(12), m.rnd.IntN(12)))
	ctx, cancel := m.Context(), context.CancelFunc(func() {})
	if m.rnd.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(ctx, m.within(3*time.Second))
	}
	call := containers.Call{Script: []byte(tenant), Timeout: m.within(time.Second), Once: m.rnd.IntN(4) == 0}
	m.sent++
	began := time.Now()
	go func() {
		defer cancel()
		res, err := m.s.Run(ctx, tenant, call)
		m.answered.Add(1)
		m.keepCold(res)
		var busy *BusyError
		var lost *containers.LostError
		switch {
		case err == nil:
			if took := time.Since(began); res.Queue != took-call.Timeout {
				m.Errorf("queue %v, but a call of %v took %v", res.Queue, call.Timeout, took)
			}
		case errors.As(err, &lost), errors.Is(err, context.DeadlineExceeded):
		case errors.As(err, &busy):
			if busy.RetryAfter() < shortestRetry || busy.RetryAfter() > time.Hour {
				m.Errorf("retry after %v", busy.RetryAfter())
			}
		default:
			m.Errorf("call of %s: %v", tenant, err)
		}
	}()
}

func (m *model) keepCold(res containers.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if res.Cold {
		m.cold[res.Container]++
	}
}

// tenants are those in the table, those for calls with Once behind the ones they belong to. The
// scheduler's mutex is held.
func (m *model) tenants() (all []*tenant) {
	for _, t := range m.s.tenants {
		all = append(all, t)
		if t.once != nil {
			all = append(all, t.once)
		}
	}
	return all
}

func (m *model) check() {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m.checkContainers()
	m.checkCalls()
	m.checkNothingLeftUndone()
}

// checkContainers: each in exactly one place, each with one tenant, never more than Max.
func (m *model) checkContainers() {
	s, owned := m.s, 0
	for _, c := range s.spares.items(m.T) {
		if c.tenant != nil || c.running != 0 || c.retired {
			m.Errorf("spare %s of %v with %d calls", c.ID(), c.tenant, c.running)
		}
	}
	tenants := m.tenants()
	for _, l := range []*list[*container]{&s.idle, &s.busy, &s.lone} {
		for i, c := range l.items(m.T) {
			owned++
			if c.retired || !slices.Contains(tenants, c.tenant) {
				m.Fatalf("container %s of %v, retired: %v", c.ID(), c.tenant, c.retired)
			}
			if want := m.placeOf(c); l != want {
				m.Errorf("container %s is in the wrong place, with %d calls", c.ID(), c.running)
			}
			if c.tenant.of != nil && c.running == 0 && c.used.Load() {
				m.Errorf("container %s has had its only call", c.ID())
			}
			if f := c.Container.(*fake); f.owner() != "" && f.owner() != c.tenant.name {
				m.Errorf("container of %s in the table of %s", f.owner(), c.tenant.name)
			}
			if i > 0 && l.items(m.T)[i-1].since.After(c.since) {
				m.Error("not in order of since")
			}
		}
	}
	if owned != s.owned {
		m.Errorf("%d owned containers, counted %d", owned, s.owned)
	}
	total := s.starting + s.spares.length + owned + s.retired
	if _, alive := m.w.count(); total > s.cfg.Max || alive != total {
		m.Errorf("%d containers exist, the table has %d, at most %d are allowed", alive, total, s.cfg.Max)
	}
}

func (m *model) placeOf(c *container) *list[*container] {
	switch {
	case c.running == 0:
		return &m.s.idle
	case c.tenant.of != nil:
		return &m.s.lone
	default:
		return &m.s.busy
	}
}

// checkCalls: each waits in one queue or runs in one container, and every tenant with a free slot
// in sight has no waiters.
func (m *model) checkCalls() {
	s, queued, inTurns, running, containers := m.s, 0, 0, 0, 0
	for _, f := range m.w.containers() {
		f.mu.Lock()
		running += f.running
		f.mu.Unlock()
	}
	for _, t := range m.tenants() {
		name, waiting := t.name, len(t.waiting.items(m.T))
		queued += waiting
		containers += len(t.containers)
		if waiting == 0 && len(t.containers) == 0 && t.once == nil {
			m.Errorf("%s should be forgotten", name)
		}
		for _, c := range t.containers {
			if c.tenant != t || waiting > 0 && c.running < t.slots {
				m.Errorf("%s has %d waiters and %d calls in %s", name, waiting, c.running, c.ID())
			}
		}
		if len(t.containers) > t.most {
			m.Errorf("%s has %d containers, may have %d", name, len(t.containers), t.most)
		}
		if waits := waiting > 0 && len(t.containers) < t.most; waits != (t.turn.in != nil) {
			m.Errorf("%s has %d waiters and %d containers; in turns: %v", name, waiting, len(t.containers), !waits)
		} else if waits {
			inTurns++
		}
	}
	if turns := s.turns.line.items(m.T); len(turns) != inTurns {
		m.Errorf("%d tenants in turns, %d wait for one", len(turns), inTurns)
	}
	if queued != s.queued || running != s.running || containers != s.owned {
		m.Errorf("counted %d queued, %d running, %d owned; are %d, %d, %d", s.queued, s.running, s.owned, queued, running, containers)
	}
	if left := m.sent - m.answered.Load(); int64(queued+running) != left {
		m.Errorf("%d calls without an answer, %d in the table", left, queued+running)
	}
}

// checkNothingLeftUndone: where nothing moves, all that could be done has been.
func (m *model) checkNothingLeftUndone() {
	s := m.s
	if s.turns.length() > 0 && s.spares.length > 0 {
		m.Errorf("%d tenants wait, and %d spares", s.turns.length(), s.spares.length)
	}
	if s.crowdedLocked() && s.idle.length > 0 {
		m.Errorf("%d tenants wait, and %d containers are idle", s.turns.length(), s.idle.length)
	}
	if s.wantsStartLocked() {
		m.Errorf("a start is due: %d starting, %d spares, %d owned", s.starting, s.spares.length, s.owned)
	}
	overdue := []time.Time{s.alarm}
	if s.cfg.IdleTimeout > 0 && s.idle.length > 0 {
		overdue = append(overdue, s.idle.front().since.Add(s.cfg.IdleTimeout))
	}
	if s.crowdedLocked() && s.busy.length > 0 {
		overdue = append(overdue, s.busy.front().since.Add(s.cfg.Turn))
	}
	if slices.ContainsFunc(overdue, func(at time.Time) bool { return !at.IsZero() && at.Before(time.Now()) }) {
		m.Errorf("overdue: %v at %v", overdue, time.Now())
	}
}

// end mends the engine and lets all calls come to an answer.
func (m *model) end() {
	m.w.breakDown(nil)
	time.Sleep(time.Minute)
	synctest.Wait()
	m.check()
	if m.answered.Load() != m.sent {
		m.Errorf("%d calls, %d answers", m.sent, m.answered.Load())
	}
	for _, f := range m.w.containers() {
		if n := m.cold[f.id]; n > 1 || n == 0 && f.calls > 0 {
			m.Errorf("%d of %d calls in %s were cold", n, f.calls, f.id)
		}
	}
	if err := m.s.Ready(); err != nil {
		m.Errorf("Ready: %v", err)
	}
	if _, alive := m.w.count(); alive < min(m.s.cfg.Max, m.s.cfg.Min) {
		m.Errorf("%d containers, at least %d should be there", alive, m.s.cfg.Min)
	}
}
