package scheduler

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// That no container gets a call of another class is checked by the world, in every test.

func wantBegan(t *testing.T, w *world, want string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := fmt.Sprintf("%q", w.began); got != want {
		t.Errorf("began %v, want %v", got, want)
	}
}

func TestTenantGetsNoSpareOfAnotherClass(t *testing.T) {
	in(t, Config{Max: 4, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		first := run(t, s, "gpu:a", 0)
		if again := run(t, s, "gpu:a", 0); first.took != 300*time.Millisecond || again.container != first.container {
			t.Errorf("took %v, then ran in %s after %s", first.took, again.container, first.container)
		}
		time.Sleep(time.Second)
		wantStats(t, s, "spares", spares, 2)
		wantBegan(t, w, `["" "" "gpu"]`)
	})
}

func TestOnceGetsAContainerOfItsTenantsClass(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		if o := runOnce(t, s, "gpu:a", 0); o.took != 300*time.Millisecond {
			t.Errorf("took %v", o.took)
		}
	})
}

func TestContainerStartedForACallerThatGaveUpIsKeptForItsClass(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			<-send(ctx, s, "gpu:a", 0)
			time.Sleep(time.Second)
			wantStats(t, s, "spares", spares, 1)
			if o := run(t, s, "b", 0); o.took > 300*time.Millisecond {
				t.Errorf("b took %v", o.took)
			}
			if o := run(t, s, "gpu:b", 0); o.took != 0 {
				t.Errorf("gpu:b took %v", o.took)
			}
			time.Sleep(2 * time.Minute)
			wantStats(t, s, "ready", ready, 0)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		<-send(ctx, s, "gpu:a", 0)
		time.Sleep(59 * time.Second)
		wantStats(t, s, "spares", spares, 1)
		time.Sleep(2 * time.Second)
		wantStats(t, s, "spares", spares, 0)
		if len(s.alloc.table.profiles) != 1 {
			t.Errorf("%d classes in the table", len(s.alloc.table.profiles))
		}
	})
}

func TestClassWhoseFirstTenantWaitsLongestStartsFirst(t *testing.T) {
	in(t, Config{Max: 20, Spare: 1, Starts: 1}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for _, tenant := range []string{"a", "gpu:a", "gpu:b", "b", "old:a", "gpu:c"} { // a gets the spare
			calls = append(calls, send(t.Context(), s, tenant, time.Minute))
			time.Sleep(time.Millisecond)
		}
		for _, job := range calls {
			well(t, job)
		}
		// The first two are spares; all that anybody waits for goes before the last.
		wantBegan(t, w, `["" "" "gpu" "gpu" "old" "gpu" ""]`)
	})
}

func TestAtMaxAContainerOfAnotherClassGivesWay(t *testing.T) {
	const closeAndStart = 380 * time.Millisecond
	giveUp := func(t *testing.T, s *Scheduler, tenant string) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		<-send(ctx, s, tenant, 0)
		time.Sleep(time.Second)
	}
	tests := []struct {
		name   string
		cfg    Config
		before func(t *testing.T, s *Scheduler)
		tenant string
		left   Stats // of these, what is there after
	}{
		{"a spare that another class has no use for, before an idle one", Config{Max: 2},
			func(t *testing.T, s *Scheduler) { run(t, s, "a", 0); giveUp(t, s, "gpu:a") }, "old:a", Stats{Idle: 2}},
		{"a spare beyond need of the default class, before an idle one", Config{Max: 3, Spare: 1},
			func(t *testing.T, s *Scheduler) { run(t, s, "a", 0); giveUp(t, s, "b"); time.Sleep(time.Second) }, "gpu:a", Stats{Idle: 2, Spare: 1}},
		{"an idle one, before a spare that is kept ready", Config{Max: 2, Spare: 1},
			func(t *testing.T, s *Scheduler) { run(t, s, "a", 0); time.Sleep(time.Second) }, "gpu:a", Stats{Idle: 1, Spare: 1}},
		{"a spare that is kept ready, where nothing else is", Config{Max: 1, Spare: 1},
			func(t *testing.T, s *Scheduler) {}, "gpu:a", Stats{Idle: 1}},
		{"one of the least that are to exist", Config{Max: 2, Min: 2},
			func(t *testing.T, s *Scheduler) { send(t.Context(), s, "a", time.Minute) }, "gpu:a", Stats{Busy: 1, Idle: 1}},
		{"a spare that is kept ready, before one that was busy for a turn", Config{Max: 2, Spare: 1, TimeSlice: time.Second},
			func(t *testing.T, s *Scheduler) { send(t.Context(), s, "a", time.Minute); time.Sleep(2 * time.Second) }, "gpu:a", Stats{Busy: 1, Idle: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Policy = all(Policy{Concurrency: 1})
			in(t, test.cfg, func(t *testing.T, w *world, s *Scheduler) {
				test.before(t, s)
				o := run(t, s, test.tenant, 0)
				if o.took != closeAndStart {
					t.Errorf("took %v, want %v", o.took, closeAndStart)
				}
				st := s.Stats()
				if got := (Stats{Idle: st.Idle, Busy: st.Busy, Spare: st.Spare}); got != test.left {
					t.Errorf("left %+v, want %+v", got, test.left)
				}
				wantStats(t, s, "evictions", func(st Stats) int { return int(st.Evictions) }, 1)
			})
		})
	}
}

