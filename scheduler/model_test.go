package scheduler

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// modelRun chooses other random orders: go test ./scheduler -run TestModel -model 8
var modelRun = flag.Uint64("model", 7, "the run of random orders that TestModel takes")

// TestModel lets tenants of three profiles, plain and one-shot calls, sessions, cancelled calls, tenants that are
// stopped, deaths, and starts that fail or hang, of one profile or all, meet in random and checks after every step, when nothing moves any more, that all is in its place.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, *modelRun))
			cfg := Config{
				Max: 1 + rnd.IntN(6), Min: rnd.IntN(4), Spare: rnd.IntN(3), Starts: 1 + rnd.IntN(3),
				TimeSlice: time.Second, QueueAll: 1 + rnd.IntN(40), StartTime: 3 * time.Second,
			}
			m := &model{rnd: rnd, policies: map[string]Policy{}, cold: map[string]int{}}
			m.changePolicies()
			cfg.Policy = func(tenant string) Policy { return m.policies[tenant] }
			in(t, cfg, func(t *testing.T, w *world, s *Scheduler) {
				m.T, m.w, m.s, m.a = t, w, s, s.alloc
				m.run()
			})
		})
	}
}

type model struct {
	*testing.T
	w        *world
	s        *Scheduler
	a        *allocator
	rnd      *rand.Rand
	policies map[string]Policy // by tenant; the scheduler's mutex guards it
	updated  bool
	sent     int64
	answered atomic.Int64
	behind   atomic.Int64 // calls of sessions that the scheduler has not got yet, behind others of their session

	mu       sync.Mutex
	cold     map[string]int // calls that were said to be the first, by container
	sessions []*session     // that were opened
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
	case n < 40:
		m.send()
	case n < 44:
		m.open()
	case n < 57:
		m.sendInSession()
	case n < 59:
		m.endSession()
	case n < 60:
		m.s.Stop(m.tenant())
	case n < 61:
		if m.rnd.IntN(3) == 0 {
			m.canary()
		} else {
			m.update()
		}
	case n < 62:
		m.w.breakStarts(m.profile(), errEngine)
	case n < 63:
		m.breakAll(errEngine)
	case n < 64:
		m.w.stickStarts(m.profile(), true)
	case n < 70:
		m.breakAll(nil)
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

// modelProfiles are the kinds of profile of the model's tenants, in equal parts.
var modelProfiles = []string{"", "gpu", "old"}

func (m *model) profile() string { return modelProfiles[m.rnd.IntN(len(modelProfiles))] }

// breakAll lets all starts fail; nil mends all that may be wrong with them.
func (m *model) breakAll(err error) {
	for _, kind := range modelProfiles {
		m.w.breakStarts(kind, err)
		if err == nil {
			m.w.stickStarts(kind, false)
		}
	}
}

func (m *model) within(d time.Duration) time.Duration {
	return time.Duration(m.rnd.Int64N(int64(d)))
}

const modelTenants = 12

// changePolicies gives about half of the tenants another policy. Concurrency is as it was: the fakes know but one.
func (m *model) changePolicies() {
	for n := range modelTenants {
		old, known := m.policies[modelTenant(n)]
		if known && m.rnd.IntN(2) == 0 {
			continue
		}
		if !known {
			old.Concurrency = 1 + m.rnd.IntN(3)
		}
		p := Policy{
			Containers: 1 + m.rnd.IntN(3), Concurrency: old.Concurrency, Weight: 1 + m.rnd.IntN(3),
			Queue: 1 + m.rnd.IntN(20), QueueTime: 4 * time.Second,
			IdleTimeout: time.Duration(m.rnd.IntN(3)) * 5 * time.Second, MaxAge: time.Duration(m.rnd.IntN(3)) * 10 * time.Second,
			MaxCalls: max(0, m.rnd.IntN(20)-10),
		}
		if m.rnd.IntN(4) == 0 {
			p.Rate, p.Burst = 1, 1+m.rnd.IntN(5)
		}
		m.policies[modelTenant(n)] = p
	}
}

// update changes policies, and the generation of a kind of profile.
func (m *model) update() {
	m.s.mu.Lock()
	m.changePolicies()
	m.s.mu.Unlock()
	m.updated = true
	kind := m.profile()
	if m.rnd.IntN(2) == 0 {
		m.w.roll(kind)
	}
	m.s.Update()
}

// canary has a container of the next generation started, in the background.
func (m *model) canary() {
	kind := m.profile()
	ctx, cancel := context.WithTimeout(m.Context(), 10*time.Second)
	go func() {
		defer cancel()
		err := m.s.Canary(ctx, kind+"@next")
		if err != nil && !errors.Is(err, errEngine) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrClosed) {
			m.Errorf("Canary: %v", err)
		}
	}()
}

