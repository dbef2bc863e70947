package scheduler

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jsd-project/jsd/call"
)

// That a session runs one call at a time, and that no container ends under a session but by Stop and
// Close, is checked by the world, in every test.

func TestSessionIsInTheContainerOfItsTenant(t *testing.T) {
	in(t, Config{Max: 2, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		inside, plain := well(t, sendIn(t.Context(), ss, time.Second)), run(t, s, "a", 0)
		if inside.container != plain.container || inside.took != time.Second {
			t.Errorf("a call ran in %s, one in the session in %s after %v", plain.container, inside.container, inside.took)
		}
		if inside.cold || plain.cold {
			t.Error("a call after the one that opened the session is said to be the container's first")
		}
	})
}

func TestOpeningASessionWaitsAsCallsDo(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1, Queue: 3})}, func(t *testing.T, w *world, s *Scheduler) {
		send(t.Context(), s, "a", 50*time.Second)
		gives, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gaveUp, spent := opening(gives, s, "a", 0), opening(t.Context(), s, "a", 0)
		send(t.Context(), s, "a", 0)
		var busy *call.BusyError
		if o := <-opening(t.Context(), s, "a", 0); !errors.As(o.err, &busy) || busy.Reason != QueueTenantFull {
			t.Errorf("beyond the bound: %v", o.err)
		}
		if o := <-gaveUp; !wasCancelled(o.err) || o.took != time.Second {
			t.Errorf("gave up: %v after %v", o.err, o.took)
		}
		if o := <-spent; !errors.As(o.err, &busy) || busy.Reason != QueueTimeSpent || o.took != 30*time.Second {
			t.Errorf("waited too long: %v after %v", o.err, o.took)
		}
		last := opening(t.Context(), s, "a", time.Second)
		if o := well(t, last); o.took != 21*time.Second {
			t.Errorf("the last one took %v", o.took)
		}
	})
}

func TestSessionThatDoesNotOpenHoldsNothing(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if o := <-opening(ctx, s, "a", time.Hour); !wasCancelled(o.err) {
			t.Error(o.err)
		}
		want := Stats{Tenants: 1, Idle: 1, Calls: 1, Starts: 1}
		if st := s.Stats(); st != want {
			t.Errorf("got %+v\nwant %+v", st, want)
		}
	})
}

func TestSessionIgnoresOnce(t *testing.T) {
	in(t, Config{Max: 2, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		ss, _, err := tryOpen(t.Context(), s, "a", call.Call{OneShot: true})
		if err != nil {
			t.Fatal(err)
		}
		if o := run(t, s, "a", 0); o.container != ss.(*session).container.ID() {
			t.Error("the session has a container for itself")
		}
	})
}

func TestContainerWithASessionIsNotRecycled(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		ss := openSession(t, s, "a")
		time.Sleep(time.Hour)
		well(t, sendIn(t.Context(), ss, 0))
		ss.Close()
		<-ss.Done()
		time.Sleep(59 * time.Second)
		wantStats(t, s, "idle, within the timeout", func(st Stats) int { return st.Idle }, 1)
		time.Sleep(2 * time.Second)
		wantStats(t, s, "recycled", func(st Stats) int { return int(st.Recycled) }, 1)
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
		wantStats(t, s, "evictions", func(st Stats) int { return int(st.Evictions) }, 0)
		other.Close()
		if o := well(t, b); o.took != 20*time.Minute+2*sessionEnds+380*time.Millisecond {
			t.Errorf("b took %v", o.took)
		}
	})
}

// The calls in it would go on in their turn, but the session could not.
func TestContainerWithASessionIsNotTurnedOver(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, TimeSlice: time.Second, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		open := opening(t.Context(), s, "a", time.Minute)
		long := send(t.Context(), s, "a", 30*time.Minute)
		b := send(t.Context(), s, "b", 0)
		well(t, open) // which took longer than a turn
		s.mu.Lock()
		ss := &session{s, s.alloc.pool.pinned.front().pins.front()}
		s.mu.Unlock()
		time.Sleep(time.Minute)
		well(t, sendIn(t.Context(), ss, 0))
		if o := run(t, s, "a", 0); o.container != ss.container.ID() {
			t.Error("a has got another container")
		}
		ss.Close()
		<-ss.Done()
		wantStats(t, s, "closing, within a turn", func(st Stats) int { return st.Closing }, 0)
		time.Sleep(time.Second)
		wantStats(t, s, "closing, after it", func(st Stats) int { return st.Closing }, 1)
		well(t, long)
		well(t, b)
	})
}

// Neither does a session that is never idle keep a slot to itself, nor a flood of calls keep it out.
// A slot may be granted in the moment its caller gives up.
func TestSlotForASessionWhoseCallerIsGoneHoldsNothing(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		held := hold(t, s, "a", plain)
		gone, end := waiting(t, s, "a", opens)
		cancelBetween(s, gone, func() { s.alloc.complete(held, time.Now(), time.Now()) })
		if o := <-end; !wasCancelled(o.err) {
			t.Error(o.err)
		}
		wantStats(t, s, "idle", func(st Stats) int { return st.Idle }, 1)
	})
}

func TestSessionGivenADeadContainerOpensInAnother(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		s.mu.Lock() // keeps the container's goroutine out
		dead := s.alloc.acquire(s.alloc.table.tenant("a", plain), opens)
		dead.Container.(*fake).die()
		s.mu.Unlock()
		end := moved(s, dead, opens, 10*time.Second)
		time.Sleep(time.Second) // for a start, at most
		s.mu.Lock()
		c := s.alloc.table.tenants["a"].containers[0]
		if c == dead || c.opening != 1 || dead.opening != 0 {
			t.Errorf("opens in %s, %d in it, %d in the dead one", c.ID(), c.opening, dead.opening)
		}
		s.mu.Unlock()
		c.Container.(*fake).die()
		var lost *call.LostError
		if o := <-end; !errors.As(o.err, &lost) || o.container != c.ID() {
			t.Errorf("%v, in %s", o.err, o.container)
		}
		wantStats(t, s, "opening", func(st Stats) int { return st.Running }, 0)
	})
}

// And oneShot more in the moment its caller gives up.
