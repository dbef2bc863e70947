package scheduler

import (
	"fmt"
	"testing"
	"time"
)

// A tenant whose calls with Once never end takes starts, but spares are for tenants to come.
func TestFloodWithOnceLeavesSpares(t *testing.T) {
	cfg := Config{Max: 50, Spare: 2, Starts: 2}
	in(t, cfg, func(t *testing.T, w *world, s *Scheduler) {
		for range 500 {
			sendOnce(t.Context(), s, "flood", 100*time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		for i := range 10 {
			if o := run(t, s, fmt.Sprint("comes", i), 100*time.Millisecond); o.queue > 0 {
				t.Errorf("tenant %d waited %v for a container, spares are kept for it", i, o.queue)
			}
			time.Sleep(time.Second)
		}
		if done := s.Stats().Calls; done < 30 {
			t.Errorf("%d calls were run: the flood got next to nothing of starts that nobody else wants", done)
		}
	})
}

// A daemon that has been up for a while has all places taken, most by containers that are idle. Tenants to
// come find spares all the same, for places of those idle longest, which they would get anyway.
func TestSparesAreReadyWhenAllPlacesAreTaken(t *testing.T) {
	cfg := Config{Max: 8, Spare: 2}
	in(t, cfg, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 20 {
			o := run(t, s, fmt.Sprint("t", i), 10*time.Millisecond)
			if o.queue > 0 {
				t.Errorf("tenant %d waited %v for a container, and %d were idle", i, o.queue, s.Stats().Idle)
			}
			time.Sleep(5 * time.Second)
		}
		wantStats(t, s, "spares", spares, 2)
	})
}

// Also where nothing happens any more but that time goes by.
func TestSparesBecomeReadyWhenAllTenantsAreIdle(t *testing.T) {
	in(t, Config{Max: 8, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 8 {
			send(t.Context(), s, fmt.Sprint("t", i), 5*time.Second)
		}
		time.Sleep(10 * time.Second)
		wantStats(t, s, "busy or idle", func(st Stats) int { return st.Busy + st.Idle }, 8)
		time.Sleep(10 * time.Second)
		wantStats(t, s, "spares", spares, 2)
	})
}