// tenant chooses one: few are many of the choices.
func (m *model) tenant() string {
	return modelTenant(min(m.rnd.IntN(modelTenants), m.rnd.IntN(modelTenants)))
}

func modelTenant(n int) string {
	tenant := fmt.Sprint("t", n)
	if kind := modelProfiles[n%len(modelProfiles)]; kind != "" {
		tenant = kind + ":" + tenant
	}
	return tenant
}

// send starts a call in a container.
func (m *model) send() {
	tenant, single := m.tenant(), m.rnd.IntN(4) == 0
	m.call(tenant, func(ctx context.Context, length time.Duration) outcome {
		return <-begin(ctx, m.s, tenant, call.Call{Timeout: length, OneShot: single})
	})
}

// call is made in the background; some calls are cancelled.
func (m *model) call(tenant string, run func(context.Context, time.Duration) outcome) {
	ctx, cancel := m.Context(), context.CancelFunc(func() {})
	if m.rnd.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(ctx, m.within(3*time.Second))
	}
	length := m.within(time.Second)
	m.sent++
	go func() {
		defer cancel()
		o := run(ctx, length)
		m.answered.Add(1)
		m.countCold(o)
		var busy *call.BusyError
		var lost *call.LostError
		var failed *call.Failure
		switch {
		case o.err == nil:
			if o.queue != o.took-length {
				m.Errorf("queue %v, but a call of %v took %v", o.queue, length, o.took)
			}
		case errors.As(o.err, &lost):
		case errors.As(o.err, &failed), errors.Is(o.err, call.ErrNoSession): // cancelled, or of a session that ended
		case errors.As(o.err, &busy):
			if busy.RetryAfter <= 0 || busy.Reason != RateSpent && busy.RetryAfter < shortestRetry || busy.RetryAfter > time.Hour {
				m.Errorf("retry after %v", busy.RetryAfter)
			}
		default:
			m.Errorf("call of %s: %v", tenant, o.err)
		}
	}()
}

func (m *model) countCold(o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.cold {
		m.cold[o.container]++
	}
}

// end mends the engine and lets all calls come to an answer.
func (m *model) end() {
	m.breakAll(nil)
	time.Sleep(time.Minute)
	synctest.Wait()
	m.check()
	if m.answered.Load() != m.sent {
		m.Errorf("%d calls, %d answers", m.sent, m.answered.Load())
	}
	m.endSessions()
	for _, f := range m.w.containers() {
		if n := m.cold[f.id]; n > 1 || n == 0 && f.calls > 0 && !f.opened {
			m.Errorf("%d of %d calls in %s were cold", n, f.calls, f.id)
		}
	}
	ready := m.s.Ready()
	for range 5 { // what held places has only just ended, and a spare may just have come to its age
		if ready == nil {
			break
		}
		time.Sleep(time.Second)
		ready = m.s.Ready()
	}
	if ready != nil {
		m.Errorf("Ready: %v", ready)
	}
	if _, alive := m.w.count(); alive < min(m.s.cfg.Max, m.s.cfg.Min) && m.s.Stats().Starting == 0 {
		m.Errorf("%d containers, at least %d should be there: %+v", alive, m.s.cfg.Min, m.s.Stats())
	}
}
