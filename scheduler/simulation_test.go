package scheduler

import (
	"fmt"
	"testing"
	"time"
)

// floodLength is how long calls of the flooding tenant run.
const floodLength = 200 * time.Millisecond

var floods = []flood{
	{name: "bursts", burst: 1000, every: 10 * time.Second},
	{name: "steady, 20 times its capacity", burst: 1, every: floodLength / 8 / 20},
	{name: "bursts, Once", burst: 1000, every: 10 * time.Second, once: true},
	{name: "steady, Once", burst: 1, every: floodLength / 8 / 20, once: true},
}

func TestSimulation(t *testing.T) {
	for _, sc := range []struct {
		name string
		cfg  Config
		d    demand
		e    engine
	}{
		{
			"places are scarce",
			Config{Max: 150, Spare: 4, Starts: 64, IdleTimeout: time.Minute},
			demand{tenants: 100_000, calls: 100_000, rate: 200, length: 50 * time.Millisecond, crashes: 0.001},
			engine{seed: 1, fastest: 200 * time.Millisecond, shape: 2, worst: 20 * time.Second, life: 5 * time.Minute},
		},
		{
			"spares suffice",
			Config{Max: 4000, Spare: 100, Starts: 64, IdleTimeout: time.Minute},
			demand{tenants: 100_000, calls: 100_000, rate: 200, length: 50 * time.Millisecond, crashes: 0.001},
			engine{seed: 1, fastest: 200 * time.Millisecond, shape: 2, worst: 20 * time.Second, life: 5 * time.Minute},
		},
	} {
		t.Run(sc.name, func(t *testing.T) {
			calm := simulate(t, sc.cfg, sc.d, flood{}, sc.e)
			fmt.Printf("%s\n%s", sc.name, calm.table())
			for _, f := range floods {
				r := simulate(t, sc.cfg, sc.d, f, sc.e)
				fmt.Printf("%s\n%s", f.name, r.table())
				by := r.changes(calm)
				fmt.Printf("  p99 %v → %v, same calls %v %v %v %v\n", at(calm.others(), 0.99), at(r.others(), 0.99), at(by, 0), at(by, 0.01), at(by, 0.99), at(by, 1))
			}
		})
	}
}
