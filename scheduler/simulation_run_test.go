package scheduler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A demand is what tenants ask for: calls at random times, each of a tenant drawn by Zipf's law.
type demand struct {
	tenants int
	calls   int
	rate    float64       // calls a second
	length  time.Duration // of a call, in the mean
	crashes float64       // the part of the calls that kill their container half way
}

// A flood is what one more tenant does meanwhile.
type flood struct {
	name    string
	burst   int           // calls at once
	every   time.Duration // on average between bursts; 0: no flood
	oneShot bool
}

// An engine says how long starts take, by Pareto's law, and how long containers live if nobody ends them.
type engine struct {
	seed           uint64
	fastest, worst time.Duration
	shape          float64 // the smaller, the more starts are slow
	life           time.Duration
}

func (e engine) start(rnd *rand.Rand) time.Duration {
	return min(time.Duration(float64(e.fastest)*math.Pow(1-rnd.Float64(), -1/e.shape)), e.worst)
}

// flooding is the rank of the tenant that floods; the others are 0 (the hottest) and up.
const flooding = -1

func tenantOf(rank int) string {
	if rank == flooding {
		return "flood"
	}
	return fmt.Sprint("t", rank)
}

// A simCall is a call with what became of it.
type simCall struct {
	tenant  int
	length  time.Duration
	crash   bool
	oneShot bool

	sent     time.Time
	began    time.Time // in a container; zero: in none
	executed int
	answered int
	found    found
}

const longestWait = 30 * time.Second // the default queue time

// wait is how long the call waited for a slot. One that was refused counts as if it had waited as long as
// any may: else refusing would make waits shorter.
func (c *simCall) wait() time.Duration {
	if c.began.IsZero() {
		return longestWait
	}
	return c.began.Sub(c.sent)
}

// found is what a call met with.
type found int

const (
	warm   found = iota // a free slot in a container of its tenant
	spare               // a spare, at once
	start               // a container to wait for, and was its first call
	queued              // one to wait for that others used before it
	lost                // the death of its container
	refuse              // a BusyError
	founds
)

// A simulation is one run of a demand, with a flood or without. What belongs to the demand is drawn from
// sources of its own, so that it is the same in runs that differ in their flood.
type simulation struct {
	*testing.T
	s     *Scheduler
	w     *world
	e     engine
	calls []*simCall // of the demand, in the order of arrival
	flood []*simCall
	seen  []Stats // now and then

	mu            sync.Mutex // guards the rest
	starts, lives *rand.Rand
	ended         [groups]map[string]int // containers, by whose they were and why they ended
}

// simulate runs a demand to its end in a bubble, where time costs nothing.
func simulate(t *testing.T, cfg Config, idle time.Duration, d demand, f flood, e engine) *result {
	var res *result
	synctest.Test(t, func(t *testing.T) {
		m := &simulation{T: t, e: e, starts: rand.New(rand.NewPCG(e.seed, 3)), lives: rand.New(rand.NewPCG(e.seed, 4))}
		m.w = newWorld(t, cfg, 0)
		m.w.takes = func() time.Duration {
			m.mu.Lock()
			defer m.mu.Unlock()
			return e.start(m.starts)
		}
		cfg.Start, cfg.Policy = m.start, all(Policy{IdleTimeout: idle})
		m.s = New(cfg)
		m.w.s = m.s
		m.s.Open()
		time.Sleep(time.Minute) // all spares are ready
		began := time.Now()
		m.run(d, f)
		res = &result{calls: m.calls, flood: m.flood, stats: m.s.Stats(), seen: m.seen, lasted: time.Since(began)}
		if err := m.s.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, alive := m.w.count(); alive != 0 {
			t.Errorf("%d containers left", alive)
		}
		res.ended = m.ended
	})
	return res
}

func (m *simulation) run(d demand, f flood) {
	over := make(chan struct{})
	var flooder, callers sync.WaitGroup
	if f.every > 0 {
		flooder.Go(func() { m.sendFlood(f, d, over, &callers) })
	}
	m.sendDemand(d, &callers)
	close(over)
	flooder.Wait()
	callers.Wait()
	m.check()
}

// A zipf draws ranks by Zipf's law. For each it has how much of all that falls to it and lower ones.
type zipf []float64

func newZipf(n int) zipf {
	sum, z := 0.0, make(zipf, n)
	for i := range z {
		sum += 1 / float64(i+1)
		z[i] = sum
	}
	return z
}

func (z zipf) draw(rnd *rand.Rand) int { return sort.SearchFloat64s(z, rnd.Float64()*z[len(z)-1]) }

// sendDemand draws the arrivals of all tenants together, so that those which are silent cost nothing.
func (m *simulation) sendDemand(d demand, callers *sync.WaitGroup) {
	rnd := rand.New(rand.NewPCG(1, 1))
	ranks := newZipf(d.tenants)
	at := time.Now()
	for i := range d.calls {
		if i%100 == 0 {
			m.seen = append(m.seen, m.s.Stats())
		}
		at = at.Add(time.Duration(rnd.ExpFloat64() / d.rate * float64(time.Second)))
		c := &simCall{
			tenant: ranks.draw(rnd),
			length: time.Duration(rnd.ExpFloat64() * float64(d.length)),
			crash:  rnd.Float64() < d.crashes,
		}
		m.calls = append(m.calls, c)
		time.Sleep(time.Until(at))
		callers.Go(func() { m.call(c) })
	}
}

func (m *simulation) sendFlood(f flood, d demand, over <-chan struct{}, callers *sync.WaitGroup) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(rnd.ExpFloat64() * float64(f.every))):
		}
		for range f.burst {
			c := &simCall{tenant: flooding, length: floodLength, oneShot: f.oneShot}
			m.flood = append(m.flood, c)
			callers.Go(func() { m.call(c) })
		}
	}
}

// A simClient tells a container which call it runs.
type simClient struct {
	call.Client
	call *simCall
}

func (m *simulation) call(c *simCall) {
	tenant := tenantOf(c.tenant)
	c.sent = time.Now()
	o := <-begin(m.Context(), m.s, tenant, call.Call{Timeout: c.length, OneShot: c.oneShot, Client: &simClient{call: c}})
	err := o.err
	c.answered++
	var busy *call.BusyError
	var gone *call.LostError
	switch waited := c.began.After(c.sent); {
	case errors.As(err, &busy):
		c.found = refuse
	case errors.As(err, &gone):
		c.found = lost
	case err != nil:
		m.Errorf("call of %s: %v", tenant, err)
	case waited && o.cold:
		c.found = start
	case waited:
		c.found = queued
	case o.cold:
		c.found = spare
	default:
		c.found = warm
	}
}

// check is for when all callers have returned.
func (m *simulation) check() {
	for _, c := range append(m.calls[:len(m.calls):len(m.calls)], m.flood...) {
		most := 1 // also of a call that was lost: a script that may have started is never started again
		if c.found == refuse {
			most = 0
		}
		if c.answered != 1 || c.executed > most || c.executed == 0 && c.found < lost {
			m.Errorf("call of %s: %d answers (%d), executed %d times", tenantOf(c.tenant), c.answered, c.found, c.executed)
		}
	}
}
