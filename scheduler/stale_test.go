package scheduler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// flow makes calls of that length, one after the other, until stopped; each has to succeed.
func flow(t *testing.T, s *Scheduler, tenant string, length time.Duration) (stop func() map[string]int) {
	t.Helper()
	ended := make(chan struct{})
	quit := make(chan struct{})
	in := map[string]int{}
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			default:
			}
			res, err := execute(t.Context(), s, tenant, call.Call{Script: []byte(tenant), Timeout: length})
			if err != nil {
				t.Errorf("call of %s: %v", tenant, err)
				return
			}
			in[res.Container]++
		}
	}()
	return func() map[string]int {
		close(quit)
		<-ended
		return in
	}
}

func TestContainersAreReplacedAtTheirAge(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{MaxAge: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		stop := flow(t, s, "a", 700*time.Millisecond)
		run(t, s, "idle", 0)
		time.Sleep(time.Hour)
		if n := len(stop()); n < 60 || n > 150 { // a spare has an age when it becomes a tenant's
			t.Errorf("%d containers in an hour", n)
		}
		for _, f := range w.containers()[:3] {
			if !f.isDead() {
				t.Errorf("%s, of %q, lives", f.id, f.owner())
			}
		}
		wantStats(t, s, "spare", spares, 1)
	})
}

func TestSessionsOutliveTheAgeOfTheirContainer(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{MaxAge: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		old := run(t, s, "a", 0)
		ss := openSession(t, s, "a")
		time.Sleep(time.Hour)
		if o := well(t, sendIn(t.Context(), ss, 0)); o.container != old.container {
			t.Errorf("the session went from %s to %s", old.container, o.container)
		}
		if o := run(t, s, "a", 0); o.container == old.container {
			t.Error("a call of its own went to the old container")
		}
		ss.Close()
		time.Sleep(time.Second)
		if f := w.containers()[0]; f.id != old.container || !f.isDead() {
			t.Errorf("%s lives", f.id)
		}
	})
}

func TestContainersGetNoMoreThanTheirCalls(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{MaxCalls: 3, Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for range 20 {
			calls = append(calls, send(t.Context(), s, "a", time.Second))
		}
		in := map[string]int{}
		for _, job := range calls {
			in[well(t, job).container]++
		}
		if len(in) != 7 {
			t.Errorf("calls by container: %v", in)
		}
		for id, n := range in {
			if n > 3 {
				t.Errorf("%d calls in %s", n, id)
			}
		}
	})
}

