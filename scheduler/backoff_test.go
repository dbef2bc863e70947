package scheduler

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

func TestFailingStartsBackOffAndRecover(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{QueueTime: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		w.takes = func() time.Duration { return 0 }
		w.breakDown(errEngine)
		call := send(t.Context(), s, "a", 0)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		for i := 1; i < len(w.tries); i++ {
			full := min(firstBackoff<<(i-1), lastBackoff)
			if gap := w.tries[i].Sub(w.tries[i-1]); gap > full || gap < full*3/4 {
				t.Errorf("try %d came %v after the last, want %v less up to a quarter", i, gap, full)
			}
		}
		if len(w.tries) < 8 {
			t.Errorf("only %d tries", len(w.tries))
		}
		if err := s.Ready(); !errors.Is(err, errEngine) {
			t.Errorf("Ready: %v", err)
		}
		w.breakDown(nil)
		if o := <-call; o.err != nil {
			t.Errorf("call that waited: %v", o.err)
		}
		if err := s.Ready(); err != nil {
			t.Errorf("Ready after recovery: %v", err)
		}
		if o := run(t, s, "b", 0); o.took != 0 {
			t.Errorf("a start after recovery was put off by %v", o.took)
		}
	})
}

func TestCallThatWaitsWhileStartsFailIsBusyWithTheCause(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{QueueTime: 5 * time.Second})}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakDown(errEngine)
		o := <-send(t.Context(), s, "a", 0)
		var busy *call.BusyError
		if !errors.As(o.err, &busy) || !errors.Is(o.err, errEngine) || o.took != 5*time.Second {
			t.Errorf("%v after %v", o.err, o.took)
		}
		if busy.RetryAfter < time.Until(s.alloc.table.base.retryAt) {
			t.Errorf("retry after %v, but there is no start before %v", busy.RetryAfter, time.Until(s.alloc.table.base.retryAt))
		}
	})
}

func TestFailingEngineRecoversThoughNobodyWaits(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{QueueTime: time.Second})}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakDown(errEngine)
		<-send(t.Context(), s, "a", 0)
		time.Sleep(time.Minute)
		if err := s.Ready(); !errors.Is(err, errEngine) {
			t.Errorf("Ready: %v", err)
		}
		w.breakDown(nil)
		time.Sleep(lastBackoff + time.Second)
		synctest.Wait()
		if err := s.Ready(); err != nil {
			t.Errorf("Ready: %v", err)
		}
	})
}

func TestStartsThatFailTogetherCountAsOneAndAreTriedAgainOneByOne(t *testing.T) {
	in(t, Config{Max: 8, Starts: 4}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakDown(errEngine)
		for _, tenant := range []string{"a", "b", "c", "d"} {
			send(t.Context(), s, tenant, 0)
		}
		wantStats(t, s, "starting", func(st Stats) int { return st.Starting }, 4)
		time.Sleep(300 * time.Millisecond)
		wantStats(t, s, "failed", func(st Stats) int { return int(st.Failed) }, 4)
		time.Sleep(firstBackoff)
		wantStats(t, s, "starting", func(st Stats) int { return st.Starting }, 1)
		w.breakDown(nil)
		time.Sleep(300 * time.Millisecond)
		wantStats(t, s, "starting", func(st Stats) int { return st.Starting }, 3)
	})
}

func TestNothingThatWorksIsGivenUpWhileStartsFail(t *testing.T) {
	in(t, Config{Max: 2, Policy: all(Policy{QueueTime: 2 * time.Second})}, func(t *testing.T, w *world, s *Scheduler) {
		a := run(t, s, "a", 0)
		w.breakDown(errEngine)
		calls := []<-chan outcome{send(t.Context(), s, "b", 0)}
		time.Sleep(time.Second)
		calls = append(calls, send(t.Context(), s, "c", 0), send(t.Context(), s, "d", 0))
		for _, ch := range calls {
			<-ch
		}
		if again := run(t, s, "a", 0); again.container != a.container || again.took != 0 {
			t.Errorf("a ran in %s, then in %s after %v", a.container, again.container, again.took)
		}
	})
}

func TestStartThatHangsHasFailed(t *testing.T) {
	in(t, Config{Max: 1, StartTime: 5 * time.Second}, func(t *testing.T, w *world, s *Scheduler) {
		w.setStuck(true)
		call := send(t.Context(), s, "a", 0)
		time.Sleep(time.Second)
		w.setStuck(false)
		if o := <-call; o.err != nil || o.took < 5*time.Second || o.took > 6*time.Second {
			t.Errorf("%v after %v", o.err, o.took)
		}
	})
}
