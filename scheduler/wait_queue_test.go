package scheduler

import (
	"fmt"
	"testing"
	"time"
)

// With more tenants that never stop than places, there is always one that comes with nothing. Calls with Once, each
// of which wants another container, get their turns among these all the same, and no more than these.
func TestOnceGetsItsTurnsAmongBusyTenants(t *testing.T) {
	in(t, Config{Max: 2, TimeSlice: time.Second, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		var stops []func() map[string]int
		for i := range 4 {
			for range 2 { // so that there is always one that waits
				stops = append(stops, flow(t, s, fmt.Sprint("t", i), 100*time.Millisecond))
			}
		}
		for range 100 {
			for range 3 {
				sendOnce(t.Context(), s, "oneShot", 100*time.Millisecond)
			}
			time.Sleep(3 * time.Second)
		}
		got := map[string]int{}
		for _, f := range w.containers() {
			got[f.owner()]++
		}
		if oneShot, most := got["oneShot"], max(got["t0"], got["t1"], got["t2"], got["t3"]); oneShot < most/3 || oneShot > most {
			t.Errorf("containers: %v", got)
		}
		for _, stop := range stops {
			stop()
		}
	})
}
