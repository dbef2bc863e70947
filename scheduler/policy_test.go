package scheduler

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// policies gives the tenants named theirs, and others the last one.
func policies(of map[string]Policy, others Policy) func(string) Policy {
	return func(tenant string) Policy {
		if p, ok := of[tenant]; ok {
			return p
		}
		return others
	}
}

func busyBecause(t *testing.T, err error, why string) *call.BusyError {
	t.Helper()
	var busy *call.BusyError
	if !errors.As(err, &busy) || busy.Reason != why {
		t.Fatalf("%v, want %q", err, why)
	}
	return busy
}

func TestEachTenantHasItsOwnLimits(t *testing.T) {
	policy := policies(map[string]Policy{
		"wide": {Concurrency: 3}, "short": {Concurrency: 1, Queue: 2, QueueTime: time.Second},
	}, Policy{Concurrency: 1})
	in(t, Config{Max: 4, Spare: 3, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		w.mu.Lock()
		w.concurrency = 3
		w.mu.Unlock()
		var wide []<-chan outcome
		for range 3 {
			wide = append(wide, send(t.Context(), s, "wide", time.Minute))
		}
		wantStats(t, s, "running", func(st Stats) int { return st.Running }, 3)
		for range 2 {
			send(t.Context(), s, "other", time.Minute)
		}
		wantStats(t, s, "queued", func(st Stats) int { return st.Queued }, 1)

		send(t.Context(), s, "short", time.Minute)
		waits := send(t.Context(), s, "short", 0)
		send(t.Context(), s, "short", 0)
		o := <-send(t.Context(), s, "short", 0)
		busyBecause(t, o.err, QueueTenantFull)
		o = <-waits
		busyBecause(t, o.err, QueueTimeSpent)
		if o.took != time.Second {
			t.Errorf("waited %v", o.took)
		}
		for _, job := range wide {
			well(t, job)
		}
	})
}

func TestTenantMayHaveSeveralContainers(t *testing.T) {
	policy := policies(map[string]Policy{"wide": {Concurrency: 2, Containers: 3}}, Policy{Concurrency: 2})
	in(t, Config{Max: 8, Spare: 1, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		for _, tenant := range []string{"wide", "other"} {
			for range 10 {
				send(t.Context(), s, tenant, time.Hour)
			}
		}
		time.Sleep(10 * time.Second)
		in := map[string]int{}
		for _, f := range w.containers() {
			f.mu.Lock()
			if f.running > 0 {
				in[f.tenant]++
			}
			f.mu.Unlock()
		}
		if in["wide"] != 3 || in["other"] != 1 {
			t.Errorf("containers: %v", in)
		}
		wantStats(t, s, "running", func(st Stats) int { return st.Running }, 8)
		wantStats(t, s, "queued", func(st Stats) int { return st.Queued }, 12)
	})
}

