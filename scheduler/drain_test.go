package scheduler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

func TestCloseWaitsForCallsAlsoThoseThatWait(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		calls := []<-chan outcome{
			send(t.Context(), s, "a", time.Second), send(t.Context(), s, "a", time.Second), send(t.Context(), s, "b", time.Second),
		}
		began, done := time.Now(), make(chan error)
		go func() { done <- s.Close(t.Context()) }()
		synctest.Wait()
		if o := <-send(t.Context(), s, "a", 0); !errors.Is(o.err, ErrClosed) {
			t.Errorf("new call: %v", o.err)
		}
		if err := s.Ready(); !errors.Is(err, ErrClosed) {
			t.Errorf("Ready: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("took %v", took)
		}
		for i, ch := range calls {
			if o := <-ch; o.err != nil {
				t.Errorf("call %d: %v", i, o.err)
			}
		}
	})
}

func TestCloseCutsOffCallsWhenItsTimeIsSpent(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		running := send(t.Context(), s, "a", time.Hour)
		same, other := send(t.Context(), s, "a", 0), send(t.Context(), s, "b", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		var lost *call.LostError
		if o := <-running; !errors.As(o.err, &lost) || !lost.Started || o.took != time.Second {
			t.Errorf("running: %v after %v", o.err, o.took)
		}
		for _, ch := range []<-chan outcome{same, other} {
			if o := <-ch; !errors.Is(o.err, ErrClosed) {
				t.Errorf("waiting: %v", o.err)
			}
		}
	})
}

func TestCloseEndsStartsUnderWay(t *testing.T) {
	in(t, Config{Max: 4}, func(t *testing.T, w *world, s *Scheduler) {
		w.setStuck(true)
		job := send(t.Context(), s, "a", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		if o := <-job; !errors.Is(o.err, ErrClosed) {
			t.Error(o.err)
		}
	})
}

func TestCloseDoesNotWaitForCallersThatGaveUp(t *testing.T) {
	in(t, Config{Max: 4}, func(t *testing.T, w *world, s *Scheduler) {
		w.setStuck(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		job := send(ctx, s, "a", 0)
		began := time.Now()
		if err := s.Close(t.Context()); err != nil || time.Since(began) != time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		if o := <-job; !wasCancelled(o.err) {
			t.Error(o.err)
		}
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
		if o := <-job; o.err != nil {
			t.Error(o.err)
		}
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
		s := New(Config{Max: 2, Spare: 2, Start: func(ctx context.Context, class string) (Container, error) {
			c, err := w.start(ctx, class)
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
		if _, err := s.Run(t.Context(), "a", call.Call{}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s.Open()
	}
}

func TestReadyBeforeTheFirstContainerIs(t *testing.T) {
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
}

func TestNotReadyWhileDeadContainersHoldAllPlaces(t *testing.T) {
	in(t, Config{Max: 2}, func(t *testing.T, w *world, s *Scheduler) {
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
