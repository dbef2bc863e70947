package scheduler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

func TestSessionThatEndsRefusesItsCalls(t *testing.T) {
	tests := []struct {
		name string
		end  func(*session)
		over time.Duration // when the call that runs has ended
	}{
		{"closed", func(ss *session) { ss.Close(); ss.Close() }, sessionEnds},
		{"by itself", func(ss *session) { ss.session.(*fakeSession).end() }, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
				ss, other := openSession(t, s, "a"), openSession(t, s, "a")
				running := sendIn(t.Context(), ss, time.Hour)
				beside, lined := sendIn(t.Context(), other, time.Second), send(t.Context(), s, "a", 0)
				test.end(ss)
				synctest.Wait()
				if err := startNow(ss); !errors.Is(err, call.ErrNoSession) {
					t.Error(err)
				}
				var failed *call.Failure
				if o := <-running; !errors.As(o.err, &failed) || o.took != test.over {
					t.Errorf("the call that ran: %v after %v", o.err, o.took)
				}
				<-ss.Done()
				if o := well(t, lined); o.took != test.over {
					t.Errorf("a call that waited for its slot took %v", o.took)
				}
				well(t, beside)
				wantStats(t, s, "sessions", func(st Stats) int { return st.Sessions }, 1)
			})
		})
	}
}

func TestCallInLineForASessionThatEndsIsRefused(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		send(t.Context(), s, "a", time.Second)
		lined, next := sendIn(t.Context(), ss, 0), send(t.Context(), s, "a", 0)
		ss.Close()
		if o := <-lined; !errors.Is(o.err, call.ErrNoSession) || o.took != 0 {
			t.Errorf("%v after %v", o.err, o.took)
		}
		if o := well(t, next); o.took != time.Second {
			t.Errorf("the next took %v", o.took)
		}
	})
}

func TestCallerThatIsGoneAsItsSessionEndsIsRefused(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		hold(t, s, "a", plain)
		late, end := waitingIn(t, ss)
		ss.Close()
		s.expire(late)
		s.cancelWaiter(late)
		if o := <-end; !errors.Is(o.err, call.ErrNoSession) {
			t.Error(o.err)
		}
	})
}

func TestDeathOfAContainerEndsItsSessions(t *testing.T) {
	in(t, Config{Max: 3, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss, other := openSession(t, s, "a"), openSession(t, s, "b")
		running := sendIn(t.Context(), ss, time.Hour)
		behind, next := sendIn(t.Context(), ss, 0), send(t.Context(), s, "a", 0)
		time.Sleep(time.Second)
		ss.container.Container.(*fake).die()
		var lost *call.LostError
		if o := <-running; !errors.As(o.err, &lost) || !lost.Started {
			t.Errorf("running: %v", o.err)
		}
		<-ss.Done()
		for _, ch := range []<-chan outcome{behind, sendIn(t.Context(), ss, 0)} {
			if o := <-ch; !errors.Is(o.err, call.ErrNoSession) {
				t.Errorf("in a session that is gone: %v", o.err)
			}
		}
		if o := well(t, next); o.container == ss.container.ID() {
			t.Error("the next ran in the dead one")
		}
		well(t, sendIn(t.Context(), other, 0))
		wantStats(t, s, "sessions", func(st Stats) int { return st.Sessions }, 1)
	})
}

func TestSessionOpenedInAContainerOnItsWayOutIsLost(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		c := hold(t, s, "a", opens)
		given := c.Container.(*fake).open()
		s.Stop("a")
		var lost *call.LostError
		if _, err := s.completeOpening(c, given, nil, time.Now()); !errors.As(err, &lost) || !lost.Started {
			t.Errorf("got %v", err)
		}
		wantStats(t, s, "sessions", func(st Stats) int { return st.Sessions }, 0)
	})
}

// A container that had been retired for its calls dies while it opens a session: nobody may think that it is open.
func TestSessionOpenedInARetiredContainerThatDiedIsLost(t *testing.T) {
	in(t, Config{Max: 3, Spare: 1, Policy: all(Policy{MaxCalls: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		c := hold(t, s, "a", opens)
		given := c.Container.(*fake).open()
		c.Container.(*fake).die()
		time.Sleep(w.closing)
		synctest.Wait()
		_, err := s.completeOpening(c, given, nil, time.Now())
		var lost *call.LostError
		if !errors.As(err, &lost) {
			t.Errorf("%v, after its container was closed", err)
		}
	})
}

func TestCloseDoesNotWaitForIdleSessions(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		began := time.Now()
		if err := s.Close(t.Context()); err != nil || time.Since(began) != w.closing {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		<-ss.Done()
		if o := <-sendIn(t.Context(), ss, 0); !errors.Is(o.err, ErrClosed) {
			t.Error(o.err)
		}
		ss.Close()
	})
}

func TestCloseWaitsForCallsOfSessionsAlsoThoseThatWait(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss, other := openSession(t, s, "a"), openSession(t, s, "a")
		calls := []<-chan outcome{
			opening(t.Context(), s, "a", 3*time.Second), sendIn(t.Context(), ss, time.Second), sendIn(t.Context(), other, time.Second),
		}
		began, done := time.Now(), make(chan error, 1)
		go func() { done <- s.Close(t.Context()) }()
		synctest.Wait()
		if err := startNow(ss); !errors.Is(err, ErrClosed) {
			t.Errorf("new call: %v", err)
		}
		if o := <-opening(t.Context(), s, "a", 0); !errors.Is(o.err, ErrClosed) {
			t.Errorf("new session: %v", o.err)
		}
		for _, ch := range calls {
			well(t, ch)
		}
		if err := <-done; err != nil || time.Since(began) != 5*time.Second+w.closing {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestCloseCutsOffCallsOfSessionsWhenItsTimeIsSpent(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		ss, other := openSession(t, s, "a"), openSession(t, s, "a")
		open, running, waits := opening(t.Context(), s, "a", time.Hour), sendIn(t.Context(), ss, time.Hour), sendIn(t.Context(), other, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		var lost *call.LostError
		for _, ch := range []<-chan outcome{open, running} {
			if o := <-ch; !errors.As(o.err, &lost) || o.took != time.Second {
				t.Errorf("running: %v after %v", o.err, o.took)
			}
		}
		if o := <-waits; !errors.Is(o.err, ErrClosed) || o.took != time.Second {
			t.Errorf("waiting: %v", o.err)
		}
	})
}
