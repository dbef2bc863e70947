package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errImage = errors.New("no such image")

func wantBegan(t *testing.T, w *world, want string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := fmt.Sprintf("%q", w.began); got != want {
		t.Errorf("began %v, want %v", got, want)
	}
}

func TestTenantGetsNoSpareOfAnotherProfile(t *testing.T) {
	in(t, Config{Max: 4, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		first := wellAfter(t, send(t.Context(), s, "gpu:a", 0), 300*time.Millisecond)
		if again := run(t, s, "gpu:a", 0); again.container != first.container {
			t.Errorf("ran in %s after %s", again.container, first.container)
		}
		time.Sleep(time.Second)
		want(t, s, "Spare", 2)
		wantBegan(t, w, `["" "" "gpu"]`)
	})
}

func TestProfileWhoseFirstTenantWaitsLongestStartsFirst(t *testing.T) {
	in(t, Config{Max: 20, Spare: 1, Starts: 1}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for _, tenant := range []string{"a", "gpu:a", "gpu:b", "b", "old:a", "gpu:c"} { // a gets the spare
			calls = append(calls, send(t.Context(), s, tenant, time.Minute))
			time.Sleep(time.Millisecond)
		}
		allWell(t, calls)
		// The first two are spares; all that anybody waits for goes before the last.
		wantBegan(t, w, `["" "" "gpu" "gpu" "old" "gpu" ""]`)
	})
}

func TestAtMaxAContainerOfAnotherProfileGivesWay(t *testing.T) {
	cancelled := func(t *testing.T, s *Scheduler, tenant string) {
		sendFor(t, s, tenant, 100*time.Millisecond)
		time.Sleep(2 * time.Second)
	}
	tests := []struct {
		name   string
		cfg    Config
		before func(t *testing.T, s *Scheduler)
		tenant string
		left   Stats // of these, what is there after
	}{
		{"a spare that another profile has no use for, before an idle one", Config{Max: 2},
			func(t *testing.T, s *Scheduler) { run(t, s, "a", 0); cancelled(t, s, "gpu:a") }, "old:a", Stats{Idle: 2}},
		{"a spare beyond need of the default profile, before an idle one", Config{Max: 3, Spare: 1},
			func(t *testing.T, s *Scheduler) { run(t, s, "a", 0); cancelled(t, s, "b") }, "gpu:a", Stats{Idle: 2, Spare: 1}},
		{"an idle one, before a spare that is kept ready", Config{Max: 2, Spare: 1},
			func(t *testing.T, s *Scheduler) { run(t, s, "a", 0); time.Sleep(time.Second) }, "gpu:a", Stats{Idle: 1, Spare: 1}},
		{"a spare that is kept ready, where nothing else is", Config{Max: 1, Spare: 1},
			func(t *testing.T, s *Scheduler) {}, "gpu:a", Stats{Idle: 1}},
		{"one of the least that are to exist", Config{Max: 2, Min: 2},
			func(t *testing.T, s *Scheduler) { send(t.Context(), s, "a", time.Minute) }, "gpu:a", Stats{Busy: 1, Idle: 1}},
		{"a spare that is kept ready, before one that was busy for a time slice", Config{Max: 2, Spare: 1, TimeSlice: time.Second},
			func(t *testing.T, s *Scheduler) { send(t.Context(), s, "a", time.Minute); time.Sleep(2 * time.Second) }, "gpu:a", Stats{Busy: 1, Idle: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Policy = all(Policy{Concurrency: 1})
			in(t, test.cfg, func(t *testing.T, w *world, s *Scheduler) {
				test.before(t, s)
				wellAfter(t, send(t.Context(), s, test.tenant, 0), 380*time.Millisecond) // closing takes 80 ms and a start 300
				st := s.Stats()
				if got := (Stats{Idle: st.Idle, Busy: st.Busy, Spare: st.Spare}); got != test.left {
					t.Errorf("left %+v, want %+v", got, test.left)
				}
				want(t, s, "Evictions", 1)
			})
		})
	}
}

func TestSpareThatGaveWayIsReplacedWhenThereIsRoom(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "gpu:a", 0)
		time.Sleep(59 * time.Second)
		wantBegan(t, w, `["" "gpu"]`)
		time.Sleep(2 * time.Second)
		want(t, s, "Spare", 1)
		wellAfter(t, send(t.Context(), s, "a", 0), 0)
	})
}

