package scheduler

import (
	"context"
	"fmt"
	"testing"
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

func TestContainerRunsUpToConcurrencyCallsAtOnceInTheOrderTheyCame(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 3})}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for range 7 {
			calls = append(calls, send(t.Context(), s, "a", time.Second))
		}
		for i, job := range calls {
			wellAfter(t, job, time.Duration(1+i/3)*time.Second)
		}
	})
}

func TestFloodOfOneTenantDoesNotDelayAnother(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "b", 0)
		time.Sleep(time.Second)
		for range 1000 {
			send(t.Context(), s, "a", 100*time.Millisecond)
		}
		for range 10 {
			wellAfter(t, send(t.Context(), s, "b", time.Millisecond), time.Millisecond)
		}
	})
}

// Tenants wait in line, however many of their calls wait. A name with ! is of one-shot calls.
func TestTenantsGetContainersInTheirOrder(t *testing.T) {
	tests := []struct {
		tenants []string
		length  time.Duration
		want    string
	}{
		// Two calls of 800 ms fill a time slice of a second, then the next tenant gets the place.
		{[]string{"a", "a", "a", "b", "c", "a", "c"}, 800 * time.Millisecond, "[a a b c c a a]"},
		{[]string{"a!", "a!", "a!", "b", "c!", "a!", "a"}, 100 * time.Millisecond, "[a! b c! a a! a! a!]"},
	}
	for _, test := range tests {
		in(t, Config{Max: 1, TimeSlice: time.Second, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
			var order []string
			done := make(chan string)
			for _, tenant := range test.tenants {
				job := begin(t.Context(), s, tenant[:1], call.Call{Timeout: test.length, OneShot: len(tenant) > 1})
				go func() { well(t, job); done <- tenant }()
			}
			for range test.tenants {
				order = append(order, <-done)
			}
			if got := fmt.Sprint(order); got != test.want {
				t.Errorf("order %v, want %s", got, test.want)
			}
		})
	}
}

// Weights are shares of places: with one place for tenants that never stop, one of weight 3 has it three times as often.
func TestWaitingIsWeighted(t *testing.T) {
	policy := policies(map[string]Policy{"heavy": {Concurrency: 1, Weight: 3}}, Policy{Concurrency: 1})
	in(t, Config{Max: 1, TimeSlice: time.Second, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		stops := map[string][]func() map[string]int{}
		for _, tenant := range []string{"a", "heavy", "b", "c"} {
			for range 2 { // so that there is always one that waits
				stops[tenant] = append(stops[tenant], flow(t, s, tenant, 100*time.Millisecond))
			}
		}
		time.Sleep(10 * time.Minute)
		done := map[string]int{}
		for tenant, of := range stops {
			for _, stop := range of {
				for _, n := range stop() {
					done[tenant] += n
				}
			}
		}
		for _, tenant := range []string{"a", "b", "c"} {
			if ratio := float64(done["heavy"]) / float64(done[tenant]); ratio < 2.8 || ratio > 3.2 {
				t.Errorf("calls: %v", done)
			}
		}
	})
}

// With more tenants that never stop than places there is always a cold one. One-shot calls, each of which needs another container,
// get their share among these all the same, and no more than these.
func TestOneShotCallsGetTheirShareAmongBusyTenants(t *testing.T) {
	in(t, Config{Max: 2, TimeSlice: time.Second, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		var stops []func() map[string]int
		for i := range 8 { // two for each tenant, so that there is always one that waits
			stops = append(stops, flow(t, s, fmt.Sprint("t", i%4), 100*time.Millisecond))
		}
		for range 100 {
			for range 3 {
				sendOneShot(t.Context(), s, "one-shot", 100*time.Millisecond)
			}
			time.Sleep(3 * time.Second)
		}
		got := map[string]int{}
		for _, f := range w.containers() {
			got[f.owner()]++
		}
		if n, most := got["one-shot"], max(got["t0"], got["t1"], got["t2"], got["t3"]); n < most/3 || n > most {
			t.Errorf("containers: %v", got)
		}
		for _, stop := range stops {
			stop()
		}
	})
}

