package scheduler

import (
	"context"
	"testing"
	"time"
)

func TestIdleContainersAreClosedAfterTheTimeout(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "a", 0)
		time.Sleep(30 * time.Second)
		run(t, s, "a", 0) // begins anew
		run(t, s, "b", 0)
		busy := send(t.Context(), s, "c", 2*time.Minute)
		time.Sleep(59 * time.Second)
		wantStats(t, s, "ready", ready, 3)
		time.Sleep(1500 * time.Millisecond)
		wantStats(t, s, "ready", ready, 1)
		if o := <-busy; o.err != nil {
			t.Errorf("busy one: %v", o.err)
		}
		time.Sleep(61 * time.Second)
		wantStats(t, s, "ready", ready, 0)
		wantStats(t, s, "closing", func(st Stats) int { return st.Closing }, 0)
	})
}

func TestRecycledContainersAreReplacedBelowMin(t *testing.T) {
	in(t, Config{Max: 4, Min: 2, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		a := run(t, s, "a", 0)
		run(t, s, "b", 0)
		time.Sleep(62 * time.Second)
		wantStats(t, s, "spares", spares, 2)
		if o := run(t, s, "a", 0); o.took != 0 || o.container == a.container {
			t.Errorf("ran in %s after %v", o.container, o.took)
		}
	})
}

func TestSparesThatMinAsksForAreNotRecycled(t *testing.T) {
	in(t, Config{Max: 4, Min: 2, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		time.Sleep(5 * time.Minute)
		wantStats(t, s, "starts", func(st Stats) int { return int(st.Starts) }, 2)
	})
}

func TestSparesAreNotRecycledUnlessTheyAreBeyondNeed(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		run(t, s, "a", 0)
		if o := <-send(ctx, s, "b", 0); !wasCancelled(o.err) {
			t.Fatal(o.err)
		}
		time.Sleep(time.Second)
		wantStats(t, s, "spares", spares, 2)
		time.Sleep(2 * time.Minute)
		wantStats(t, s, "spares", spares, 1)
		wantStats(t, s, "ready", ready, 1)
	})
}

func TestContainerStartedForACallerThatGaveUpIsNotKeptForEver(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		<-send(ctx, s, "a", 0)
		time.Sleep(time.Second)
		wantStats(t, s, "spares", spares, 1)
		time.Sleep(time.Minute)
		wantStats(t, s, "spares", spares, 0)
	})
}

func TestNeverIdleOutWithoutATimeout(t *testing.T) {
	in(t, Config{Max: 4}, func(t *testing.T, w *world, s *Scheduler) {
		a := run(t, s, "a", 0)
		time.Sleep(1000 * time.Hour)
		if o := run(t, s, "a", 0); o.container != a.container {
			t.Error("another container")
		}
	})
}