func TestTenantsAndProfilesAreForgotten(t *testing.T) {
	in(t, Config{Max: 2, QueueAll: 4, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for i := range 50 { // some calls are refused, some are cancelled, some run
			send(ctx, s, fmt.Sprintf("profile %d:a", i), 0)
			send(t.Context(), s, fmt.Sprintf("profile %d:b", i%25), 0)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if st := s.Stats(); st.Calls == 0 || st.Refused == 0 {
			t.Errorf("not every kind of end was tried: %+v", st)
		}
		if table := &s.alloc.table; len(table.tenants) != 0 || len(table.profiles) != 1 {
			t.Errorf("%d tenants, %d profiles in the table", len(table.tenants), len(table.profiles))
		}
	})
}

func TestPolicyIsAskedForAgainWhenATenantComesBack(t *testing.T) {
	var asked int
	policy := func(tenant string) Policy {
		if tenant != "" {
			asked++
		}
		return Policy{IdleTimeout: time.Minute}
	}
	in(t, Config{Max: 4, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 2 {
			for range 3 {
				run(t, s, "a", 0)
				runOneShot(t, s, "a", 0)
			}
			if asked != i+1 {
				t.Errorf("asked %d times", asked)
			}
			time.Sleep(2 * time.Minute)
			w.roll("") // Update is not told
		}
		if last := w.containers()[len(w.containers())-1]; last.profile != "@1" {
			t.Errorf("the last start was of profile %q", last.profile)
		}
	})
}

func TestFailingStartsBackOffAndRecover(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{QueueTime: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		w.takes = func() time.Duration { return 0 }
		w.breakStarts("", errEngine)
		waits := send(t.Context(), s, "a", 0)
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
		w.breakStarts("", nil)
		well(t, waits)
		if err := s.Ready(); err != nil {
			t.Errorf("Ready after recovery: %v", err)
		}
		wellAfter(t, send(t.Context(), s, "b", 0), 0) // no start is put off any more
	})
	in(t, Config{Max: 4, Policy: all(Policy{QueueTime: time.Second})}, func(t *testing.T, w *world, s *Scheduler) { // though nobody waits
		w.breakStarts("", errEngine)
		<-send(t.Context(), s, "a", 0)
		time.Sleep(time.Minute)
		if err := s.Ready(); !errors.Is(err, errEngine) {
			t.Errorf("Ready: %v", err)
		}
		w.breakStarts("", nil)
		time.Sleep(lastBackoff + time.Second)
		synctest.Wait()
		if err := s.Ready(); err != nil {
			t.Errorf("Ready: %v", err)
		}
	})
}

func TestCallThatWaitsWhileStartsFailIsBusyWithTheCause(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{QueueTime: 5 * time.Second})}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakStarts("", errEngine)
		busy := wantBusy(t, send(t.Context(), s, "a", 0), QueueTimeSpent, 5*time.Second)
		if next := time.Until(s.alloc.table.base.retryAt); !errors.Is(busy, errEngine) || busy.RetryAfter < next {
			t.Errorf("%v, retry after %v, but there is no start before %v", busy, busy.RetryAfter, next)
		}
	})
	in(t, Config{Max: 2, TimeSlice: time.Hour, Policy: all(Policy{QueueTime: 5 * time.Second, Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakStarts("gpu", errImage)
		for _, tenant := range []string{"a", "b"} {
			send(t.Context(), s, tenant, time.Minute)
		}
		failing, waits := send(t.Context(), s, "gpu:a", 0), send(t.Context(), s, "a", 0)
		if busy := wantBusy(t, waits, QueueTimeSpent, 5*time.Second); busy.Cause != nil { // its own profile starts
			t.Error(busy)
		}
		<-failing
	})
}

func TestStartsThatFailTogetherCountAsOneAndAreTriedAgainOneByOne(t *testing.T) {
	in(t, Config{Max: 8, Starts: 4}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakStarts("", errEngine)
		for _, tenant := range []string{"a", "b", "c", "d"} {
			send(t.Context(), s, tenant, 0)
		}
		want(t, s, "Starting", 4)
		time.Sleep(300 * time.Millisecond)
		want(t, s, "Failed", 4)
		time.Sleep(firstBackoff)
		want(t, s, "Starting", 1)
		w.breakStarts("", nil)
		time.Sleep(300 * time.Millisecond)
		want(t, s, "Starting", 3)
	})
}

