package scheduler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

var errImage = errors.New("no such image")

func TestFailingClassLeavesOthersAlone(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{QueueTime: 5 * time.Second})}, func(t *testing.T, w *world, s *Scheduler) {
		w.takes = func() time.Duration { return 0 }
		w.breakClass("gpu", errImage)
		failing := send(t.Context(), s, "gpu:a", 0)
		time.Sleep(time.Second)
		run(t, s, "a", 0)
		for _, tenant := range []string{"b", "old:a"} {
			if o := run(t, s, tenant, 0); o.took != 0 {
				t.Errorf("%s took %v, as if its starts were put off", tenant, o.took)
			}
		}
		if err := s.Ready(); err != nil {
			t.Errorf("Ready: %v", err)
		}
		var busy *call.BusyError
		if o := <-failing; !errors.As(o.err, &busy) || busy.Reason != QueueTimeSpent || !errors.Is(o.err, errImage) || o.took != 5*time.Second {
			t.Errorf("%v after %v", o.err, o.took)
		}
	})
}

func TestBusyErrorOfAClassThatStartsHasNoCause(t *testing.T) {
	in(t, Config{Max: 2, TimeSlice: time.Hour, Policy: all(Policy{QueueTime: 5 * time.Second, Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakClass("gpu", errImage)
		for _, tenant := range []string{"a", "b"} {
			send(t.Context(), s, tenant, time.Minute)
		}
		failing, waits := send(t.Context(), s, "gpu:a", 0), send(t.Context(), s, "a", 0)
		var busy *call.BusyError
		if o := <-waits; !errors.As(o.err, &busy) || errors.Is(o.err, errImage) {
			t.Error(o.err)
		}
		<-failing
	})
}

func TestEachClassBacksOffByItself(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		w.takes = func() time.Duration { return 0 }
		w.breakClass("gpu", errImage)
		w.breakClass("old", errImage)
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
		w.breakClass("gpu", nil)
		w.breakClass("old", nil)
		if o := well(t, second); time.Since(began) > 4*firstBackoff {
			t.Errorf("old:a took %v", o.took)
		}
		if well(t, first); time.Since(began) < lastBackoff/10 || time.Since(began) > lastBackoff {
			t.Errorf("gpu:a began after %v", time.Since(began))
		}
		if o := run(t, s, "gpu:b", 0); o.took != 0 {
			t.Errorf("after recovery a start was put off by %v", o.took)
		}
	})
}

// With calls that give up at oneShot, there is nobody to try again for when the next try is due.
func TestBackOffOutlivesTheCallsItKeepsWaiting(t *testing.T) {
	in(t, Config{Max: 4}, func(t *testing.T, w *world, s *Scheduler) {
		w.takes = func() time.Duration { return 0 }
		w.breakClass("gpu", errImage)
		for range 3000 { // in 30 s
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			<-send(ctx, s, "gpu:a", 0)
			cancel()
			time.Sleep(9 * time.Millisecond)
		}
		if starts, _ := w.count(); starts < 8 || starts > 12 {
			t.Errorf("%d starts", starts)
		}
		time.Sleep(3 * lastBackoff)
		synctest.Wait()
		if len(s.alloc.table.profiles) != 1 {
			t.Errorf("%d classes in the table", len(s.alloc.table.profiles))
		}
	})
}

func TestStartThatFailsMakesWayForAnotherClass(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
	}{
		{"of its place", Config{Max: 1, Starts: 2}},
		{"of the starts at oneShot", Config{Max: 2, Starts: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in(t, test.cfg, func(t *testing.T, w *world, s *Scheduler) {
				w.breakClass("gpu", errImage)
				send(t.Context(), s, "gpu:a", 0)
				if o := run(t, s, "a", 0); o.took != 600*time.Millisecond {
					t.Errorf("took %v, two starts take 600ms", o.took)
				}
			})
		})
	}
}

func TestClassesWhoseStartsHangLeaveOneToOthers(t *testing.T) {
	in(t, Config{Max: 9, Starts: 2, StartTime: 10 * time.Second, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		for _, class := range []string{"gpu", "old", "odd"} {
			w.stickClass(class, true)
			send(t.Context(), s, class+":a", 0)
			send(t.Context(), s, class+":b", 0)
		}
		time.Sleep(40 * time.Second) // each has failed
		for range 100 {
			time.Sleep(time.Second)
			wantStats(t, s, "starting", func(st Stats) int { return min(2, st.Starting) }, min(1, s.Stats().Starting))
			ctx, cancel := context.WithTimeout(t.Context(), 301*time.Millisecond)
			if o := <-sendOnce(ctx, s, "a", 0); o.err != nil {
				t.Errorf("a: %v after %v", o.err, o.took)
			}
			cancel()
		}
	})
}

// It keeps trying in that place, for as long as nobody else wants it.
func TestFailingClassTakesOnePlaceOfThoseThatWork(t *testing.T) {
	in(t, Config{Max: 3, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		for _, tenant := range []string{"a", "b", "c"} {
			run(t, s, tenant, 0)
		}
		w.breakClass("gpu", errImage)
		for _, tenant := range []string{"gpu:a", "gpu:b", "gpu:c"} {
			send(t.Context(), s, tenant, 0)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		wantStats(t, s, "idle", func(st Stats) int { return st.Idle }, 2)
	})
}

// As often as its next try is due it may take one place, lest it never find out that it could start.
func TestFailingClassRecoversThoughAllPlacesAreTaken(t *testing.T) {
	in(t, Config{Max: 2, Spare: 1, Policy: all(Policy{QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakClass("gpu", errImage)
		call := send(t.Context(), s, "gpu:a", 0)
		for range 200 { // others take each place that gets free
			run(t, s, "a", 0)
			run(t, s, "b", 0)
			time.Sleep(300 * time.Millisecond)
		}
		if st := s.Stats(); st.Failed < 8 || st.Failed > 30 {
			t.Errorf("%d starts failed, in more than a minute", st.Failed)
		}
		w.breakClass("gpu", nil)
		began := time.Now()
		if well(t, call); time.Since(began) > lastBackoff+time.Second {
			t.Errorf("began %v after its starts worked again", time.Since(began))
		}
	})
}

func TestSparesOfAClassThatDieYoungPutOffItsStartsOnly(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			<-send(ctx, s, "gpu:a", 0)
			cancel()
			time.Sleep(700 * time.Millisecond)
			for _, f := range w.containers() {
				if f.class == "gpu" {
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
		if o := run(t, s, "a", 0); o.took != 0 {
			t.Errorf("a took %v", o.took)
		}
	})
}

func TestReadySpeaksOfTheDefaultClass(t *testing.T) {
	in(t, Config{Max: 3, Spare: 1, TimeSlice: time.Hour}, func(t *testing.T, w *world, s *Scheduler) {
		w.breakDown(errEngine)
		w.containers()[0].die()
		var calls []<-chan outcome
		for _, tenant := range []string{"gpu:a", "gpu:b", "gpu:c"} {
			if err := s.Ready(); len(calls) > 0 && !errors.Is(err, errEngine) {
				t.Errorf("beside %d containers of another class: %v", len(calls), err)
			}
			calls = append(calls, send(t.Context(), s, tenant, time.Minute))
			time.Sleep(time.Second)
		}
		time.Sleep(2 * lastBackoff) // its next try is due, but there is no place
		if err := s.Ready(); err != nil {
			t.Errorf("where only a call could find out: %v", err)
		}
		for _, call := range calls {
			well(t, call)
		}
	})
}
