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

func TestContainerRunsUpToConcurrencyCallsAtOnceInTheOrderTheyCame(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 3})}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for range 7 {
			calls = append(calls, send(t.Context(), s, "a", time.Second))
		}
		for i, ch := range calls {
			if o := <-ch; o.err != nil || o.took != time.Duration(1+i/3)*time.Second {
				t.Errorf("call %d: %v after %v", i, o.err, o.took)
			}
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
			if o := run(t, s, "b", time.Millisecond); o.took != time.Millisecond {
				t.Errorf("b's call took %v", o.took)
			}
		}
	})
}

func TestTenantsGetContainersInTurnsHoweverManyOfTheirCallsWait(t *testing.T) {
	in(t, Config{Max: 1, TimeSlice: time.Second, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		var order []string
		done := make(chan string)
		for _, tenant := range []string{"a", "a", "a", "b", "c", "a", "c"} {
			ch := send(t.Context(), s, tenant, 800*time.Millisecond)
			go func() { <-ch; done <- tenant }()
		}
		for range 7 {
			order = append(order, <-done)
		}
		// Two calls of 800 ms fill a turn of a second, then it is the next tenant's.
		if got := fmt.Sprint(order); got != "[a a b c c a a]" {
			t.Errorf("order %v", got)
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
				o := <-send(t.Context(), s, test.next, 0)
				var busy *call.BusyError
				if !errors.As(o.err, &busy) || busy.Reason != test.want || o.took != 0 {
					t.Fatalf("%v after %v", o.err, o.took)
				}
				if got := busy.RetryAfter; got < test.retry || got > test.atMax {
					t.Errorf("retry after %v, want %v to %v", got, test.retry, test.atMax)
				}
				wantStats(t, s, "queued", func(st Stats) int { return st.Queued }, len(test.wait))
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
			if o := run(t, s, tenant, 0); o.took != 0 {
				t.Errorf("%s took %v", tenant, o.took)
			}
		}
	})
}

func TestCallWaitsNoLongerThanTheQueueTime(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, TimeSlice: time.Hour, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		send(t.Context(), s, "a", time.Hour)
		same, other := send(t.Context(), s, "a", 0), send(t.Context(), s, "b", 0)
		for _, ch := range []<-chan outcome{same, other} {
			o := <-ch
			var busy *call.BusyError
			if !errors.As(o.err, &busy) || busy.Reason != QueueTimeSpent || o.took != 30*time.Second {
				t.Fatalf("%v after %v", o.err, o.took)
			}
			if busy.RetryAfter < 30*time.Second {
				t.Errorf("retry after %v, where nothing has moved for 30s", busy.RetryAfter)
			}
		}
		wantStats(t, s, "queued", func(st Stats) int { return st.Queued }, 0)
		wantStats(t, s, "tenants", func(st Stats) int { return st.Tenants }, 1)
	})
}

func TestRetryAfterIsNoLessThanTheWaitOfTheFirstInLine(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, QueueAll: 1, TimeSlice: time.Hour, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		send(t.Context(), s, "a", time.Hour)
		send(t.Context(), s, "b", 0)
		time.Sleep(20 * time.Second)
		o := <-send(t.Context(), s, "c", 0)
		var busy *call.BusyError
		if !errors.As(o.err, &busy) || busy.RetryAfter < 20*time.Second {
			t.Errorf("%v, retry after %v", o.err, busy.RetryAfter)
		}
	})
}

func TestCallerThatGivesUpStopsWaiting(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, TimeSlice: time.Hour, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		running := send(t.Context(), s, "a", 10*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		waits, next := send(ctx, s, "a", time.Second), send(t.Context(), s, "a", time.Second)
		if o := <-waits; !wasCancelled(o.err) || o.took != time.Second {
			t.Errorf("%v after %v", o.err, o.took)
		}
		if o := <-running; o.err != nil {
			t.Error(o.err)
		}
		if o := <-next; o.err != nil || o.took != 11*time.Second {
			t.Errorf("next: %v after %v", o.err, o.took)
		}
	})
}

func TestCallerThatIsGoneBeforeDoesNothing(t *testing.T) {
	in(t, Config{Max: 1}, func(t *testing.T, w *world, s *Scheduler) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Run(ctx, "a", call.Call{})
		if starts, _ := w.count(); !errors.Is(err, context.Canceled) || starts != 0 {
			t.Errorf("%v, %d starts", err, starts)
		}
	})
}

func TestContainerStartedForACallerThatGaveUpIsKept(t *testing.T) {
	in(t, Config{Max: 2}, func(t *testing.T, w *world, s *Scheduler) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if o := <-send(ctx, s, "a", 0); !wasCancelled(o.err) {
			t.Error(o.err)
		}
		time.Sleep(time.Second)
		o := run(t, s, "b", 0)
		if starts, _ := w.count(); o.took != 0 || starts != 1 {
			t.Errorf("took %v, %d starts", o.took, starts)
		}
	})
}

// A slot may be granted in the moment its caller gives up: then it goes to the next one.
func TestSlotGrantedToACallerThatIsGoneGoesToTheNext(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		held := hold(t, s, "a", plain)
		gone, end := waiting(t, s, "a", plain)
		next := send(t.Context(), s, "a", 0)
		cancelBetween(s, gone, func() { s.alloc.complete(held, time.Now(), time.Now()) })
		if o := <-end; !wasCancelled(o.err) || o.container != "" {
			t.Errorf("%v, in %q", o.err, o.container)
		}
		if o := <-next; o.err != nil || o.took != 0 {
			t.Errorf("next: %v after %v", o.err, o.took)
		}
	})
}

// Or in the moment its queue time is spent: then it is in time.
func TestSlotGrantedAsTheQueueTimeEndsIsUsed(t *testing.T) {
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

func TestTenantsAreForgotten(t *testing.T) {
	in(t, Config{Max: 2, QueueAll: 1, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 100 {
			send(t.Context(), s, fmt.Sprint("tenant ", i), 0)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if len(s.alloc.table.tenants) != 0 {
			t.Errorf("%d tenants in the table", len(s.alloc.table.tenants))
		}
	})
}

func TestRunDoesNotAnswerForTheScript(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if o := <-send(ctx, s, "a", time.Minute); !wasCancelled(o.err) || o.container == "" {
			t.Errorf("%v, in %q", o.err, o.container)
		}
		wantStats(t, s, "running", func(st Stats) int { return st.Running }, 0)
	})
}