func TestNothingThatWorksIsGivenUpWhileStartsFail(t *testing.T) {
	in(t, Config{Max: 2, Policy: all(Policy{QueueTime: 2 * time.Second})}, func(t *testing.T, w *world, s *Scheduler) {
		a := run(t, s, "a", 0)
		w.breakStarts("", errEngine)
		calls := []<-chan outcome{send(t.Context(), s, "b", 0)}
		time.Sleep(time.Second)
		calls = append(calls, send(t.Context(), s, "c", 0), send(t.Context(), s, "d", 0))
		for _, job := range calls {
			<-job
		}
		if again := wellAfter(t, send(t.Context(), s, "a", 0), 0); again.container != a.container {
			t.Errorf("a ran in %s, then in %s", a.container, again.container)
		}
	})
}

func TestStartThatHangsHasFailed(t *testing.T) {
	in(t, Config{Max: 1, StartTime: 5 * time.Second}, func(t *testing.T, w *world, s *Scheduler) {
		w.stickStarts("", true)
		waits := send(t.Context(), s, "a", 0)
		time.Sleep(time.Second)
		w.stickStarts("", false)
		if o := well(t, waits); o.took < 5*time.Second || o.took > 6*time.Second {
			t.Errorf("after %v", o.took)
		}
	})
}

func TestFailingProfileLeavesOthersAlone(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{QueueTime: 5 * time.Second})}, func(t *testing.T, w *world, s *Scheduler) {
		w.takes = func() time.Duration { return 0 }
		w.breakStarts("gpu", errImage)
		failing := send(t.Context(), s, "gpu:a", 0)
		time.Sleep(time.Second)
		run(t, s, "a", 0)
		for _, tenant := range []string{"b", "old:a"} {
			wellAfter(t, send(t.Context(), s, tenant, 0), 0) // no start of theirs is put off
		}
		if err := s.Ready(); err != nil {
			t.Errorf("Ready: %v", err)
		}
		if busy := wantBusy(t, failing, QueueTimeSpent, 5*time.Second); !errors.Is(busy, errImage) {
			t.Error(busy)
		}
	})
	for _, cfg := range []Config{{Max: 1, Starts: 2}, {Max: 2, Starts: 1}} { // its place, or its part of the starts, is for others
		in(t, cfg, func(t *testing.T, w *world, s *Scheduler) {
			w.breakStarts("gpu", errImage)
			send(t.Context(), s, "gpu:a", 0)
			wellAfter(t, send(t.Context(), s, "a", 0), 600*time.Millisecond) // two starts
		})
	}
}

func TestEachProfileBacksOffByItself(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		w.takes = func() time.Duration { return 0 }
		w.breakStarts("gpu", errImage)
		w.breakStarts("old", errImage)
		first := send(t.Context(), s, "gpu:a", 0)
		time.Sleep(time.Minute) // its back-off is long now
		for before, _ := w.count(); ; time.Sleep(10 * time.Millisecond) {
			if starts, _ := w.count(); starts > before {
				break // and has just begun
			}
		}
		second := send(t.Context(), s, "old:a", 0)
		time.Sleep(2 * firstBackoff)
		began := time.Now()
		w.breakStarts("gpu", nil)
		w.breakStarts("old", nil)
		if o := well(t, second); time.Since(began) > 4*firstBackoff {
			t.Errorf("old:a took %v", o.took)
		}
		if well(t, first); time.Since(began) < lastBackoff/10 || time.Since(began) > lastBackoff {
			t.Errorf("gpu:a began after %v", time.Since(began))
		}
		wellAfter(t, send(t.Context(), s, "gpu:b", 0), 0) // no start is put off any more
	})
}

// With calls that are cancelled soon, nobody waits when the next start is due.
func TestBackOffOutlivesTheCallsItKeepsWaiting(t *testing.T) {
	in(t, Config{Max: 4}, func(t *testing.T, w *world, s *Scheduler) {
		w.takes = func() time.Duration { return 0 }
		w.breakStarts("gpu", errImage)
		for range 3000 { // in 30 s
			sendFor(t, s, "gpu:a", time.Millisecond)
			time.Sleep(9 * time.Millisecond)
		}
		if starts, _ := w.count(); starts < 8 || starts > 12 {
			t.Errorf("%d starts", starts)
		}
		time.Sleep(3 * lastBackoff)
		synctest.Wait()
		if len(s.alloc.table.profiles) != 1 {
			t.Errorf("%d profiles in the table", len(s.alloc.table.profiles))
		}
	})
}

