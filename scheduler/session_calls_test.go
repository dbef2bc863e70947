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

func TestCallsOfSessionsCount(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		open := opening(t.Context(), s, "a", time.Second)
		want := Stats{Tenants: 1, Busy: 1, Running: 1, Starts: 1}
		if st := s.Stats(); st != want {
			t.Errorf("opening: got %+v\nwant %+v", st, want)
		}
		well(t, open)
		ss := openSession(t, s, "a")
		calls := []<-chan outcome{sendIn(t.Context(), ss, 3*time.Second), sendIn(t.Context(), ss, 0), send(t.Context(), s, "a", 0)}
		// The second one comes when the first is done.
		want = Stats{Tenants: 1, Busy: 1, Sessions: 2, Running: 1, Queued: 1, Calls: 2, Starts: 1}
		if st := s.Stats(); st != want {
			t.Errorf("calls: got %+v\nwant %+v", st, want)
		}
		for _, ch := range calls {
			well(t, ch)
		}
		s.mu.Lock()
		if s.alloc.pace.meanRun == 0 || s.alloc.pace.meanRun != s.alloc.table.tenants["a"].meanRun {
			t.Errorf("calls of a take %v, all %v", time.Duration(s.alloc.table.tenants["a"].meanRun), time.Duration(s.alloc.pace.meanRun))
		}
		s.mu.Unlock()
		ss.Close()
		wantStats(t, s, "sessions that have not ended", func(st Stats) int { return st.Sessions }, 2)
		<-ss.Done()
		want = Stats{Tenants: 1, Busy: 1, Sessions: 1, Calls: 5, Starts: 1}
		synctest.Wait()
		if st := s.Stats(); st != want {
			t.Errorf("closed: got %+v\nwant %+v", st, want)
		}
	})
}

func TestCallsOfASessionRunInOrderAndTakeOneSlot(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		var calls []<-chan outcome
		for range 3 {
			calls = append(calls, sendIn(t.Context(), ss, time.Second))
		}
		if o := run(t, s, "a", time.Second); o.queue != 0 {
			t.Errorf("a call beside them waited %v", o.queue)
		}
		for i, ch := range calls {
			if o := well(t, ch); o.queue != time.Duration(i)*time.Second || o.took != o.queue+time.Second {
				t.Errorf("call %d took %v, waited %v", i, o.took, o.queue)
			}
		}
	})
}

func TestCallsOfSessionsAndOthersWaitInOneLine(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		one, two := openSession(t, s, "a"), openSession(t, s, "a")
		done := make(chan string, 10)
		begin := func(name string, call <-chan outcome) {
			go func() { well(t, call); done <- name }()
			time.Sleep(time.Millisecond) // so that each comes after the one before
		}
		for i := range 3 {
			begin(fmt.Sprint("plain", i), send(t.Context(), s, "a", time.Second))
			begin(fmt.Sprint("one", i), sendIn(t.Context(), one, time.Second))
		}
		begin("two0", sendIn(t.Context(), two, time.Second))
		begin("plain3", send(t.Context(), s, "a", time.Second))
		var order []string
		for range 8 {
			order = append(order, <-done)
		}
		// one1 lines up when one0 ends, one2 when one1 does.
		if got := fmt.Sprint(order); got != "[plain0 one0 plain1 plain2 two0 plain3 one1 one2]" {
			t.Errorf("order %v", got)
		}
	})
}

func TestCallsOfSessionsAreBoundWithTheTenantsOthers(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 2, Queue: 3})}, func(t *testing.T, w *world, s *Scheduler) {
		var sessions []*session
		for range 4 {
			sessions = append(sessions, openSession(t, s, "a"))
		}
		inSession := func(n int) <-chan outcome { return sendIn(t.Context(), sessions[n], 0) }
		sendIn(t.Context(), sessions[0], time.Hour)
		send(t.Context(), s, "a", time.Hour)
		one, two, plain := inSession(1), inSession(2), send(t.Context(), s, "a", 0)
		for name, ch := range map[string]<-chan outcome{"in a session": inSession(3), "plain": send(t.Context(), s, "a", 0)} {
			var busy *call.BusyError
			if o := <-ch; !errors.As(o.err, &busy) || busy.Reason != QueueTenantFull || o.took != 0 {
				t.Errorf("%s: %v after %v", name, o.err, o.took)
			}
		}
		for _, ch := range []<-chan outcome{one, two, plain} {
			var busy *call.BusyError
			if o := <-ch; !errors.As(o.err, &busy) || busy.Reason != QueueTimeSpent || o.took != 30*time.Second {
				t.Errorf("%v after %v", o.err, o.took)
			}
		}
		want := Stats{Tenants: 1, Busy: 1, Sessions: 4, Running: 2, Calls: 4, Refused: 5, Starts: 1}
		if st := s.Stats(); st != want {
			t.Errorf("got %+v\nwant %+v", st, want)
		}
	})
}

func TestRetryAfterCountsCallsThatWaitInSessions(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1, Queue: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		sessions := []*session{openSession(t, s, "a"), openSession(t, s, "a")}
		well(t, sendIn(t.Context(), ss, time.Second)) // so that the pace is known
		sendIn(t.Context(), ss, time.Hour)
		for _, ss := range sessions {
			sendIn(t.Context(), ss, time.Hour)
		}
		var busy *call.BusyError
		if o := <-send(t.Context(), s, "a", 0); !errors.As(o.err, &busy) || busy.RetryAfter != 3*time.Second {
			t.Errorf("%v, retry after %v", o.err, busy.RetryAfter)
		}
	})
}

func TestCallerThatGivesUpInASessionStopsWaiting(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		send(t.Context(), s, "a", 10*time.Second)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		lined, next := sendIn(short, ss, 0), sendIn(t.Context(), ss, 0)
		if o := <-lined; !wasCancelled(o.err) || o.took != time.Second || o.queue != time.Second {
			t.Errorf("%v after %v", o.err, o.took)
		}
		if o := well(t, next); o.took != 10*time.Second {
			t.Errorf("the next took %v", o.took)
		}
	})
}

func TestSlotOfACallerThatIsGoneGoesToTheNextOfItsSession(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		held := hold(t, s, "a", plain)
		gone, end := waitingIn(t, ss)
		next := send(t.Context(), s, "a", 0)
		cancelBetween(s, gone, func() { s.alloc.complete(held, time.Now(), time.Now()) })
		if o := <-end; !wasCancelled(o.err) {
			t.Error(o.err)
		}
		if o := well(t, next); o.took != 0 {
			t.Errorf("the next took %v", o.took)
		}
		well(t, sendIn(t.Context(), ss, 0))
	})
}

// Whoever has the session keeps the order of its calls: a second call at oneShot is a bug, also while the first one waits.
func TestSecondCallInFlightInASessionIsRefused(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		runs, waits := openSession(t, s, "a"), openSession(t, s, "a")
		calls := []<-chan outcome{sendIn(t.Context(), runs, time.Second), send(t.Context(), s, "a", time.Second), sendIn(t.Context(), waits, 0)}
		for _, ss := range []*session{runs, waits} {
			if err := startNow(ss); !errors.Is(err, errInFlight) {
				t.Error(err)
			}
		}
		for _, ch := range calls {
			well(t, ch)
		}
		if err := startNow(runs); err != nil {
			t.Error(err)
		}
	})
}
