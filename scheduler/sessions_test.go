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

// A session runs one call at a time, and no container ends under a session but by Stop and Close: that is checked by the world,
// in every test.

func TestSessionIsInAContainerOfItsTenantsPlainCalls(t *testing.T) {
	in(t, Config{Max: 2, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		var given call.Session
		job := &call.Call{Script: []byte("a"), OneShot: true} // which is ignored
		well(t, openWith(t.Context(), s, job, func(ss call.Session) { given = ss }))
		ss := given.(*session)
		inside, other := wellAfter(t, sendIn(t.Context(), ss, time.Second), time.Second), run(t, s, "a", 0)
		if inside.container != other.container || inside.container != ss.container.ID() {
			t.Errorf("a call ran in %s, one in the session in %s", other.container, inside.container)
		}
		if inside.cold || other.cold {
			t.Error("a call after the one that opened the session is said to be the container's first")
		}
	})
}

func TestOpeningASessionWaitsAsCallsDo(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1, Queue: 3})}, func(t *testing.T, w *world, s *Scheduler) {
		send(t.Context(), s, "a", 50*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		cancelled, spent := opening(ctx, s, "a", 0), opening(t.Context(), s, "a", 0)
		send(t.Context(), s, "a", 0)
		wantBusy(t, opening(t.Context(), s, "a", 0), QueueTenantFull, 0)
		wantCancelled(t, cancelled, time.Second)
		wantBusy(t, spent, QueueTimeSpent, 30*time.Second)
		wellAfter(t, opening(t.Context(), s, "a", time.Second), 21*time.Second)
	})
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantCancelled(t, opening(ctx, s, "a", time.Hour), time.Second) // and pins nothing
		wantAll(t, s, Stats{Tenants: 1, Idle: 1, Calls: 1, Starts: 1})
	})
}

func TestContainerWithASessionIsNotRecycledAndOutlivesItsAge(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		time.Sleep(time.Hour)
		well(t, sendIn(t.Context(), ss, 0))
		ss.Close()
		<-ss.Done()
		time.Sleep(59 * time.Second)
		want(t, s, "Idle", 1)
		time.Sleep(2 * time.Second)
		want(t, s, "Recycled", 1)
	})
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{MaxAge: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		old := ss.container
		time.Sleep(time.Hour)
		if o := well(t, sendIn(t.Context(), ss, 0)); o.container != old.ID() {
			t.Errorf("the session went from %s to %s", old.ID(), o.container)
		}
		if o := run(t, s, "a", 0); o.container == old.ID() {
			t.Error("a plain call went to the old container")
		}
		ss.Close()
		time.Sleep(time.Second)
		if !old.dead() {
			t.Errorf("%s lives", old.ID())
		}
	})
}

func TestContainerWithASessionGivesWayWhenThatEnds(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		ss, other := openSession(t, s, "a"), openSession(t, s, "a")
		b := send(t.Context(), s, "b", 0)
		time.Sleep(10 * time.Minute)
		ss.Close()
		<-ss.Done()
		time.Sleep(10 * time.Minute)
		well(t, sendIn(t.Context(), other, 0))
		want(t, s, "Evictions", 0)
		other.Close()
		wellAfter(t, b, 20*time.Minute+2*sessionEnds+380*time.Millisecond)
	})
	// The calls in it could go on after its time slice, but the session could not.
	in(t, Config{Max: 1, Spare: 1, TimeSlice: time.Second, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		var given call.Session
		job := &call.Call{Script: []byte("a"), Timeout: time.Minute}
		opened := openWith(t.Context(), s, job, func(ss call.Session) { given = ss })
		long := send(t.Context(), s, "a", 30*time.Minute)
		b := send(t.Context(), s, "b", 0)
		well(t, opened) // which took longer than a time slice
		ss := given.(*session)
		time.Sleep(time.Minute)
		well(t, sendIn(t.Context(), ss, 0))
		if o := run(t, s, "a", 0); o.container != ss.container.ID() {
			t.Error("a has got another container")
		}
		ss.Close()
		<-ss.Done()
		want(t, s, "Closing", 0) // within a time slice
		time.Sleep(time.Second)
		want(t, s, "Closing", 1)
		allWell(t, []<-chan outcome{long, b})
	})
}

