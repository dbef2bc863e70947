package scheduler

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

func TestNewTenantGetsASpareAtOnce(t *testing.T) {
	in(t, Config{Max: 4, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		if o := run(t, s, "a", time.Millisecond); o.took != time.Millisecond {
			t.Errorf("took %v", o.took)
		}
	})
}

func TestSparesAreRefilledAtOnceAsFarAsMaxAllows(t *testing.T) {
	in(t, Config{Max: 4, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		for i, tenant := range []string{"a", "b", "c", "d"} {
			wantStats(t, s, "spares", spares, min(2, 4-i))
			run(t, s, tenant, time.Millisecond)
			wantStats(t, s, "starting", func(st Stats) int { return st.Starting }, min(1, max(0, 2-i)))
			time.Sleep(300 * time.Millisecond)
		}
		wantStats(t, s, "ready", ready, 4)
	})
}

func TestMinContainersExistAndAreTheSparesOfATenantToCome(t *testing.T) {
	in(t, Config{Max: 8, Min: 5}, func(t *testing.T, w *world, s *Scheduler) {
		wantStats(t, s, "spares", spares, 5)
		run(t, s, "a", time.Millisecond)
		time.Sleep(time.Second)
		wantStats(t, s, "ready", ready, 5)
	})
}

func TestMaxBoundsMinAndSpare(t *testing.T) {
	in(t, Config{Max: 3, Min: 5, Spare: 5}, func(t *testing.T, w *world, s *Scheduler) {
		wantStats(t, s, "ready", ready, 3)
	})
}

func TestTenantKeepsItsContainer(t *testing.T) {
	in(t, Config{Max: 4, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		first := run(t, s, "a", time.Millisecond)
		run(t, s, "b", time.Millisecond)
		if again := run(t, s, "a", time.Millisecond); again.container != first.container {
			t.Errorf("ran in %s, then in %s", first.container, again.container)
		}
	})
}

func TestNewContainerBelowMaxWhereThereIsNoSpare(t *testing.T) {
	in(t, Config{Max: 2}, func(t *testing.T, w *world, s *Scheduler) {
		if o := run(t, s, "a", 0); o.took != 300*time.Millisecond {
			t.Errorf("took %v, a start takes 300ms", o.took)
		}
	})
}

func TestLongestIdleGivesWay(t *testing.T) {
	in(t, Config{Max: 3}, func(t *testing.T, w *world, s *Scheduler) {
		a, b := run(t, s, "a", 0), run(t, s, "b", 0)
		run(t, s, "c", 0)
		run(t, s, "a", 0) // now b is idle longest
		if o := run(t, s, "d", 0); o.took != 380*time.Millisecond {
			t.Errorf("took %v, closing takes 80ms and a start 300ms", o.took)
		}
		if again := run(t, s, "a", 0); again.container != a.container {
			t.Error("a has lost its container")
		}
		if again := run(t, s, "b", 0); again.container == b.container {
			t.Error("b has kept its container")
		}
	})
}

// No more give way than there are starts that can use their places: the others stay with who has them.
func TestNoMoreGiveWayThanStartsCanUse(t *testing.T) {
	in(t, Config{Max: 12, Starts: 2}, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 12 {
			run(t, s, string(rune('a'+i)), 0)
		}
		var flood []<-chan outcome
		for range 50 {
			flood = append(flood, sendOnce(t.Context(), s, "flood", 0))
		}
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			if st := s.Stats(); st.Starting+ready(st)+st.Closing < 12-3 {
				t.Fatalf("%d places are free, while %d starts go on and %d containers gave way",
					12-st.Starting-ready(st)-st.Closing, st.Starting, st.Evictions)
			}
		}
		for _, call := range flood {
			well(t, call)
		}
	})
}

func TestBusyContainerDoesNotGiveWayWithinItsTurn(t *testing.T) {
	in(t, Config{Max: 1, TimeSlice: 10 * time.Second}, func(t *testing.T, w *world, s *Scheduler) {
		a := send(t.Context(), s, "a", 5*time.Second)
		time.Sleep(time.Second)
		b := run(t, s, "b", 0)
		if o := <-a; o.err != nil {
			t.Errorf("a: %v", o.err)
		}
		// a began after a start; b waited for the rest, a closing and a start.
		if want := 4*time.Second + 300*time.Millisecond + 380*time.Millisecond; b.took != want {
			t.Errorf("b took %v, want %v", b.took, want)
		}
	})
}

func TestTenantThatIsNeverIdleGivesWayAfterItsTurn(t *testing.T) {
	in(t, Config{Max: 1, TimeSlice: 3 * time.Second, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		var flood []<-chan outcome
		for range 100 {
			flood = append(flood, send(t.Context(), s, "a", 200*time.Millisecond))
		}
		if b := run(t, s, "b", 0); b.took > 4*time.Second {
			t.Errorf("b waited %v behind a's flood", b.took)
		}
		for _, ch := range flood {
			if o := <-ch; o.err != nil {
				t.Errorf("a: %v", o.err)
			}
		}
	})
}