func TestBoundsOfTheQueue(t *testing.T) {
	tests := []struct {
		name         string
		tenant, all  int
		wait         []string // calls that wait, one running
		next         string
		want         string
		retry, atMax time.Duration
	}{
		{"tenant", 2, 10, []string{"a", "a"}, "a", QueueTenantFull, 3 * time.Second, 3 * time.Second},
		{"all", 5, 3, []string{"a", "a", "b"}, "a", QueueFull, 3 * time.Second, 3 * time.Second},
		{"all, most of others", 5, 3, []string{"a", "b", "b"}, "a", QueueFull, 3 * time.Second, 3 * time.Second},
		{"all, a new tenant", 5, 2, []string{"a", "a"}, "b", QueueFull, time.Second, 5 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := Config{Max: 1, Spare: 1, QueueAll: test.all, TimeSlice: time.Hour, Policy: all(Policy{Concurrency: 1, Queue: test.tenant})}
			in(t, cfg, func(t *testing.T, w *world, s *Scheduler) {
				run(t, s, "a", time.Second) // so that the pace is known
				send(t.Context(), s, "a", time.Minute)
				for _, tenant := range test.wait {
					send(t.Context(), s, tenant, 0)
				}
				got := wantBusy(t, send(t.Context(), s, test.next, 0), test.want, 0).RetryAfter
				if got < test.retry || got > test.atMax {
					t.Errorf("retry after %v, want %v to %v", got, test.retry, test.atMax)
				}
				want(t, s, "Queued", len(test.wait))
			})
		})
	}
}

func TestFullQueueDoesNotKeepATenantFromItsFreeSlotOrASpare(t *testing.T) {
	in(t, Config{Max: 3, Spare: 1, QueueAll: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "b", 0)
		send(t.Context(), s, "a", time.Minute)
		send(t.Context(), s, "a", 0)
		time.Sleep(time.Second)
		for _, tenant := range []string{"b", "c"} {
			wellAfter(t, send(t.Context(), s, tenant, 0), 0)
		}
	})
}

func TestCallWaitsNoLongerThanTheQueueTime(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, TimeSlice: time.Hour, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		send(t.Context(), s, "a", time.Hour)
		for _, job := range []<-chan outcome{send(t.Context(), s, "a", 0), send(t.Context(), s, "b", 0)} {
			if busy := wantBusy(t, job, QueueTimeSpent, 30*time.Second); busy.RetryAfter < 30*time.Second {
				t.Errorf("retry after %v, where nothing has moved for 30 s", busy.RetryAfter)
			}
		}
		want(t, s, "Queued", 0)
		want(t, s, "Tenants", 1)
	})
	in(t, Config{Max: 1, Spare: 1, QueueAll: 1, TimeSlice: time.Hour, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		send(t.Context(), s, "a", time.Hour)
		send(t.Context(), s, "b", 0)
		time.Sleep(20 * time.Second) // no estimate is less than the wait of the first in line
		if busy := wantBusy(t, send(t.Context(), s, "c", 0), QueueFull, 0); busy.RetryAfter < 20*time.Second {
			t.Errorf("retry after %v", busy.RetryAfter)
		}
	})
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
		want(t, s, "Running", 3)
		for range 2 {
			send(t.Context(), s, "other", time.Minute)
		}
		want(t, s, "Queued", 1)
		send(t.Context(), s, "short", time.Minute)
		waits := send(t.Context(), s, "short", 0)
		send(t.Context(), s, "short", 0)
		wantBusy(t, send(t.Context(), s, "short", 0), QueueTenantFull, 0)
		wantBusy(t, waits, QueueTimeSpent, time.Second)
		allWell(t, wide)
	})
}

func TestCancelledCallStopsWaiting(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, TimeSlice: time.Hour, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		running := send(t.Context(), s, "a", 10*time.Second)
		waits, next := send(ctx, s, "a", time.Second), send(t.Context(), s, "a", time.Second)
		if o := wantCancelled(t, waits, time.Second); o.queue != time.Second {
			t.Errorf("queue %v", o.queue)
		}
		well(t, running)
		wellAfter(t, next, 11*time.Second)
	})
	in(t, Config{Max: 1, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) { // one that runs is its container's to end
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if o := wantCancelled(t, send(ctx, s, "a", time.Minute), time.Second); o.container == "" {
			t.Error("without a container")
		}
		want(t, s, "Running", 0)
	})
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) { // one that is just being started
		held := hold(t, s, "a", plain)
		late, end := waiting(t, s, "a", plain)
		late.start = func(c *container, _ time.Duration) call.Running {
			s.cancelWaiter(late)
			return c.Start(&call.Call{Script: []byte("a"), Timeout: time.Minute}, func(res call.Result, err error) {
				s.complete(c, time.Now())
				late.done(res, err)
			})
		}
		s.complete(held, time.Now())
		wantCancelled(t, end, 0)
		want(t, s, "Running", 0)
	})
}

