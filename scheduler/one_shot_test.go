package scheduler

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// That no container with such a call gets another is checked by the world, in every test.

func TestOnceGetsASpareThatEndsAndIsReplacedAtOnce(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		own := run(t, s, "a", 0)
		time.Sleep(time.Second)
		o := runOnce(t, s, "a", time.Second)
		if o.container == own.container || o.took != time.Second {
			t.Errorf("ran in %s after %v, the tenant's is %s", o.container, o.took, own.container)
		}
		wantStats(t, s, "closing", func(st Stats) int { return st.Closing }, 1)
		time.Sleep(time.Second)
		wantStats(t, s, "alive", func(st Stats) int { _, alive := w.count(); return alive }, 2)
		if again := run(t, s, "a", 0); again.container != own.container {
			t.Error("the tenant has lost its container")
		}
		want := Stats{Tenants: 1, Spare: 1, Idle: 1, Calls: 3, Starts: 3}
		if st := s.Stats(); st != want {
			t.Errorf("got %+v\nwant %+v", st, want)
		}
	})
}

// Where Max allows no start before, the place is refilled as soon as it is free.
func TestOnceContainerIsReplacedAsSoonAsThereIsAPlace(t *testing.T) {
	tests := []struct {
		name          string
		max, starting int // as its call ends
		next          time.Duration
	}{
		{"another place", 2, 1, 300 * time.Millisecond},
		{"its own place", 1, 0, 380 * time.Millisecond},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in(t, Config{Max: test.max, Min: 1}, func(t *testing.T, w *world, s *Scheduler) {
				runOnce(t, s, "a", 0)
				wantStats(t, s, "starting", func(st Stats) int { return st.Starting }, test.starting)
				if o := run(t, s, "b", 0); o.took != test.next {
					t.Errorf("the next took %v, want %v", o.took, test.next)
				}
			})
		})
	}
}

func TestOnceRunsInSeveralContainersAtOnce(t *testing.T) {
	tests := []struct {
		name                  string
		max, concurrency, out int
	}{
		{"as many as the concurrency", 8, 3, 3},
		{"less than all", 4, 8, 3},
		{"at least one", 1, 8, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := Config{Max: test.max, Spare: test.max, Policy: all(Policy{Concurrency: test.concurrency})}
			in(t, cfg, func(t *testing.T, w *world, s *Scheduler) {
				var calls []<-chan outcome
				for range 10 {
					calls = append(calls, sendOnce(t.Context(), s, "a", time.Minute))
				}
				wantStats(t, s, "busy", func(st Stats) int { return st.Busy }, test.out)
				wantStats(t, s, "queued", func(st Stats) int { return st.Queued }, 10-test.out)
				time.Sleep(2 * time.Second)
				wantStats(t, s, "busy after a while", func(st Stats) int { return st.Busy }, test.out)
				if o := <-calls[0]; o.err != nil || o.took != time.Minute {
					t.Errorf("%v after %v", o.err, o.took)
				}
			})
		})
	}
}

func TestOnceTakesItsTurns(t *testing.T) {
	in(t, Config{Max: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		var order []string
		done := make(chan string)
		for _, tenant := range []string{"a!", "a!", "a!", "b", "c!", "a!", "a"} {
			job := call.Call{Timeout: 100 * time.Millisecond, OneShot: len(tenant) > 1}
			ch := begin(t.Context(), s, tenant[:1], job)
			go func() { well(t, ch); done <- tenant }()
		}
		for range 7 {
			order = append(order, <-done)
		}
		if got := fmt.Sprint(order); got != "[a! b c! a a! a! a!]" {
			t.Errorf("order %v", got)
		}
	})
}

