package scheduler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
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
	s := New(Config{Max: tenants, IdleTimeout: time.Hour})
	s.state = open
	for _, name := range names(tenants) {
		s.base.starting = 1
		s.started(s.base, idler{make(chan struct{})})
		decide(tb, s, name)
	}
	return s
}

// decide is all that the scheduler does for a call of a tenant with a container: to look it up, take a slot
// of it and give it back. It is Run without the call.
func decide(tb testing.TB, s *Scheduler, tenant string) {
	c, _, err := s.slot(context.Background(), tenant, plain)
	if err != nil {
		tb.Fatal(err)
	}
	s.release(c, time.Now())
}

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

// TestSimulationDecision prints what BenchmarkDecision measures, all in one run, the quietest of several
// rounds. It fails for no figure, since machines are busy.
func TestSimulationDecision(t *testing.T) {
	const rounds, calls = 10, 1 << 14
	var warm []*Scheduler
	for _, tenants := range decisionSizes {
		warm = append(warm, newWarm(t, tenants))
	}
	for _, who := range whoCalls {
		best, names := make([]time.Duration, len(warm)), make([][]string, len(warm))
		for i, tenants := range decisionSizes {
			names[i] = drawn(who, tenants, calls)
		}
		for range rounds {
			for i, s := range warm { // in turns, so that what disturbs one disturbs the others
				took := cost(t, s, names[i])
				if best[i] == 0 || took < best[i] {
					best[i] = took
				}
			}
		}
		t.Logf("%14s call: a decision takes %d, %d, %d ns with 10, 1,000, 100,000 tenants; most by least %.2f", who.name,
			best[0], best[1], best[2], float64(slices.Max(best))/float64(slices.Min(best)))
	}
}

// cost is what one decision takes.
func cost(t *testing.T, s *Scheduler, calls []string) time.Duration {
	began := time.Now()
	for _, name := range calls {
		decide(t, s, name)
	}
	return time.Since(began) / time.Duration(len(calls))
}