// Sessions may pin three quarters of the places and no more.
func TestSessionsDoNotShutOutThoseWithoutAny(t *testing.T) {
	in(t, Config{Max: 4, Spare: 4}, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 3 {
			openSession(t, s, fmt.Sprint("t", i))
		}
		wantBusy(t, opening(t.Context(), s, "t3", 0), PinnedFull, 0)
		last := openSession(t, s, "t0") // whose container is pinned already
		for i := range 10 {
			run(t, s, fmt.Sprint("plain", i), 0)
		}
		last.Close()
		s.Stop("t1")
		synctest.Wait()
		openSession(t, s, "t3")
	})
	// Nor do the sessions of one tenant, however many containers it may have, or has to have one after the other.
	for name, p := range map[string]Policy{
		"several containers": {Containers: 4, Concurrency: 1},
		"of one call":        {MaxCalls: 1},
		"of three calls":     {MaxCalls: 3, Concurrency: 1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, Config{Max: 4, Policy: policies(map[string]Policy{"a": p}, Policy{})}, func(t *testing.T, w *world, s *Scheduler) {
				var calls []<-chan outcome
				for range 8 {
					calls = append(calls, opening(t.Context(), s, "a", time.Second))
				}
				time.Sleep(20 * time.Second)
				run(t, s, "b", 0)
				s.Stop("a")
				for _, job := range calls {
					o, busy := <-job, new(call.BusyError)
					if o.err != nil && (!errors.As(o.err, &busy) || busy.Reason != PinnedFull) {
						t.Error(o.err)
					}
				}
			})
		})
	}
}

func TestCallsOfSessionsCount(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		first := opening(t.Context(), s, "a", time.Second)
		wantAll(t, s, Stats{Tenants: 1, Busy: 1, Running: 1, Starts: 1})
		well(t, first)
		ss := openSession(t, s, "a")
		calls := []<-chan outcome{sendIn(t.Context(), ss, 3*time.Second), sendIn(t.Context(), ss, 0), send(t.Context(), s, "a", 0)}
		wantAll(t, s, Stats{Tenants: 1, Busy: 1, Sessions: 2, Running: 1, Queued: 1, Calls: 2, Starts: 1}) // the second comes after the first
		allWell(t, calls)
		s.mu.Lock()
		if mean := s.alloc.pace.meanRun; mean == 0 || mean != s.alloc.table.tenants["a"].meanRun {
			t.Errorf("calls of a take %v, all %v", time.Duration(s.alloc.table.tenants["a"].meanRun), time.Duration(mean))
		}
		s.mu.Unlock()
		ss.Close()
		want(t, s, "Sessions", 2) // that have not ended
		<-ss.Done()
		wantAll(t, s, Stats{Tenants: 1, Busy: 1, Sessions: 1, Calls: 5, Starts: 1})
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
		// one1 comes when one0 has ended, one2 when one1 has.
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
		sendIn(t.Context(), sessions[0], time.Hour)
		if o := run(t, s, "a", time.Second); o.queue != 0 { // a session's call takes one slot
			t.Errorf("a call beside it waited %v", o.queue)
		}
		send(t.Context(), s, "a", time.Hour)
		calls := []<-chan outcome{sendIn(t.Context(), sessions[1], 0), sendIn(t.Context(), sessions[2], 0), send(t.Context(), s, "a", 0)}
		wantBusy(t, sendIn(t.Context(), sessions[3], 0), QueueTenantFull, 0)
		wantBusy(t, send(t.Context(), s, "a", 0), QueueTenantFull, 0)
		for _, job := range calls {
			wantBusy(t, job, QueueTimeSpent, 30*time.Second)
		}
		wantAll(t, s, Stats{Tenants: 1, Busy: 1, Sessions: 4, Running: 2, Calls: 5, Refused: 5, Starts: 1})
	})
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1, Queue: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		sessions := []*session{openSession(t, s, "a"), openSession(t, s, "a"), openSession(t, s, "a")}
		well(t, sendIn(t.Context(), sessions[0], time.Second)) // so that the pace is known
		for _, ss := range sessions {
			sendIn(t.Context(), ss, time.Hour)
		}
		if after := wantBusy(t, send(t.Context(), s, "a", 0), QueueTenantFull, 0).RetryAfter; after != 3*time.Second {
			t.Errorf("retry after %v", after)
		}
	})
}

