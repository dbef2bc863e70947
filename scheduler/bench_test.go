package scheduler

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jsd-project/jsd/call"
)

// idler is a container whose calls end at once.
type idler struct{ done chan struct{} }

func (idler) ID() string              { return "idler" }
func (c idler) Done() <-chan struct{} { return c.done }
func (idler) Close() error            { return nil }
func (idler) Start(_ *call.Call, done call.Done) call.Running {
	done(call.Result{}, nil)
	return over{}
}
func (idler) OpenSession(_ *call.Call, done func(call.Session, call.Result, error)) call.Running {
	done(nil, call.Result{}, call.ErrNoSession)
	return over{}
}

func names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("tenant-", i)
	}
	return names
}

func ignore(call.Result, error) {}

// BenchmarkHandover is one place changing hands: a tenant's only call ends, its idle container gives
// way, the next one is given to the first of all waiting tenants, and the old one waits again.
func BenchmarkHandover(b *testing.B) {
	for _, tenants := range decisionSizes {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			b.ReportAllocs()
			s := New(Config{Max: 1, QueueAll: tenants + 1, Policy: all(Policy{IdleTimeout: time.Hour})})
			s.alloc.state = open
			s.alloc.table.base.starting = 1 // no real starts: the loop plays the part of the container's goroutine
			for _, name := range names(tenants) {
				if _, err := s.alloc.enqueue(s.alloc.table.tenant(name, plain), request{done: ignore}, time.Now()); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				c := s.started(s.alloc.table.base, idler{}) // which runs the call
				name := c.tenant.name
				s.mu.Lock()
				c.place.remove()
				s.alloc.pool.closing--
				s.alloc.table.base.starting = 1
				_, err := s.alloc.enqueue(s.alloc.table.tenant(name, plain), request{done: ignore}, time.Now())
				s.mu.Unlock()
				if err != nil || s.alloc.table.base.waiting.length() != tenants || !c.draining {
					b.Fatalf("%v, %d in the wait queue", err, s.alloc.table.base.waiting.length())
				}
			}
		})
	}
}

var decisionSizes = []int{10, 1_000, 100_000}

// A callers says which tenants call. The steps of a decision are the same for any number of tenants; what is
// left is how much of what they read has to come from memory, and that is a matter of how many
// tenants called of late, not of how many there are.
type callers struct {
	name string
	draw func(rnd *rand.Rand, tenants int) func() int
}

func callersOf(active int) callers {
	return callers{fmt.Sprintf("%d", active), func(rnd *rand.Rand, tenants int) func() int {
		n := min(active, tenants)
		return func() int { return rnd.IntN(n) * (tenants / n) }
	}}
}

var whoCalls = []callers{
	callersOf(10),
	callersOf(1000),
	{"Zipf-like many", func(rnd *rand.Rand, tenants int) func() int {
		ranks, of := newZipf(tenants), rnd.Perm(tenants)
		return func() int { return of[ranks.draw(rnd)] }
	}},
	callersOf(100_000),
}

// newWarm gives a scheduler with that many tenants, each with an idle container, which has no goroutine.
func newWarm(b *testing.B, tenants int) *Scheduler {
	s := New(Config{Max: tenants, Policy: all(Policy{IdleTimeout: time.Hour})})
	s.alloc.state = open
	for _, name := range names(tenants) {
		s.alloc.table.base.starting = 1
		s.started(s.alloc.table.base, idler{make(chan struct{})})
		decide(b, s, name)
	}
	return s
}

// decide is all that the scheduler does for a call of a tenant with a container: to look it up, take a slot
// of it and give it back. The call itself ends at once.
func decide(b *testing.B, s *Scheduler, tenant string) {
	s.Start(tenant, &nothing, func(_ call.Result, err error) {
		if err != nil {
			b.Error(err)
		}
	})
}

var nothing call.Call

// drawn are the names of callers in the order in which they call. Each is a string of its own, one behind
// the other, as the name comes with a call and need not be fetched from far away.
func drawn(who callers, tenants, calls int) []string {
	next := who.draw(rand.New(rand.NewPCG(1, 1)), tenants)
	var text strings.Builder
	ends := make([]int, calls)
	for i := range ends {
		fmt.Fprint(&text, "tenant-", next())
		ends[i] = text.Len()
	}
	names, from := make([]string, calls), 0
	for i, end := range ends {
		names[i], from = text.String()[from:end], end
	}
	return names
}

// BenchmarkDecision is what one call of a tenant with a container costs in the scheduler, by how many tenants
// have one and which of them call. Figures with the same callers show whether deciding depends on how
// many tenants there are.
func BenchmarkDecision(b *testing.B) {
	for _, tenants := range decisionSizes {
		s := newWarm(b, tenants)
		for _, who := range whoCalls {
			calls := drawn(who, tenants, 1<<17)
			b.Run(fmt.Sprintf("tenants=%d/callers=%s", tenants, who.name), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					decide(b, s, calls[i])
					i = (i + 1) % len(calls)
				}
			})
		}
	}
}
