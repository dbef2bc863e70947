package scheduler

import (
	"context"
	"strings"
	"testing"
	"time"
)

// Where all containers are busy all the time, and others wait for places besides, what is to be tried gets its
// place all the same: else a daemon with much to do could not be given a new image.
func TestTryFindsAPlaceWhereAllAreTaken(t *testing.T) {
	for name, tenants := range map[string][]string{
		"by one tenant":                {"a"},
		"by as many tenants as places": {"a", "b"},
		"by more tenants than places":  {"a", "b", "c", "d", "e"},
		"by many more":                 strings.Split("abcdefghijkl", ""),
		"by those of two classes":      {"a", "b", "gpu:c", "gpu:d", "gpu:e"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, Config{Max: min(2, len(tenants)), Spare: 1, TimeSlice: time.Second, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
				var stops []func() map[string]int
				for _, tenant := range tenants {
					stops = append(stops, flow(t, s, tenant, 701*time.Millisecond), flow(t, s, tenant, 307*time.Millisecond))
				}
				time.Sleep(10 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				w.roll("")
				if err := s.Canary(ctx, w.generation("")); err != nil {
					t.Errorf("Try: %v", err)
				}
				s.Update()
				for _, stop := range stops {
					time.Sleep(10 * time.Second)
					stop() // says which calls failed
				}
			})
		})
	}
}
