package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jsd-project/jsd/call"
)

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
func newWarm(tb testing.TB, tenants int) *Scheduler {
	s := New(Config{Max: tenants, Policy: all(Policy{IdleTimeout: time.Hour})})
	s.alloc.state = open
	for _, name := range names(tenants) {
		s.alloc.table.base.starting = 1
		s.started(s.alloc.table.base, idler{make(chan struct{})})
		decide(tb, s, name)
	}
	return s
}

// decide is all that the scheduler does for a call of a tenant with a container: to look it up, take a slot
// of it and give it back. The call itself ends at oneShot.
func decide(tb testing.TB, s *Scheduler, tenant string) {
	s.Start(tenant, &nothing, func(_ call.Result, err error) {
		if err != nil {
			tb.Error(err)
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

// TestSimulationDecision prints what BenchmarkDecision measures, all in one run. It fails for no figure, since
// machines are busy.
func TestSimulationDecision(t *testing.T) {
	var warm []*Scheduler
	for _, tenants := range decisionSizes {
		warm = append(warm, newWarm(t, tenants))
	}
	for _, who := range whoCalls {
		var decision, lookup []time.Duration
		for i, s := range warm {
			names := drawn(who, decisionSizes[i], 1<<16)
			decision = append(decision, cost(names, func(name string) { decide(t, s, name) }))
			lookup = append(lookup, cost(names, func(name string) {
				if s.alloc.table.tenants[name].waiting.length != 0 {
					t.Error("a call waits")
				}
			}))
		}
		t.Logf("%14s call: a decision takes %s, and of it to find the tenant %s", who.name, growth(decision), growth(lookup))
	}
}

func growth(of []time.Duration) string {
	return fmt.Sprintf("%d, %d, %d ns with 10, 1,000, 100,000 tenants (%.1f times)",
		of[0], of[1], of[2], float64(of[len(of)-1])/float64(of[0]))
}

// cost is what one decision takes, in the quieter of many short stretches: most are over before anything
// else gets the processor.
func cost(calls []string, decide func(name string)) time.Duration {
	const stretch = 1 << 11
	var took []time.Duration
	for names := range slices.Chunk(calls, stretch) {
		began := time.Now()
		for _, name := range names {
			decide(name)
		}
		took = append(took, time.Since(began)/stretch)
	}
	slices.Sort(took)
	return at(took, 0.1)
}