func TestOneCallForAContainerIsOnce(t *testing.T) {
	in(t, Config{Max: 4, Spare: 2, Policy: all(Policy{MaxCalls: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for range 6 {
			calls = append(calls, send(t.Context(), s, "a", time.Second))
		}
		in := map[string]bool{}
		for _, job := range calls {
			o := well(t, job)
			if in[o.container] {
				t.Errorf("two calls in %s", o.container)
			}
			in[o.container] = true
		}
	})
}

func TestUpdateChangesTheAgeOfSpares(t *testing.T) {
	age := time.Hour
	policy := func(string) Policy { return Policy{MaxAge: age} }
	in(t, Config{Max: 3, Spare: 1, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		s.mu.Lock()
		age = time.Minute
		s.mu.Unlock()
		s.Update()
		time.Sleep(2 * time.Minute)
		if !w.containers()[0].isDead() {
			t.Error("a spare of before is older than it may be now")
		}
	})
}

// Rolling: new containers are of the new class, those that work go on until there is another, and no call fails.
func TestUpdateRollsClassesWithoutFailingACall(t *testing.T) {
	in(t, Config{Max: 12, Spare: 2, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		var stops []func() map[string]int
		for _, tenant := range []string{"a", "b", "c", "gpu:d"} {
			stops = append(stops, flow(t, s, tenant, 700*time.Millisecond), flow(t, s, tenant, 300*time.Millisecond))
		}
		run(t, s, "idle", 0)
		held := openSession(t, s, "held")
		time.Sleep(10 * time.Second)
		before := w.containers()
		w.roll("")
		if err := s.Canary(t.Context(), w.generation("")); err != nil {
			t.Fatal(err)
		}
		s.Update()
		time.Sleep(30 * time.Second)
		for _, f := range before {
			keeps := f.class != "" || f.id == held.container.ID()
			if f.isDead() == keeps {
				t.Errorf("%s, of class %q and %q: dead: %v", f.id, f.class, f.owner(), f.isDead())
			}
		}
		well(t, sendIn(t.Context(), held, 0))
		if o := run(t, s, "held", 0); o.container == held.container.ID() {
			t.Error("a call went to the old container, which a session holds")
		}
		for _, stop := range stops {
			stop()
		}
		for _, f := range w.containers()[len(before):] {
			if f.class != "@1" && f.class != "gpu" {
				t.Errorf("%s was started of class %q", f.id, f.class)
			}
		}
		wantStats(t, s, "deaths", func(st Stats) int { return int(st.Deaths) }, 0)
	})
}

// Where all places are taken by tenants that never stop, their containers are replaced in their own places, a few at a time.
func TestUpdateRollsWhereNoPlaceIsFree(t *testing.T) {
	in(t, Config{Max: 3, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		var stops []func() map[string]int
		for _, tenant := range []string{"a", "b", "c"} {
			stops = append(stops, flow(t, s, tenant, 700*time.Millisecond), flow(t, s, tenant, 300*time.Millisecond))
		}
		time.Sleep(10 * time.Second)
		w.roll("")
		s.Update()
		time.Sleep(30 * time.Second)
		for _, f := range w.containers()[:3] {
			if !f.isDead() {
				t.Errorf("%s, of %q, lives", f.id, f.owner())
			}
		}
		for _, stop := range stops {
			stop()
		}
	})
}

// Who wants one more container where no place is free may wait for ever; those who wait behind it for one instead
// of a worn one do not.
func TestWornContainersAreReplacedBehindATenantThatWantsMore(t *testing.T) {
	policy := policies(map[string]Policy{"old": {Concurrency: 1, MaxAge: time.Minute}}, Policy{Concurrency: 1, Containers: 2})
	in(t, Config{Max: 2, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		var stops []func() map[string]int
		for _, tenant := range []string{"old", "old", "wide", "wide", "wide"} {
			stops = append(stops, flow(t, s, tenant, 700*time.Millisecond))
		}
		time.Sleep(10 * time.Minute)
		stops[1]()
		if n := len(stops[0]()); n < 5 {
			t.Errorf("%d containers in 10 minutes", n)
		}
		for _, stop := range stops[2:] {
			stop()
		}
	})
}

func TestTryGivesUpAClassThatDoesNotStart(t *testing.T) {
	in(t, Config{Max: 3, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		stop := flow(t, s, "a", 100*time.Millisecond)
		w.breakClass("bad", errEngine)
		if err := s.Canary(t.Context(), "bad"); !errors.Is(err, errEngine) {
			t.Errorf("a start that fails: %v", err)
		}
		w.breakClass("bad", nil)
		w.stickClass("bad", true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Canary(ctx, "bad"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a start that hangs: %v", err)
		}
		time.Sleep(2 * time.Minute)
		w.stickClass("bad", false)
		if err := s.Canary(t.Context(), "bad"); err != nil {
			t.Errorf("a start that succeeds: %v", err)
		}
		time.Sleep(2 * spareTTL)
		synctest.Wait()
		stop()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.alloc.table.profiles) != 1 {
			t.Errorf("%d classes are left", len(s.alloc.table.profiles))
		}
	})
}

func TestUpdateTakesContainersBeyondTheNewLimit(t *testing.T) {
	most := 3
	policy := func(string) Policy { return Policy{Concurrency: 1, Containers: most} }
	in(t, Config{Max: 4, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for range 3 {
			calls = append(calls, send(t.Context(), s, "a", time.Minute))
		}
		time.Sleep(10 * time.Second)
		wantStats(t, s, "busy", func(st Stats) int { return st.Busy }, 3)
		s.mu.Lock()
		most = 1
		s.mu.Unlock()
		s.Update()
		wantStats(t, s, "busy", func(st Stats) int { return st.Busy }, 1)
		for _, job := range calls {
			well(t, job)
		}
	})
}