func TestCancelledCallOfASessionStopsWaiting(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		send(t.Context(), s, "a", 10*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		waits, next := sendIn(ctx, ss, 0), sendIn(t.Context(), ss, 0)
		if o := wantCancelled(t, waits, time.Second); o.queue != time.Second {
			t.Errorf("queue %v", o.queue)
		}
		wellAfter(t, next, 10*time.Second)
	})
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		held := hold(t, s, "a", plain)
		gone, end := waitingIn(t, ss)
		next := send(t.Context(), s, "a", 0)
		cancelBetween(s, gone, func() { s.alloc.complete(held, time.Now(), time.Now()) })
		wantCancelled(t, end, 0)
		wellAfter(t, next, 0)
		well(t, sendIn(t.Context(), ss, 0))
	})
}

// The caller keeps the order of a session's calls: a second call at once is a bug, also while the first one waits.
func TestSecondCallInFlightInASessionIsRefused(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		runs, waits := openSession(t, s, "a"), openSession(t, s, "a")
		calls := []<-chan outcome{sendIn(t.Context(), runs, time.Second), send(t.Context(), s, "a", time.Second), sendIn(t.Context(), waits, 0)}
		wantError(t, watchIn(t.Context(), runs, 0), errInFlight)
		wantError(t, watchIn(t.Context(), waits, 0), errInFlight)
		allWell(t, calls)
		well(t, watchIn(t.Context(), runs, 0))
	})
}

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
				beside, waits := sendIn(t.Context(), other, time.Second), send(t.Context(), s, "a", 0)
				test.end(ss)
				synctest.Wait()
				if o := wantError(t, watchIn(t.Context(), ss, 0), call.ErrNoSession); o.took != 0 {
					t.Errorf("refused after %v", o.took)
				}
				wantCancelled(t, running, test.over)
				<-ss.Done()
				wellAfter(t, waits, test.over) // it waited for the slot
				well(t, beside)
				want(t, s, "Sessions", 1)
			})
		})
	}
}

func TestWaitingCallOfASessionThatEndsIsRefused(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		send(t.Context(), s, "a", time.Second)
		waits, end := waitingIn(t, ss)
		next := send(t.Context(), s, "a", 0)
		ss.Close()
		s.expire(waits) // comes too late, and so does a cancel
		s.cancelWaiter(waits)
		if o := wantError(t, end, call.ErrNoSession); o.took != 0 {
			t.Errorf("refused after %v", o.took)
		}
		wellAfter(t, next, time.Second)
	})
}

func TestDeathOfAContainerEndsItsSessions(t *testing.T) {
	in(t, Config{Max: 3, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		ss, other := openSession(t, s, "a"), openSession(t, s, "b")
		running := sendIn(t.Context(), ss, time.Hour)
		behind, next := sendIn(t.Context(), ss, 0), send(t.Context(), s, "a", 0)
		time.Sleep(time.Second)
		ss.container.Container.(*fake).die()
		wantLost(t, running)
		<-ss.Done()
		wantError(t, behind, call.ErrNoSession)
		if o := well(t, next); o.container == ss.container.ID() {
			t.Error("the next ran in the dead one")
		}
		well(t, sendIn(t.Context(), other, 0))
		want(t, s, "Sessions", 1)
	})
}

// Nobody may think that a session is open that was opened in a container on its way out.
func TestSessionOpenedInAContainerOnItsWayOutIsLost(t *testing.T) {
	for name, test := range map[string]struct {
		p   Policy
		end func(*Scheduler, *container)
	}{
		"stopped":                         {Policy{}, func(s *Scheduler, _ *container) { s.Stop("a") }},
		"dead, and drained for its calls": {Policy{MaxCalls: 1}, func(_ *Scheduler, c *container) { c.Container.(*fake).die() }},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, Config{Max: 3, Spare: 1, Policy: all(test.p)}, func(t *testing.T, w *world, s *Scheduler) {
				c := hold(t, s, "a", opens)
				given := c.Container.(*fake).open()
				test.end(s, c)
				time.Sleep(w.closing)
				synctest.Wait()
				lost := new(call.LostError)
				if _, err := s.completeOpening(c, given, nil, time.Now()); !errors.As(err, &lost) || !lost.Started {
					t.Errorf("got %v", err)
				}
				want(t, s, "Sessions", 0)
			})
		})
	}
}