// A new tenant finds a spare, however many containers another one could use.
func TestSparesAreKeptForThoseWhoHaveNothing(t *testing.T) {
	policy := policies(map[string]Policy{"wide": {Concurrency: 1, Containers: 6}}, Policy{Concurrency: 1})
	in(t, Config{Max: 20, Spare: 2, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		for range 20 {
			send(t.Context(), s, "wide", time.Hour)
			sendOnce(t.Context(), s, "oneShot", time.Second)
		}
		time.Sleep(5 * time.Second)
		for i := range 20 {
			if o := run(t, s, fmt.Sprint("new", i%4), 0); o.took != 0 {
				t.Errorf("a new tenant waited %v", o.took)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestSparesGoToWhoeverWaitsWhereNoPlaceIsLeft(t *testing.T) {
	in(t, Config{Max: 3, Spare: 2, Policy: all(Policy{Concurrency: 1, Containers: 3})}, func(t *testing.T, w *world, s *Scheduler) {
		for range 3 {
			send(t.Context(), s, "a", time.Minute)
		}
		time.Sleep(time.Second) // for the last start
		wantStats(t, s, "running", func(st Stats) int { return st.Running }, 3)
	})
}

// Weights are shares of turns: with one place for two tenants that never stop, one of weight 3 has it three times as often.
func TestWaitingIsWeighted(t *testing.T) {
	policy := policies(map[string]Policy{"heavy": {Concurrency: 1, Weight: 3, Queue: 10000}}, Policy{Concurrency: 1, Queue: 10000})
	in(t, Config{Max: 1, TimeSlice: time.Second, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		done := map[string]int{}
		for _, tenant := range []string{"a", "heavy", "b", "c"} {
			for range 2 { // so that there is always one that waits
				go func() {
					for {
						if _, err := execute(t.Context(), s, tenant, call.Call{Script: []byte(tenant), Timeout: 100 * time.Millisecond}); err != nil {
							return
						}
						w.mu.Lock()
						done[tenant]++
						w.mu.Unlock()
					}
				}()
			}
		}
		time.Sleep(10 * time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, tenant := range []string{"a", "b", "c"} {
			if ratio := float64(done["heavy"]) / float64(done[tenant]); ratio < 2.8 || ratio > 3.2 {
				t.Errorf("calls: %v", done)
			}
		}
	})
}

func TestRateIsBounded(t *testing.T) {
	policy := policies(map[string]Policy{"slow": {Rate: 2, Burst: 3}}, Policy{})
	in(t, Config{Max: 4, Spare: 2, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		for range 3 {
			run(t, s, "slow", 0)
		}
		o := <-send(t.Context(), s, "slow", 0)
		if after := busyBecause(t, o.err, RateSpent).RetryAfter; after != 500*time.Millisecond {
			t.Errorf("retry after %v", after)
		}
		for range 100 {
			run(t, s, "other", 0)
		}
		time.Sleep(500 * time.Millisecond)
		run(t, s, "slow", 0) // as was promised
		time.Sleep(2 * time.Second)
		ss := openSession(t, s, "slow")
		well(t, sendIn(t.Context(), ss, 0))
		well(t, sendIn(t.Context(), ss, 0))
		o = <-sendIn(t.Context(), ss, 0)
		busyBecause(t, o.err, RateSpent)
	})
}

// A tenant does not get its burst anew by being forgotten, and the memory of it does not grow for ever.
func TestRateIsRememberedWithoutAContainer(t *testing.T) {
	policy := all(Policy{Rate: 0.1, Burst: 1, IdleTimeout: time.Second})
	in(t, Config{Max: 4, Spare: 2, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "a", 0)
		time.Sleep(5 * time.Second)
		wantStats(t, s, "tenants", func(st Stats) int { return st.Tenants }, 0)
		o := <-send(t.Context(), s, "a", 0)
		busyBecause(t, o.err, RateSpent)
		wantStats(t, s, "tenants", func(st Stats) int { return st.Tenants }, 0)
		for i := range 1000 {
			run(t, s, fmt.Sprint("t", i), 0)
			time.Sleep(5 * time.Second)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.alloc.rates.buckets); n > 2*fewBuckets {
			t.Errorf("%d buckets are kept", n)
		}
	})
}

func TestIdleTimeoutIsTheTenants(t *testing.T) {
	policy := policies(map[string]Policy{"short": {IdleTimeout: time.Second}, "never": {}}, Policy{IdleTimeout: time.Minute})
	in(t, Config{Max: 4, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		for _, tenant := range []string{"never", "long", "short"} {
			run(t, s, tenant, 0)
		}
		idle := func(st Stats) int { return st.Idle }
		time.Sleep(2 * time.Second)
		wantStats(t, s, "idle", idle, 2)
		time.Sleep(time.Minute)
		wantStats(t, s, "idle", idle, 1)
		time.Sleep(time.Hour)
		wantStats(t, s, "idle", idle, 1)
	})
}

// Sessions may hold three quarters of the places and no more.
func TestSessionsDoNotShutOutThoseWithoutAny(t *testing.T) {
	in(t, Config{Max: 4, Spare: 4}, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 3 {
			openSession(t, s, fmt.Sprint("t", i))
		}
		_, _, err := tryOpen(t.Context(), s, "t3", call.Call{})
		busyBecause(t, err, PinnedFull)
		last := openSession(t, s, "t0") // whose container is held already
		for i := range 10 {
			run(t, s, fmt.Sprint("plain", i), 0)
		}
		last.Close()
		s.Stop("t1")
		synctest.Wait()
		openSession(t, s, "t3")
	})
}

// Nor do those of one tenant, however many containers it may have, or has to have one after the other.
func TestSessionsOfOneTenantDoNotShutOutOthers(t *testing.T) {
	for name, p := range map[string]Policy{
		"several containers": {Containers: 4, Concurrency: 1},
		"of one call":        {MaxCalls: 1},
		"of three calls":     {MaxCalls: 3, Concurrency: 1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, Config{Max: 4, Policy: policies(map[string]Policy{"a": p}, Policy{})}, func(t *testing.T, w *world, s *Scheduler) {
				var calls []<-chan outcome
				for range 8 {
					calls = append(calls, opening(t.Context(), s, "a", time.Second))
				}
				time.Sleep(20 * time.Second)
				run(t, s, "b", 0)
				s.Stop("a")
				for _, job := range calls {
					if o := <-job; o.err != nil {
						busyBecause(t, o.err, PinnedFull)
					}
				}
			})
		})
	}
}
