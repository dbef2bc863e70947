package scheduler

import (
	"testing"
	"time"
)

// No container with a one-shot call gets another call: that is checked by the world, in every test.

func TestOneShotCallGetsASpareThatEndsAndIsReplacedAtOnce(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		own := run(t, s, "a", 0)
		time.Sleep(time.Second)
		if o := wellAfter(t, sendOneShot(t.Context(), s, "a", time.Second), time.Second); o.container == own.container {
			t.Errorf("ran in the tenant's container, %s", o.container)
		}
		want(t, s, "Closing", 1)
		time.Sleep(time.Second)
		if again := run(t, s, "a", 0); again.container != own.container {
			t.Error("the tenant has lost its container")
		}
		wantAll(t, s, Stats{Tenants: 1, Spare: 1, Idle: 1, Calls: 3, Starts: 3})
	})
	in(t, Config{Max: 4, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) { // of its tenant's profile
		wellAfter(t, sendOneShot(t.Context(), s, "gpu:a", 0), 300*time.Millisecond)
	})
}

// Where Max allows no start before, the place is filled again as soon as it is free.
func TestOneShotContainerIsReplacedAsSoonAsThereIsAPlace(t *testing.T) {
	tests := []struct {
		max, starting int // as its call ends
		next          time.Duration
	}{
		{2, 1, 300 * time.Millisecond}, // another place
		{1, 0, 380 * time.Millisecond}, // its own
	}
	for _, test := range tests {
		in(t, Config{Max: test.max, Min: 1}, func(t *testing.T, w *world, s *Scheduler) {
			runOneShot(t, s, "a", 0)
			want(t, s, "Starting", test.starting)
			wellAfter(t, send(t.Context(), s, "b", 0), test.next)
		})
	}
}

func TestOneShotCallsRunInSeveralContainersAtOnce(t *testing.T) {
	tests := []struct {
		name                   string
		max, concurrency, want int
	}{
		{"as many as the concurrency", 8, 3, 3},
		{"less than all", 4, 8, 3},
		{"at least one", 1, 8, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := Config{Max: test.max, Spare: test.max, Policy: all(Policy{Concurrency: test.concurrency})}
			in(t, cfg, func(t *testing.T, w *world, s *Scheduler) {
				first := sendOneShot(t.Context(), s, "a", time.Minute)
				for range 9 {
					sendOneShot(t.Context(), s, "a", time.Minute)
				}
				want(t, s, "Busy", test.want)
				want(t, s, "Queued", 10-test.want)
				time.Sleep(2 * time.Second)
				want(t, s, "Busy", test.want)
				wellAfter(t, first, time.Minute)
			})
		})
	}
}

func TestFloodOfOneShotCallsDoesNotTakeAllPlaces(t *testing.T) {
	in(t, Config{Max: 3, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		own := run(t, s, "a", 0)
		for range 100 {
			sendOneShot(t.Context(), s, "a", time.Hour)
		}
		time.Sleep(time.Second)
		// The tenant's other container had to give way; the place it had is still to be had by others.
		for _, tenant := range []string{"b", "c", "a"} {
			if o := run(t, s, tenant, 0); o.took > time.Second || o.container == own.container {
				t.Errorf("%s ran in %s after %v", tenant, o.container, o.took)
			}
		}
	})
}

// It would end no sooner, and its tenant could get one more than it may have.
func TestOneShotContainerIsNotEvicted(t *testing.T) {
	in(t, Config{Max: 2, TimeSlice: time.Second, Policy: all(Policy{Concurrency: 1, QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		long, next := sendOneShot(t.Context(), s, "a", time.Minute), sendOneShot(t.Context(), s, "a", 0)
		var flood []<-chan outcome
		for _, tenant := range []string{"b", "b", "b", "b", "c", "c"} {
			flood = append(flood, send(t.Context(), s, tenant, 800*time.Millisecond))
		}
		allWell(t, flood)
		want(t, s, "Evictions", 2) // b, c
		want(t, s, "Queued", 1)
		well(t, long)
		if o := well(t, next); o.took < time.Minute {
			t.Errorf("a second container after %v", o.took)
		}
	})
}

func TestBoundsOfTheQueueOfOneShotCalls(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1, Queue: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		sendOneShot(t.Context(), s, "a", time.Minute)
		late, _ := sendOneShot(t.Context(), s, "a", 0), sendOneShot(t.Context(), s, "a", 0)
		wantBusy(t, sendOneShot(t.Context(), s, "a", 0), QueueTenantFull, 0)
		other := send(t.Context(), s, "a", 0) // in the other queue
		want(t, s, "Queued", 3)
		want(t, s, "Tenants", 1)
		for _, job := range []<-chan outcome{late, other} {
			wantBusy(t, job, QueueTimeSpent, 30*time.Second)
		}
		time.Sleep(31 * time.Second)
		want(t, s, "Tenants", 0)
	})
	in(t, Config{Max: 3, Policy: all(Policy{Concurrency: 2, Queue: 10})}, func(t *testing.T, w *world, s *Scheduler) {
		for range 12 { // two run; with each start 300 ms apart, the last begins after some three seconds
			sendOneShot(t.Context(), s, "a", time.Millisecond)
		}
		time.Sleep(350 * time.Millisecond) // a start has been seen
		sendOneShot(t.Context(), s, "a", 0)
		got := wantBusy(t, sendOneShot(t.Context(), s, "a", 0), QueueTenantFull, 0).RetryAfter
		if got < 2*time.Second || got > 8*time.Second {
			t.Errorf("retry after %v", got)
		}
	})
}

// A container granted to a call that was cancelled has run nothing: it goes to the next one-shot call, or waits for one.
func TestOneShotContainerThatWasNotUsedIsStillGood(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		c := hold(t, s, "a", oneShot)
		gone, end := waiting(t, s, "a", oneShot)
		next := sendOneShot(t.Context(), s, "a", 0)
		cancelBetween(s, gone, func() { s.alloc.release(c, time.Now()) })
		wantCancelled(t, end, 0)
		if o := wellAfter(t, next, 0); o.container != c.ID() || !o.cold {
			t.Errorf("next ran in %s, cold: %v", o.container, o.cold)
		}
		time.Sleep(time.Second)
		c = hold(t, s, "a", oneShot)
		s.mu.Lock()
		s.alloc.release(c, time.Now())
		s.unlock()
		want(t, s, "Idle", 1)
		if o := wellAfter(t, sendOneShot(t.Context(), s, "a", 0), 0); o.container != c.ID() {
			t.Errorf("ran in %s", o.container)
		}
	})
}