func TestClassThatIsNeverIdleGivesWayAfterItsTurn(t *testing.T) {
	in(t, Config{Max: 1, TimeSlice: time.Second, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		var flood []<-chan outcome
		for range 20 {
			flood = append(flood, send(t.Context(), s, "gpu:a", 300*time.Millisecond))
		}
		// Behind a start, the calls of its turn and the rest of one, a closing and a start.
		if o := run(t, s, "a", 0); o.took != 300*time.Millisecond+4*300*time.Millisecond+380*time.Millisecond {
			t.Errorf("took %v", o.took)
		}
		for _, job := range flood {
			well(t, job)
		}
	})
}

func TestSpareThatGaveWayIsReplacedWhenThereIsRoom(t *testing.T) {
	in(t, Config{Max: 1, Spare: 1, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "gpu:a", 0)
		time.Sleep(59 * time.Second)
		wantBegan(t, w, `["" "gpu"]`)
		time.Sleep(2 * time.Second)
		wantStats(t, s, "spares", spares, 1)
		if o := run(t, s, "a", 0); o.took != 0 {
			t.Errorf("took %v", o.took)
		}
	})
}

func TestContainersOfAllClassesCountForMin(t *testing.T) {
	in(t, Config{Max: 4, Min: 2}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "gpu:a", 0)
		wantStats(t, s, "ready", ready, 3)
		w.containers()[0].die()
		time.Sleep(time.Second)
		wantStats(t, s, "ready", ready, 2)
		w.containers()[1].die()
		time.Sleep(time.Second)
		wantStats(t, s, "ready", ready, 2)
	})
}

func TestClassesAreForgotten(t *testing.T) {
	in(t, Config{Max: 2, QueueAll: 4, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 50 { // some are refused, some give up, some run
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			send(ctx, s, fmt.Sprintf("class %d:a", i), 0)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if len(s.alloc.table.profiles) != 1 || len(s.alloc.table.tenants) != 0 {
			t.Errorf("%d classes, %d tenants in the table", len(s.alloc.table.profiles), len(s.alloc.table.tenants))
		}
	})
}

func TestClassIsAskedForAnewWhenATenantComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked int
		var classes []string
		s := New(Config{
			Max: 4,
			Policy: func(tenant string) Policy {
				if tenant == "" {
					return Policy{}
				}
				asked++
				return Policy{Profile: fmt.Sprint(tenant, asked), IdleTimeout: time.Minute}
			},
			Start: func(ctx context.Context, class string) (Container, error) {
				classes = append(classes, class)
				return idler{make(chan struct{})}, nil
			},
		})
		s.Open()
		for range 2 {
			for range 3 {
				for _, oneShot := range []bool{false, true} {
					if _, err := execute(t.Context(), s, "a", call.Call{OneShot: oneShot}); err != nil {
						t.Fatal(err)
					}
				}
			}
			time.Sleep(2 * time.Minute)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		counts := map[string]int{}
		for _, class := range classes {
			counts[class]++
		}
		if asked != 2 || len(counts) != 2 || counts["a1"] == 0 || counts["a2"] == 0 {
			t.Errorf("asked %d times, started %v", asked, counts)
		}
	})
}