// Places of containers that are on their way out count for those that wait, but not while calls go on in them and others are idle.
func TestIdleContainerGivesWayThoughARetiredOneHasCalls(t *testing.T) {
	policy := policies(map[string]Policy{"twice": {MaxCalls: 2}}, Policy{Concurrency: 1})
	in(t, Config{Max: 2, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "twice", 0)
		send(t.Context(), s, "twice", time.Minute) // and no more calls
		run(t, s, "idle", 0)
		if o := run(t, s, "comes", 0); o.took > 10*time.Second {
			t.Errorf("waited %v for the end of a call of another, while a container was idle", o.took)
		}
	})
	in(t, Config{Max: 2, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		send(t.Context(), s, "long", time.Minute)
		short := send(t.Context(), s, "short", 5*time.Second)
		comes := send(t.Context(), s, "comes", 0) // long's turn ends for it
		well(t, short)
		if o := well(t, comes); o.took > 10*time.Second {
			t.Errorf("waited %v for the end of the longest call, while a container was idle", o.took)
		}
	})
}

func TestStartsAtOnceAreBounded(t *testing.T) {
	in(t, Config{Max: 20, Starts: 3}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for i := range 10 {
			calls = append(calls, send(t.Context(), s, string(rune('a'+i)), 0))
			wantStats(t, s, "starting", func(st Stats) int { return st.Starting }, min(i+1, 3))
		}
		for _, ch := range calls {
			if o := <-ch; o.err != nil {
				t.Error(o.err)
			}
		}
	})
}

func TestDeadSpareIsReplaced(t *testing.T) {
	in(t, Config{Max: 4, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		w.containers()[0].die()
		wantStats(t, s, "spares", spares, 1)
		time.Sleep(300 * time.Millisecond)
		wantStats(t, s, "spares", spares, 2)
		if o := run(t, s, "a", 0); o.container == w.containers()[0].id {
			t.Error("got the dead one")
		}
	})
}

func TestSparesThatDieYoungAreReplacedWithBackoff(t *testing.T) {
	in(t, Config{Max: 4}, func(t *testing.T, w *world, s *Scheduler) {
		s.mu.Lock()
		s.cfg.Spare = 1
		s.alloc.balance(time.Now())
		s.mu.Unlock()
		for range 100 {
			time.Sleep(300 * time.Millisecond)
			synctest.Wait()
			for _, f := range w.containers() {
				f.die()
			}
			synctest.Wait()
		}
		if starts, _ := w.count(); starts > 10 {
			t.Errorf("%d starts in 30 s", starts)
		}
		if err := s.Ready(); err == nil {
			t.Error("ready, with containers that die at oneShot")
		}
	})
}

func TestDeathUnderACallIsPassedOnAndTheNextCallWorks(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		other := run(t, s, "b", 0)
		time.Sleep(time.Second)
		running, next := send(t.Context(), s, "a", time.Minute), send(t.Context(), s, "a", time.Second)
		for _, f := range w.containers() {
			if f.owner() == "a" {
				f.die()
			}
		}
		var lost *call.LostError
		if o := <-running; !errors.As(o.err, &lost) || !lost.Started {
			t.Errorf("call in the dead container: %v", o.err)
		}
		if o := <-next; o.err != nil {
			t.Errorf("call that waited: %v", o.err)
		}
		if again := run(t, s, "b", 0); again.container != other.container {
			t.Error("another tenant's container is gone")
		}
	})
}

// The death of an idle container and a call may meet: the container is chosen before its goroutine
// can take it out of the table.
func TestCallGivenToADeadContainerRunsInAnother(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "a", 0)
		time.Sleep(time.Second)
		s.mu.Lock()
		dead := s.alloc.table.tenants["a"].containers[0]
		s.alloc.pool.acquire(dead, plain)
		dead.Container.(*fake).die()
		s.mu.Unlock()
		if o := well(t, moved(s, dead, plain, 0)); o.container == dead.ID() {
			t.Error("ran in the dead one")
		}
		wantStats(t, s, "deaths", func(st Stats) int { return int(st.Deaths) }, 1)
		time.Sleep(time.Second)
		wantStats(t, s, "closing", func(st Stats) int { return st.Closing }, 0)
	})
}

// The same with calls waiting, and a spare at hand: taking the spare at oneShot left the tenant in
// turns with all the containers it may have.
func TestCallGivenToADeadContainerGoesBeforeThoseThatWait(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		dead := hold(t, s, "a", plain)
		next := send(t.Context(), s, "a", 0)
		time.Sleep(time.Second)
		first := moved(s, dead, plain, time.Second) // before its goroutine sees the death
		wantStats(t, s, "waiting for a container", func(st Stats) int { return st.TenantsWaiting }, 0)
		if o := well(t, first); o.took != time.Second {
			t.Errorf("took %v", o.took)
		}
		if o := well(t, next); o.took != 2*time.Second {
			t.Errorf("the next took %v", o.took)
		}
	})
}

// A call may find its container dead before the container's own goroutine does. What takes its place
// must be started then, not only when the dead one is closed.
func TestContainerFoundDeadByItsCallIsReplacedAtOnce(t *testing.T) {
	in(t, Config{Max: 2, Min: 1}, func(t *testing.T, w *world, s *Scheduler) {
		c := hold(t, s, "a", plain)
		s.mu.Lock() // keeps the container's goroutine out
		c.Container.(*fake).die()
		s.alloc.release(c, time.Now())
		starting := s.alloc.table.base.starting
		s.mu.Unlock()
		if starting != 1 {
			t.Errorf("%d starting, want 1", starting)
		}
	})
}
