package scheduler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

func TestCloseWaitsForCallsAlsoForWaitingOnes(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		calls := []<-chan outcome{
			send(t.Context(), s, "a", time.Second), send(t.Context(), s, "a", time.Second),
			send(t.Context(), s, "b", time.Second), sendOneShot(t.Context(), s, "b", time.Second), sendOneShot(t.Context(), s, "b", time.Second),
		}
		began, done := time.Now(), make(chan error)
		go func() { done <- s.Close(t.Context()) }()
		synctest.Wait()
		wantError(t, send(t.Context(), s, "a", 0), ErrClosed)
		if err := s.Ready(); !errors.Is(err, ErrClosed) {
			t.Errorf("Ready: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("took %v", took)
		}
		allWell(t, calls)
	})
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss, other := openSession(t, s, "a"), openSession(t, s, "a")
		calls := []<-chan outcome{
			opening(t.Context(), s, "a", 3*time.Second), sendIn(t.Context(), ss, time.Second), sendIn(t.Context(), other, time.Second),
		}
		began, done := time.Now(), make(chan error, 1)
		go func() { done <- s.Close(t.Context()) }()
		synctest.Wait()
		wantError(t, watchIn(t.Context(), ss, 0), ErrClosed)
		wantError(t, opening(t.Context(), s, "a", 0), ErrClosed)
		allWell(t, calls)
		if err := <-done; err != nil || time.Since(began) != 5*time.Second+w.closing { // no longer for the sessions
			t.Errorf("%v after %v", err, time.Since(began))
		}
		<-ss.Done()
		wantError(t, sendIn(t.Context(), ss, 0), ErrClosed)
		ss.Close()
	})
}

func TestCloseCutsOffCallsWhenItsTimeIsSpent(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 3})}, func(t *testing.T, w *world, s *Scheduler) {
		ss, other := openSession(t, s, "a"), openSession(t, s, "a")
		running := []<-chan outcome{send(t.Context(), s, "a", time.Hour), opening(t.Context(), s, "a", time.Hour), sendIn(t.Context(), ss, time.Hour)}
		waits := []<-chan outcome{send(t.Context(), s, "a", 0), send(t.Context(), s, "b", 0), sendIn(t.Context(), other, 0), sendOneShot(t.Context(), s, "a", 0)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		for _, job := range running {
			if o := wantLost(t, job); o.took != time.Second {
				t.Errorf("after %v", o.took)
			}
		}
		for _, job := range waits {
			wantError(t, job, ErrClosed)
		}
	})
}