func TestFloodWithOnceDoesNotTakeAllPlaces(t *testing.T) {
	in(t, Config{Max: 3, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		own := run(t, s, "a", 0)
		for range 100 {
			sendOnce(t.Context(), s, "a", time.Hour)
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
func TestOnceContainerIsNotAskedToGiveWay(t *testing.T) {
	in(t, Config{Max: 2, TimeSlice: time.Second, Policy: all(Policy{Concurrency: 1, QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		long, next := sendOnce(t.Context(), s, "a", time.Minute), sendOnce(t.Context(), s, "a", 0)
		var flood []<-chan outcome
		for _, tenant := range []string{"b", "b", "b", "b", "c", "c"} {
			flood = append(flood, send(t.Context(), s, tenant, 800*time.Millisecond))
		}
		for _, ch := range flood {
			well(t, ch)
		}
		wantStats(t, s, "evictions", func(st Stats) int { return int(st.Evictions) }, 2) // b, c
		wantStats(t, s, "queued", func(st Stats) int { return st.Queued }, 1)
		well(t, long)
		if o := well(t, next); o.took < time.Minute {
			t.Errorf("a second container after %v", o.took)
		}
	})
}

func TestBoundsOfTheQueueWithOnce(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1, Queue: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		sendOnce(t.Context(), s, "a", time.Minute)
		late, _ := sendOnce(t.Context(), s, "a", 0), sendOnce(t.Context(), s, "a", 0)
		var busy *call.BusyError
		if o := <-sendOnce(t.Context(), s, "a", 0); !errors.As(o.err, &busy) || busy.Reason != QueueTenantFull || o.took != 0 {
			t.Errorf("%v after %v", o.err, o.took)
		}
		without := send(t.Context(), s, "a", 0) // in the other queue
		wantStats(t, s, "queued", func(st Stats) int { return st.Queued }, 3)
		wantStats(t, s, "tenants", func(st Stats) int { return st.Tenants }, 1)
		for _, ch := range []<-chan outcome{late, without} {
			if o := <-ch; !errors.As(o.err, &busy) || busy.Reason != QueueTimeSpent || o.took != 30*time.Second {
				t.Errorf("%v after %v", o.err, o.took)
			}
		}
		time.Sleep(31 * time.Second)
		wantStats(t, s, "tenants", func(st Stats) int { return st.Tenants }, 0)
	})
}

func TestRetryAfterCountsAContainerForEachOnceThatWaits(t *testing.T) {
	in(t, Config{Max: 3, Policy: all(Policy{Concurrency: 2, Queue: 10})}, func(t *testing.T, w *world, s *Scheduler) {
		for range 12 { // two run; with each start 300 ms apart, the last begins after some three seconds
			sendOnce(t.Context(), s, "a", time.Millisecond)
		}
		time.Sleep(350 * time.Millisecond) // a start has been seen
		sendOnce(t.Context(), s, "a", 0)
		var busy *call.BusyError
		o := <-sendOnce(t.Context(), s, "a", 0)
		if !errors.As(o.err, &busy) {
			t.Fatal(o.err)
		}
		if got := busy.RetryAfter; got < 2*time.Second || got > 8*time.Second {
			t.Errorf("retry after %v", got)
		}
	})
}

// A container granted to a caller that is gone has run nothing: it goes to the next call with Once,
// or waits for one.
func TestOnceContainerThatItsCallerDidNotUseIsStillGood(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		c := hold(t, s, "a", oneShot)
		gone, end := waiting(t, s, "a", oneShot)
		next := sendOnce(t.Context(), s, "a", 0)
		cancelBetween(s, gone, func() { s.alloc.release(c, time.Now()) })
		if o := <-end; !wasCancelled(o.err) {
			t.Error(o.err)
		}
		if o := well(t, next); o.took != 0 || o.container != c.ID() || !o.cold {
			t.Errorf("next ran in %s after %v, cold: %v", o.container, o.took, o.cold)
		}
		time.Sleep(time.Second)

		c = hold(t, s, "a", oneShot)
		s.mu.Lock()
		s.alloc.release(c, time.Now())
		s.mu.Unlock()
		wantStats(t, s, "idle", func(st Stats) int { return st.Idle }, 1)
		if o := runOnce(t, s, "a", 0); o.took != 0 || o.container != c.ID() {
			t.Errorf("ran in %s after %v", o.container, o.took)
		}
	})
}

func TestOnceGivenToADeadContainerRunsInAnotherOfItsOwn(t *testing.T) {
	for _, spare := range []int{1, 2} { // so that it waits, and does not
		in(t, Config{Max: 4, Spare: spare}, func(t *testing.T, w *world, s *Scheduler) {
			s.mu.Lock() // keeps the container's goroutine out
			tenant := s.alloc.table.tenant("a", oneShot)
			dead := s.alloc.acquire(tenant, oneShot)
			dead.Container.(*fake).die()
			s.mu.Unlock()
			o := well(t, moved(s, dead, oneShot, 0))
			if want := time.Duration(2-spare) * 300 * time.Millisecond; o.queue != want || o.container == dead.ID() {
				t.Errorf("waited %v, want %v", o.queue, want)
			}
			run(t, s, "a", 0)
			if all := w.containers(); !all[1].oneShot || all[1].id != o.container || len(s.alloc.table.tenants["a"].containers) != 1 {
				t.Errorf("ran in %s, which others ran in", o.container)
			}
			wantStats(t, s, "deaths", func(st Stats) int { return int(st.Deaths) }, 1)
		})
	}
}

func TestDeathUnderACallWithOnceIsPassedOn(t *testing.T) {
	in(t, Config{Max: 2, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		job := sendOnce(t.Context(), s, "a", time.Minute)
		w.containers()[0].die()
		var lost *call.LostError
		if o := <-job; !errors.As(o.err, &lost) || !lost.Started {
			t.Errorf("got %v", o.err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		want := Stats{Spare: 1, Calls: 1, Starts: 2, Deaths: 1}
		if st := s.Stats(); st != want {
			t.Errorf("got %+v\nwant %+v", st, want)
		}
	})
}

func TestCloseWaitsForCallsWithOnce(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		calls := []<-chan outcome{sendOnce(t.Context(), s, "a", time.Second), sendOnce(t.Context(), s, "a", time.Second)}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, ch := range calls {
			well(t, ch)
		}
	})
}

func TestRunSaysHowLongACallWaitedAndWhetherItsContainerWasNew(t *testing.T) {
	in(t, Config{Max: 2, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		first, second := send(t.Context(), s, "a", time.Second), send(t.Context(), s, "a", 0)
		time.Sleep(500 * time.Millisecond)
		oneShot := sendOnce(t.Context(), s, "a", time.Hour)
		third := send(t.Context(), s, "a", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		failed := sendOnce(ctx, s, "b", time.Hour)
		for _, want := range []struct {
			name  string
			call  <-chan outcome
			queue time.Duration
			cold  bool
		}{
			{"a spare", first, 0, true},
			{"waits for a slot", second, time.Second, false},
			{"waits for a slot in a queue", third, 500 * time.Millisecond, false},
			{"waits for a place", failed, 500*time.Millisecond + 380*time.Millisecond, true}, // fails in it
			{"no wait for a spare", oneShot, 0, true},
		} {
			o := <-want.call
			if o.queue != want.queue || o.cold != want.cold {
				t.Errorf("%s: queue %v, cold %v, want %v, %v", want.name, o.queue, o.cold, want.queue, want.cold)
			}
		}
	})
}