// A slot may be granted in the moment its call is cancelled: then it goes to the next one, and pins nothing.
func TestSlotOfACancelledCallGoesToTheNext(t *testing.T) {
	for _, k := range []kind{plain, opens} {
		in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
			held := hold(t, s, "a", plain)
			gone, end := waiting(t, s, "a", k)
			next := send(t.Context(), s, "a", 0)
			cancelBetween(s, gone, func() { s.alloc.complete(held, time.Now(), time.Now()) })
			if o := wantCancelled(t, end, 0); o.container != "" {
				t.Errorf("in %s", o.container)
			}
			wellAfter(t, next, 0)
			want(t, s, "Idle", 1)
		})
	}
	// In the moment its queue time is spent it is in time.
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		held := hold(t, s, "a", plain)
		late, end := waiting(t, s, "a", plain)
		s.complete(held, time.Now())
		s.expire(late)
		if o := well(t, end); o.container != held.ID() {
			t.Errorf("ran in %s", o.container)
		}
	})
}

func TestRateIsBounded(t *testing.T) {
	policy := policies(map[string]Policy{"slow": {Rate: 2, Burst: 3}}, Policy{})
	in(t, Config{Max: 4, Spare: 2, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		for range 3 {
			run(t, s, "slow", 0)
		}
		if after := wantBusy(t, send(t.Context(), s, "slow", 0), RateSpent, 0).RetryAfter; after != 500*time.Millisecond {
			t.Errorf("retry after %v", after)
		}
		for range 100 {
			run(t, s, "other", 0)
		}
		time.Sleep(500 * time.Millisecond)
		run(t, s, "slow", 0) // as was promised
		time.Sleep(2 * time.Second)
		ss := openSession(t, s, "slow")
		for range 2 {
			well(t, sendIn(t.Context(), ss, 0))
		}
		wantBusy(t, sendIn(t.Context(), ss, 0), RateSpent, 0)
	})
}

// A tenant does not get its burst again by being forgotten, and the memory of it does not grow for ever.
func TestRateIsRememberedWithoutAContainer(t *testing.T) {
	policy := all(Policy{Rate: 0.1, Burst: 1, IdleTimeout: time.Second})
	in(t, Config{Max: 4, Spare: 2, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "a", 0)
		time.Sleep(5 * time.Second)
		want(t, s, "Tenants", 0)
		wantBusy(t, send(t.Context(), s, "a", 0), RateSpent, 0)
		want(t, s, "Tenants", 0)
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

func TestResultSaysHowLongACallWaitedAndWhetherItsContainerWasNew(t *testing.T) {
	in(t, Config{Max: 2, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		first, second := send(t.Context(), s, "a", time.Second), send(t.Context(), s, "a", 0)
		time.Sleep(500 * time.Millisecond)
		single := sendOneShot(t.Context(), s, "a", time.Hour)
		third := send(t.Context(), s, "a", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		failed := sendOneShot(ctx, s, "b", time.Hour)
		for _, test := range []struct {
			name  string
			call  <-chan outcome
			queue time.Duration
			cold  bool
		}{
			{"a spare", first, 0, true},
			{"waits for a slot", second, time.Second, false},
			{"waits for a slot in a queue", third, 500 * time.Millisecond, false},
			{"waits for a place", failed, 500*time.Millisecond + 380*time.Millisecond, true}, // is cancelled in it
			{"no wait for a spare", single, 0, true},
		} {
			if o := <-test.call; o.queue != test.queue || o.cold != test.cold {
				t.Errorf("%s: queue %v, cold %v, want %v, %v", test.name, o.queue, o.cold, test.queue, test.cold)
			}
		}
	})
}
