package scheduler

import (
	"fmt"
	"testing"
	"time"
)

// floodLength is how long calls of the flooding tenant run.
const floodLength = 400 * time.Millisecond

// Steady floods are of 20 times what the tenant's containers can run: one of 8 slots, or for one-shot
// calls 8 of one, which each cost a start.
var floods = []flood{
	{name: "1,000 calls at once every 10 s", burst: 1000, every: 10 * time.Second},
	{name: "20 times the capacity", burst: 1, every: floodLength / 8 / 20},
	{name: "1,000 one-shot calls at once every 10 s", burst: 1000, every: 10 * time.Second, oneShot: true},
	{name: "20 times the capacity, of one-shot calls", burst: 1, every: (floodLength + 400*time.Millisecond) / 8 / 20, oneShot: true},
}

var simulations = []struct {
	name string
	cfg  Config
	idle time.Duration // after which containers end
	d    demand
	e    engine
}{
	{ // Hundreds of tenants are active within a second. Nearly all places are taken at all times.
		"places are scarce",
		Config{Max: 115, Spare: 4, Starts: 64}, time.Minute,
		demand{tenants: 100_000, calls: 30_000, rate: 200, length: 250 * time.Millisecond, crashes: 0.001},
		engine{fastest: 200 * time.Millisecond, shape: 2.5, worst: 20 * time.Second, life: 5 * time.Minute},
	},
	{
		"spares suffice",
		Config{Max: 4000, Spare: 100, Starts: 64}, 10 * time.Second,
		demand{tenants: 100_000, calls: 20_000, rate: 200, length: 50 * time.Millisecond, crashes: 0.001},
		engine{fastest: 200 * time.Millisecond, shape: 2, worst: 20 * time.Second, life: 5 * time.Minute},
	},
	{ // As in a small daemon. Starts all take the same, so that nothing differs between runs but the flood.
		"starts are few",
		Config{Max: 150, Spare: 4, Starts: 4}, 20 * time.Second,
		demand{tenants: 100_000, calls: 3000, rate: 4, length: 50 * time.Millisecond, crashes: 0.001},
		engine{fastest: 400 * time.Millisecond, worst: 400 * time.Millisecond, shape: 2, life: 1000 * time.Hour},
	},
}

// TestSimulation lets 100,000 tenants meet slow starts and deaths in virtual time, once without a flood and
// then with floods of one more tenant, which must not make the others wait longer. -v shows all of it.
// The fakes see to it that no container has two tenants and there are never too many.
func TestSimulation(t *testing.T) {
	for _, sim := range simulations {
		t.Run(sim.name, func(t *testing.T) {
			calm := simulate(t, sim.cfg, sim.idle, sim.d, flood{}, sim.e)
			t.Logf("Max %d, %d spares, %d starts at once; %d tenants\nno flood\n%s",
				sim.cfg.Max, sim.cfg.Spare, sim.cfg.Starts, sim.d.tenants, calm.table())
			other := sim.e
			other.seed++
			again := simulate(t, sim.cfg, sim.idle, sim.d, flood{}, other)
			t.Logf("no flood, but other starts and deaths: what chance does\n%s", compare(calm, again))
			for _, f := range floods {
				t.Run(f.name, func(t *testing.T) {
					r := simulate(t, sim.cfg, sim.idle, sim.d, f, sim.e)
					t.Logf("a flood: %s\n%s%s", f.name, r.table(), compare(calm, r))
					wantUnmoved(t, calm, r)
				})
			}
		})
	}
}

// wantUnmoved wants the p99 of the waits of all but the flooding tenant, and of each group of them, to be
// less than 10 % longer than without the flood. Where nobody waited, a millisecond is no wait yet.
func wantUnmoved(t *testing.T, calm, flooded *result) {
	t.Helper()
	for _, g := range [][]group{{hottest}, {middle}, {tail}, {hottest, middle, tail}} {
		was, is := at(waitsOf(calm.of(g...)), 0.99), at(waitsOf(flooded.of(g...)), 0.99)
		if is > was+was/10 && is > was+time.Millisecond {
			t.Errorf("%v: p99 of the waits was %v without the flood, is %v with it", g, was, is)
		}
	}
}

// compare shows the waits of the demand beside those of another run: of all its calls, and call by call.
func compare(calm, r *result) string {
	was, is := waitsOf(calm.calls), waitsOf(r.calls)
	by := r.changes(calm)
	same := 0
	for _, d := range by {
		if d.Abs() < time.Millisecond {
			same++
		}
	}
	p99, p99was := at(is, 0.99), at(was, 0.99)
	change := "the same"
	if p99was > 0 {
		change = fmt.Sprintf("%+.1f %%", 100*(float64(p99)/float64(p99was)-1))
	}
	return fmt.Sprintf("  all but the flooding one: p50 %v → %v, p99 %v → %v (%s)\n"+
		"  of the same calls %s %% waited the same within 1 ms; the changes are p1 %v, p50 %v, p99 %v, p99.9 %v\n",
		ms(at(was, 0.5)), ms(at(is, 0.5)), ms(p99was), ms(p99), change,
		percent(same, len(by)), ms(at(by, 0.01)), ms(at(by, 0.5)), ms(at(by, 0.99)), ms(at(by, 0.999)))
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