func TestCloseEndsStartsUnderWay(t *testing.T) {
	in(t, Config{Max: 4}, func(t *testing.T, w *world, s *Scheduler) {
		w.stickStarts("", true)
		job := send(t.Context(), s, "a", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		wantError(t, job, ErrClosed)
	})
	in(t, Config{Max: 4}, func(t *testing.T, w *world, s *Scheduler) { // it does not wait for calls that were cancelled
		w.stickStarts("", true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		job, began := send(ctx, s, "a", 0), time.Now()
		if err := s.Close(t.Context()); err != nil || time.Since(began) != time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		wantCancelled(t, job, time.Second)
	})
}

func TestSecondCloseWaitsForTheFirst(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		job := send(t.Context(), s, "a", time.Second)
		done := make(chan error, 1)
		go func() { done <- s.Close(t.Context()) }()
		synctest.Wait()
		err := s.Close(t.Context())
		if _, alive := w.count(); err != nil || alive != 0 {
			t.Errorf("second Close: %v, %d containers left", err, alive)
		}
		well(t, job)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// stubborn is a container that says it did not close.
type stubborn struct{ Container }

var errStubborn = errors.New("still there")

func (c stubborn) Close() error { return errors.Join(c.Container.Close(), errStubborn) }

func TestCloseJoinsTheErrorsOfContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Max: 2}, 0)
		s := New(Config{Max: 2, Spare: 2, Start: func(ctx context.Context, profile string) (Container, error) {
			c, err := w.start(ctx, profile)
			return stubborn{c}, err
		}})
		s.Open()
		time.Sleep(time.Second)
		if err := s.Close(t.Context()); !errors.Is(err, errStubborn) || len(s.closeErrs) != 2 {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestNothingRunsBeforeOpenAndAfterClose(t *testing.T) {
	s := New(Config{Max: 1, Spare: 1})
	for range 2 {
		var got error
		s.Start("a", &call.Call{}, func(_ call.Result, err error) { got = err })
		if !errors.Is(got, ErrClosed) {
			t.Error(got)
		}
		s.Stop("a")
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s.Open()
	}
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Max: 1}, time.Second)
		s := New(Config{Max: 1, Spare: 1, Start: w.start})
		s.Open()
		if err := s.Ready(); !errors.Is(err, ErrStarting) {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if err := s.Ready(); err != nil {
			t.Error(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	in(t, Config{Max: 2}, func(t *testing.T, w *world, s *Scheduler) { // while dead containers hold all places
		run(t, s, "a", 0)
		run(t, s, "b", 0)
		w.closing = time.Minute
		w.containers()[0].die()
		synctest.Wait()
		if err := s.Ready(); err != nil {
			t.Errorf("one is left: %v", err)
		}
		w.containers()[1].die()
		synctest.Wait()
		if err := s.Ready(); !errors.Is(err, ErrClosing) {
			t.Errorf("none is left: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := s.Ready(); err != nil {
			t.Errorf("they are closed: %v", err)
		}
	})
}

func TestStopEndsAllContainersOfATenant(t *testing.T) {
	in(t, Config{Max: 4, Spare: 4, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		before := s.Stats()
		s.Stop("nobody")
		wantAll(t, s, before)
		ss, other := openSession(t, s, "a"), openSession(t, s, "b")
		beside := sendIn(t.Context(), other, time.Second)
		calls := []<-chan outcome{
			sendIn(t.Context(), ss, time.Hour), opening(t.Context(), s, "a", time.Hour),
			sendOneShot(t.Context(), s, "a", time.Hour), sendOneShot(t.Context(), s, "a", time.Hour),
		}
		behind := sendIn(t.Context(), ss, 0)
		s.Stop("a")
		for _, job := range calls {
			if o := wantLost(t, job); o.took != 0 {
				t.Errorf("after %v", o.took)
			}
		}
		<-ss.Done()
		wantError(t, behind, call.ErrNoSession)
		well(t, beside)
		well(t, sendIn(t.Context(), other, 0))
		want(t, s, "Sessions", 1)
		want(t, s, "Deaths", 0)
	})
	// A container that gave way after its time slice has calls, but is its tenant's no more.
	in(t, Config{Max: 1, Spare: 1, TimeSlice: time.Second, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		running := send(t.Context(), s, "a", time.Hour)
		b := send(t.Context(), s, "b", 0)
		time.Sleep(time.Minute)
		want(t, s, "Closing", 1)
		s.Stop("b")
		want(t, s, "Running", 1)
		s.Stop("a")
		if o := wantLost(t, running); o.took != time.Minute {
			t.Errorf("after %v", o.took)
		}
		wellAfter(t, b, time.Minute+380*time.Millisecond)
	})
}

func TestWaitingCallsGoOnAfterStop(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		running := send(t.Context(), s, "a", time.Hour)
		waits := []<-chan outcome{send(t.Context(), s, "a", time.Second), opening(t.Context(), s, "a", 0), sendOneShot(t.Context(), s, "a", 0)}
		s.Stop("a")
		o := wantLost(t, running)
		// Closing takes 80 ms and a start 300. The one-shot call was in the wait queue before the others.
		if next := wellAfter(t, waits[2], 380*time.Millisecond); next.container == o.container {
			t.Errorf("the next ran in %s after %s", next.container, o.container)
		}
		wellAfter(t, waits[0], 2*380*time.Millisecond+time.Second)
		well(t, waits[1])
	})
	in(t, Config{Max: 2, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) { // a start begins with Stop
		run(t, s, "a", 0)
		send(t.Context(), s, "a", time.Hour)
		waits := send(t.Context(), s, "a", 0)
		s.Stop("a")
		wellAfter(t, waits, 300*time.Millisecond)
	})
	in(t, Config{Max: 2, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) { // later calls get a spare
		first := run(t, s, "a", 0)
		time.Sleep(time.Second)
		s.Stop("a")
		if next := wellAfter(t, send(t.Context(), s, "a", 0), 0); next.container == first.container {
			t.Errorf("ran in %s, which was stopped", next.container)
		}
	})
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) { // while closing
		running, waits := send(t.Context(), s, "a", time.Hour), send(t.Context(), s, "a", time.Second)
		done := make(chan error, 1)
		go func() { done <- s.Close(t.Context()) }()
		synctest.Wait()
		s.Stop("a")
		wantLost(t, running)
		well(t, waits)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