func TestProfilesWhoseStartsHangLeaveOneToOthers(t *testing.T) {
	in(t, Config{Max: 9, Starts: 2, StartTime: 10 * time.Second, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		for _, kind := range []string{"gpu", "old", "odd"} {
			w.stickStarts(kind, true)
			send(t.Context(), s, kind+":a", 0)
			send(t.Context(), s, kind+":b", 0)
		}
		time.Sleep(40 * time.Second) // each has failed
		for range 100 {
			time.Sleep(time.Second)
			synctest.Wait()
			if n := s.Stats().Starting; n > 1 {
				t.Errorf("%d starting", n)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 301*time.Millisecond)
			well(t, sendOneShot(ctx, s, "a", 0))
			cancel()
		}
	})
}

func TestFailingProfileTakesOnePlaceOfThoseThatWork(t *testing.T) {
	in(t, Config{Max: 3, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		for _, tenant := range []string{"a", "b", "c"} {
			run(t, s, tenant, 0)
		}
		w.breakStarts("gpu", errImage)
		for _, tenant := range []string{"gpu:a", "gpu:b", "gpu:c"} {
			send(t.Context(), s, tenant, 0)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute) // it keeps trying in that place, for as long as nobody else needs it
		want(t, s, "Idle", 2)
	})
	// As often as its next start is due it may take one place, lest it never find out that starts work again.
	in(t, Config{Max: 2, Spare: 1, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakStarts("gpu", errImage)
		waits := send(t.Context(), s, "gpu:a", 0)
		for range 200 { // others take each place that gets free
			run(t, s, "a", 0)
			run(t, s, "b", 0)
			time.Sleep(300 * time.Millisecond)
		}
		if st := s.Stats(); st.Failed < 8 || st.Failed > 30 {
			t.Errorf("%d starts failed, in more than a minute", st.Failed)
		}
		w.breakStarts("gpu", nil)
		began := time.Now()
		if well(t, waits); time.Since(began) > lastBackoff+time.Second {
			t.Errorf("began %v after its starts worked again", time.Since(began))
		}
	})
}

func TestSparesThatDieYoungAreReplacedWithBackoff(t *testing.T) {
	in(t, Config{Max: 4}, func(t *testing.T, w *world, s *Scheduler) {
		s.mu.Lock()
		s.cfg.Spare = 1
		s.alloc.balance(time.Now())
		s.unlock()
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
			t.Error("ready, with containers that die at once")
		}
	})
	in(t, Config{Max: 4, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) { // of one profile only
		for range 100 {
			sendFor(t, s, "gpu:a", 100*time.Millisecond)
			time.Sleep(700 * time.Millisecond)
			for _, f := range w.containers() {
				if f.profile == "gpu" {
					f.die()
				}
			}
			synctest.Wait()
		}
		if starts, _ := w.count(); starts < 5 || starts > 30 {
			t.Errorf("%d starts for 100 calls", starts)
		}
		if err := s.Ready(); err != nil {
			t.Errorf("Ready: %v", err)
		}
		wellAfter(t, send(t.Context(), s, "a", 0), 0)
	})
}

func TestReadySpeaksOfTheDefaultProfile(t *testing.T) {
	in(t, Config{Max: 3, Spare: 1, TimeSlice: time.Hour}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakStarts("", errEngine)
		w.containers()[0].die()
		var calls []<-chan outcome
		for _, tenant := range []string{"gpu:a", "gpu:b", "gpu:c"} {
			if err := s.Ready(); len(calls) > 0 && !errors.Is(err, errEngine) {
				t.Errorf("beside %d containers of another profile: %v", len(calls), err)
			}
			calls = append(calls, send(t.Context(), s, tenant, time.Minute))
			time.Sleep(time.Second)
		}
		time.Sleep(2 * lastBackoff) // its next start is due, but there is no place
		if err := s.Ready(); err != nil {
			t.Errorf("where only a call could find out: %v", err)
		}
		allWell(t, calls)
	})
}

