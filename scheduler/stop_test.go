package scheduler

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

func TestStopEndsAllContainersOfATenant(t *testing.T) {
	in(t, Config{Max: 4, Spare: 4, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		ss, other := openSession(t, s, "a"), openSession(t, s, "b")
		beside := sendIn(t.Context(), other, time.Second)
		calls := []<-chan outcome{
			sendIn(t.Context(), ss, time.Hour), opening(t.Context(), s, "a", time.Hour),
			sendOnce(t.Context(), s, "a", time.Hour), sendOnce(t.Context(), s, "a", time.Hour),
		}
		behind := sendIn(t.Context(), ss, 0)
		s.Stop("a")
		var lost *call.LostError
		for i, ch := range calls {
			if o := <-ch; !errors.As(o.err, &lost) || !lost.Started || o.took != 0 {
				t.Errorf("call %d: %v after %v", i, o.err, o.took)
			}
		}
		<-ss.Done()
		if o := <-behind; !errors.Is(o.err, call.ErrNoSession) {
			t.Errorf("behind another in the session: %v", o.err)
		}
		well(t, beside)
		well(t, sendIn(t.Context(), other, 0))
		wantStats(t, s, "sessions", func(st Stats) int { return st.Sessions }, 1)
		wantStats(t, s, "deaths", func(st Stats) int { return int(st.Deaths) }, 0)
	})
}

func TestCallsThatWaitGoOnAfterStop(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		running := send(t.Context(), s, "a", time.Hour)
		waits := []<-chan outcome{send(t.Context(), s, "a", time.Second), opening(t.Context(), s, "a", 0), sendOnce(t.Context(), s, "a", 0)}
		s.Stop("a")
		var lost *call.LostError
		o := <-running
		if !errors.As(o.err, &lost) {
			t.Errorf("running: %v", o.err)
		}
		// Closing takes 80 ms and a start 300. The call with Once was in its turns before the others were.
		if next := well(t, waits[2]); next.took != 380*time.Millisecond || next.container == o.container {
			t.Errorf("the next took %v, in %s after %s", next.took, next.container, o.container)
		}
		if next := well(t, waits[0]); next.took != 2*380*time.Millisecond+time.Second {
			t.Errorf("the one after it took %v", next.took)
		}
		well(t, waits[1])
	})
}

func TestStartForCallsThatWaitBeginsWithStop(t *testing.T) {
	in(t, Config{Max: 2, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "a", 0)
		send(t.Context(), s, "a", time.Hour)
		waits := send(t.Context(), s, "a", 0)
		s.Stop("a")
		if o := well(t, waits); o.took != 300*time.Millisecond {
			t.Errorf("took %v, a start takes 300ms", o.took)
		}
	})
}

func TestCallAfterStopGetsANewContainer(t *testing.T) {
	in(t, Config{Max: 2, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		first := run(t, s, "a", 0)
		time.Sleep(time.Second)
		s.Stop("a")
		if next := run(t, s, "a", 0); next.container == first.container || next.took != 0 {
			t.Errorf("ran in %s after %v, the stopped one was %s", next.container, next.took, first.container)
		}
	})
}

// A container that gave way after its turn has calls, but is its tenant's no more.
func TestStopEndsContainersThatGaveWay(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, TimeSlice: time.Second, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		running := send(t.Context(), s, "a", time.Hour)
		b := send(t.Context(), s, "b", 0)
		time.Sleep(time.Minute)
		wantStats(t, s, "closing", func(st Stats) int { return st.Closing }, 1)
		s.Stop("b")
		wantStats(t, s, "running, after another was stopped", func(st Stats) int { return st.Running }, 1)
		s.Stop("a")
		var lost *call.LostError
		if o := <-running; !errors.As(o.err, &lost) || o.took != time.Minute {
			t.Errorf("%v after %v", o.err, o.took)
		}
		if o := well(t, b); o.took != time.Minute+380*time.Millisecond {
			t.Errorf("b took %v", o.took)
		}
	})
}

func TestStopOfATenantWithoutContainersDoesNothing(t *testing.T) {
	in(t, Config{Max: 2, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		want := s.Stats()
		s.Stop("nobody")
		if st := s.Stats(); st != want {
			t.Errorf("got %+v\nwant %+v", st, want)
		}
	})
	s := New(Config{})
	s.Stop("a")
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s.Stop("a")
}

func TestStopWhileClosing(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		running, waits := send(t.Context(), s, "a", time.Hour), send(t.Context(), s, "a", time.Second)
		done := make(chan error, 1)
		go func() { done <- s.Close(t.Context()) }()
		synctest.Wait()
		s.Stop("a")
		if o := <-running; o.err == nil {
			t.Error("the call that ran went on")
		}
		well(t, waits)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