// New containers have the new profile, the ones that work go on until there is another, and no call fails.
func TestUpdateRollsProfilesWithoutFailingACall(t *testing.T) {
	in(t, Config{Max: 12, Spare: 2, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		var stops []func() map[string]int
		for _, tenant := range []string{"a", "b", "c", "gpu:d"} {
			stops = append(stops, flow(t, s, tenant, 700*time.Millisecond), flow(t, s, tenant, 300*time.Millisecond))
		}
		run(t, s, "idle", 0)
		pinned := openSession(t, s, "pinned")
		time.Sleep(10 * time.Second)
		before := w.containers()
		w.roll("")
		if err := s.Canary(t.Context(), w.generation("")); err != nil {
			t.Fatal(err)
		}
		s.Update()
		time.Sleep(30 * time.Second)
		for _, f := range before {
			keeps := f.profile != "" || f.id == pinned.container.ID()
			if f.isDead() == keeps {
				t.Errorf("%s, of profile %q and %q: dead: %v", f.id, f.profile, f.owner(), f.isDead())
			}
		}
		well(t, sendIn(t.Context(), pinned, 0))
		if o := run(t, s, "pinned", 0); o.container == pinned.container.ID() {
			t.Error("a call went to the old container, which a session pins")
		}
		for _, stop := range stops {
			stop()
		}
		for _, f := range w.containers()[len(before):] {
			if f.profile != "@1" && f.profile != "gpu" {
				t.Errorf("%s was started of profile %q", f.id, f.profile)
			}
		}
		want(t, s, "Deaths", 0)
	})
	// Where all places are taken by tenants that never stop, their containers are replaced in their own places, a few at a time.
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

func TestUpdateChangesLimitsOfContainersThatAreThere(t *testing.T) {
	p := Policy{MaxAge: time.Hour, Concurrency: 1, Containers: 3}
	in(t, Config{Max: 5, Spare: 1, Policy: func(string) Policy { return p }}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for range 3 {
			calls = append(calls, send(t.Context(), s, "a", time.Minute))
		}
		time.Sleep(10 * time.Second)
		want(t, s, "Busy", 3)
		want(t, s, "Spare", 1)
		s.mu.Lock()
		p.Containers, p.MaxAge = 1, time.Minute
		s.mu.Unlock()
		s.Update()
		want(t, s, "Busy", 1)
		time.Sleep(2 * time.Minute)
		allWell(t, calls)
		for i, f := range w.containers()[:4] {
			if !f.isDead() {
				t.Errorf("container %d, of %q, is older than it may be now", i, f.owner())
			}
		}
	})
}

func TestCanaryGivesUpAProfileThatDoesNotStart(t *testing.T) {
	in(t, Config{Max: 3, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		stop := flow(t, s, "a", 100*time.Millisecond)
		w.breakStarts("bad", errEngine)
		if err := s.Canary(t.Context(), "bad"); !errors.Is(err, errEngine) {
			t.Errorf("a start that fails: %v", err)
		}
		w.breakStarts("bad", nil)
		w.stickStarts("bad", true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Canary(ctx, "bad"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a start that hangs: %v", err)
		}
		time.Sleep(2 * time.Minute)
		w.stickStarts("bad", false)
		if err := s.Canary(t.Context(), "bad"); err != nil {
			t.Errorf("a start that succeeds: %v", err)
		}
		time.Sleep(2 * spareTTL)
		synctest.Wait()
		stop()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.alloc.table.profiles) != 1 {
			t.Errorf("%d profiles are left", len(s.alloc.table.profiles))
		}
	})
}

// Where all containers are busy all the time, and other tenants wait for places too, a canary gets its place all the same: else a
// daemon with much to do could not be given a new image.
func TestCanaryFindsAPlaceWhereAllAreTaken(t *testing.T) {
	for name, tenants := range map[string][]string{
		"by one tenant":                {"a"},
		"by as many tenants as places": {"a", "b"},
		"by more tenants than places":  {"a", "b", "c", "d", "e"},
		"by many more":                 strings.Split("abcdefghijkl", ""),
		"by tenants of two profiles":   {"a", "b", "gpu:c", "gpu:d", "gpu:e"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, Config{Max: min(2, len(tenants)), Spare: 1, TimeSlice: time.Second, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
				var stops []func() map[string]int
				for _, tenant := range tenants {
					stops = append(stops, flow(t, s, tenant, 701*time.Millisecond), flow(t, s, tenant, 307*time.Millisecond))
				}
				time.Sleep(10 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				w.roll("")
				if err := s.Canary(ctx, w.generation("")); err != nil {
					t.Errorf("Canary: %v", err)
				}
				s.Update()
				for _, stop := range stops {
					time.Sleep(10 * time.Second)
					stop() // tells which calls failed
				}
			})
		})
	}
}
