package scheduler

import (
	"fmt"
	"testing"
	"time"
)

// No container has more calls than it may, or two tenants, or a tenant of another profile, and there are never too many: that is
// checked by the world, in every test.

func TestTenantGetsASpareAtOnceKeepsItAndTheSpareIsReplaced(t *testing.T) {
	in(t, Config{Max: 4, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		var first outcome
		for i, tenant := range []string{"a", "b", "c", "d"} {
			want(t, s, "Spare", min(2, 4-i))
			o := wellAfter(t, send(t.Context(), s, tenant, time.Millisecond), time.Millisecond)
			if i == 0 {
				first = o
			}
			want(t, s, "Starting", min(1, max(0, 2-i)))
			time.Sleep(300 * time.Millisecond)
		}
		want(t, s, "Ready", 4)
		if again := run(t, s, "a", 0); again.container != first.container {
			t.Errorf("ran in %s, then in %s", first.container, again.container)
		}
	})
	in(t, Config{Max: 2}, func(t *testing.T, w *world, s *Scheduler) { // where there is no spare
		wellAfter(t, send(t.Context(), s, "a", 0), 300*time.Millisecond)
	})
}

func TestMinContainersExistAsFarAsMaxAllows(t *testing.T) {
	in(t, Config{Max: 8, Min: 5}, func(t *testing.T, w *world, s *Scheduler) {
		want(t, s, "Spare", 5) // for tenants to come
		run(t, s, "a", time.Millisecond)
		time.Sleep(time.Second)
		want(t, s, "Ready", 5)
	})
	in(t, Config{Max: 3, Min: 5, Spare: 5}, func(t *testing.T, w *world, s *Scheduler) { want(t, s, "Ready", 3) })
	in(t, Config{Max: 4, Min: 2}, func(t *testing.T, w *world, s *Scheduler) { // containers of all profiles count
		run(t, s, "gpu:a", 0)
		want(t, s, "Ready", 3)
		for i := range 2 {
			w.containers()[i].die()
			time.Sleep(time.Second)
			want(t, s, "Ready", 2)
		}
	})
}

func TestLongestIdleGivesWay(t *testing.T) {
	in(t, Config{Max: 3}, func(t *testing.T, w *world, s *Scheduler) {
		a, b := run(t, s, "a", 0), run(t, s, "b", 0)
		run(t, s, "c", 0)
		run(t, s, "a", 0)                                                // now b is idle longest
		wellAfter(t, send(t.Context(), s, "d", 0), 380*time.Millisecond) // closing takes 80 ms and a start 300
		if again := run(t, s, "a", 0); again.container != a.container {
			t.Error("a has lost its container")
		}
		if again := run(t, s, "b", 0); again.container == b.container {
			t.Error("b has kept its container")
		}
	})
}

// No more give way than there are starts that can use their places: the others stay with their tenants.
func TestNoMoreGiveWayThanStartsCanUse(t *testing.T) {
	in(t, Config{Max: 12, Starts: 2}, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 12 {
			run(t, s, string(rune('a'+i)), 0)
		}
		var flood []<-chan outcome
		for range 50 {
			flood = append(flood, sendOneShot(t.Context(), s, "flood", 0))
		}
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			st := s.Stats()
			if free := 12 - st.Starting - st.Spare - st.Idle - st.Busy - st.Closing; free > 3 {
				t.Fatalf("%d places are free, while %d starts go on and %d containers gave way", free, st.Starting, st.Evictions)
			}
		}
		allWell(t, flood)
	})
}

func TestBusyContainerGivesWayAfterItsTimeSlice(t *testing.T) {
	in(t, Config{Max: 1, TimeSlice: 10 * time.Second}, func(t *testing.T, w *world, s *Scheduler) {
		a := send(t.Context(), s, "a", 5*time.Second)
		time.Sleep(time.Second)
		// a began after a start; b waits for the rest of it, a closing and a start.
		wellAfter(t, send(t.Context(), s, "b", 0), 4*time.Second+300*time.Millisecond+380*time.Millisecond)
		well(t, a)
	})
	for tenant, slots := range map[string]int{"b": 1, "b of two slots": 2, "gpu:b": 1} {
		in(t, Config{Max: 1, TimeSlice: time.Second, Policy: all(Policy{Concurrency: slots})}, func(t *testing.T, w *world, s *Scheduler) {
			var flood []<-chan outcome
			for range 20 * slots {
				flood = append(flood, send(t.Context(), s, tenant, 300*time.Millisecond))
			}
			// a waits for a start, the calls within the time slice and the rest of one, a closing and a start.
			wellAfter(t, send(t.Context(), s, "a", 0), 300*time.Millisecond+4*300*time.Millisecond+380*time.Millisecond)
			allWell(t, flood)
		})
	}
}

// Places of draining containers count for tenants that wait, but not while calls go on in them and others are idle.
func TestIdleContainerGivesWayThoughADrainingOneHasCalls(t *testing.T) {
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
		comes := send(t.Context(), s, "comes", 0) // long's time slice ends for it
		well(t, short)
		if o := well(t, comes); o.took > 10*time.Second {
			t.Errorf("waited %v for the end of the longest call, while a container was idle", o.took)
		}
	})
}

func TestIdleContainersAreClosedAfterTheTimeoutOfTheirTenant(t *testing.T) {
	in(t, Config{Max: 4, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		run(t, s, "a", 0)
		time.Sleep(30 * time.Second)
		run(t, s, "a", 0) // begins anew
		run(t, s, "b", 0)
		busy := send(t.Context(), s, "c", 2*time.Minute)
		time.Sleep(59 * time.Second)
		want(t, s, "Ready", 3)
		time.Sleep(1500 * time.Millisecond)
		want(t, s, "Ready", 1)
		well(t, busy)
		time.Sleep(61 * time.Second)
		want(t, s, "Ready", 0)
		want(t, s, "Closing", 0)
	})
	policy := policies(map[string]Policy{"short": {IdleTimeout: time.Second}, "never": {}}, Policy{IdleTimeout: time.Minute})
	in(t, Config{Max: 4, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		never := run(t, s, "never", 0)
		run(t, s, "long", 0)
		run(t, s, "short", 0)
		time.Sleep(2 * time.Second)
		want(t, s, "Idle", 2)
		time.Sleep(time.Minute)
		want(t, s, "Idle", 1)
		time.Sleep(1000 * time.Hour)
		want(t, s, "Idle", 1)
		if again := run(t, s, "never", 0); again.container != never.container {
			t.Error("another container")
		}
	})
}

func TestRecycledContainersAreReplacedBelowMin(t *testing.T) {
	in(t, Config{Max: 4, Min: 2, Policy: all(Policy{IdleTimeout: time.Minute})}, func(t *testing.T, w *world, s *Scheduler) {
		time.Sleep(5 * time.Minute)
		want(t, s, "Starts", 2) // the spares that Min asks for are not recycled
		a := run(t, s, "a", 0)
		run(t, s, "b", 0)
		time.Sleep(62 * time.Second)
		want(t, s, "Spare", 2)
		if o := wellAfter(t, send(t.Context(), s, "a", 0), 0); o.container == a.container {
			t.Error("a has kept its container")
		}
	})
}

// A container that was started for a call that was cancelled stays for a while, for calls of its profile.
func TestContainerOfACancelledCallIsKeptForAWhile(t *testing.T) {
	for kind, spare := range map[string]int{"": 0, "gpu:": 0, "with one to keep ready ": 1} {
		t.Run(kind, func(t *testing.T) {
			cfg := Config{Max: 4, Spare: spare, Policy: all(Policy{IdleTimeout: 3 * time.Minute})}
			in(t, cfg, func(t *testing.T, w *world, s *Scheduler) {
				cancelled := func() {
					if spare > 0 {
						run(t, s, "first", 0) // has the spare
						kind = ""
					}
					if o := sendFor(t, s, kind+"a", 100*time.Millisecond); o.container != "" {
						t.Errorf("ran in %s", o.container)
					}
					time.Sleep(time.Second)
					want(t, s, "Spare", 1+spare)
				}
				cancelled()
				if kind != "" {
					wellAfter(t, send(t.Context(), s, "b", 0), 300*time.Millisecond)
				}
				starts, _ := w.count()
				wellAfter(t, send(t.Context(), s, kind+"b", 0), 0)
				if after, _ := w.count(); spare == 0 && after != starts {
					t.Error("it was not used")
				}
				time.Sleep(10 * time.Minute)
				want(t, s, "Ready", spare)
				cancelled()
				time.Sleep(58 * time.Second)
				want(t, s, "Spare", 1+spare)
				time.Sleep(2 * time.Second)
				want(t, s, "Spare", spare)
				if len(s.alloc.table.profiles) != 1 {
					t.Errorf("%d profiles in the table", len(s.alloc.table.profiles))
				}
			})
		})
	}
}

// A daemon that has been up for a while has all places taken, most by containers that are idle. New tenants find spares all the
// same, in the places of containers idle longest, which they would get anyway.
func TestSparesAreReadyWhenAllPlacesAreTaken(t *testing.T) {
	in(t, Config{Max: 8, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		for i := range 20 {
			if o := run(t, s, fmt.Sprint("t", i), 10*time.Millisecond); o.queue > 0 {
				t.Errorf("tenant %d waited %v for a container, and %d were idle", i, o.queue, s.Stats().Idle)
			}
			time.Sleep(5 * time.Second)
		}
		want(t, s, "Spare", 2)
	})
	in(t, Config{Max: 8, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) { // also where nothing happens but that time goes by
		for i := range 8 {
			send(t.Context(), s, fmt.Sprint("t", i), 5*time.Second)
		}
		time.Sleep(10 * time.Second)
		want(t, s, "Spare", 0)
		want(t, s, "Ready", 8)
		time.Sleep(10 * time.Second)
		want(t, s, "Spare", 2)
	})
}

// A new tenant finds a spare, however many containers other tenants could use.
func TestSparesAreKeptForNewTenants(t *testing.T) {
	policy := policies(map[string]Policy{"wide": {Concurrency: 1, Containers: 6}}, Policy{Concurrency: 1})
	in(t, Config{Max: 20, Spare: 2, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		for range 20 {
			send(t.Context(), s, "wide", time.Hour)
			sendOneShot(t.Context(), s, "one-shot", time.Second)
		}
		time.Sleep(5 * time.Second)
		for i := range 20 {
			wellAfter(t, send(t.Context(), s, fmt.Sprint("new", i%4), 0), 0)
			time.Sleep(time.Second)
		}
	})
	in(t, Config{Max: 50, Spare: 2, Starts: 2}, func(t *testing.T, w *world, s *Scheduler) {
		for range 500 {
			sendOneShot(t.Context(), s, "flood", 100*time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		for i := range 10 {
			if o := run(t, s, fmt.Sprint("new", i), 100*time.Millisecond); o.queue > 0 {
				t.Errorf("tenant %d waited %v for a container, spares are kept for it", i, o.queue)
			}
			time.Sleep(time.Second)
		}
		if done := s.Stats().Calls; done < 30 {
			t.Errorf("%d calls were run: the flood got next to nothing of starts that nobody else needs", done)
		}
	})
	in(t, Config{Max: 3, Spare: 2, Policy: all(Policy{Concurrency: 1, Containers: 3})}, func(t *testing.T, w *world, s *Scheduler) {
		for range 3 { // where no place is left, spares go to any tenant that waits
			send(t.Context(), s, "a", time.Minute)
		}
		time.Sleep(time.Second) // for the last start
		want(t, s, "Running", 3)
	})
}

func TestStartsAtOnceAreBounded(t *testing.T) {
	in(t, Config{Max: 20, Starts: 3}, func(t *testing.T, w *world, s *Scheduler) {
		var calls []<-chan outcome
		for i := range 10 {
			calls = append(calls, send(t.Context(), s, fmt.Sprint("t", i), 0))
			want(t, s, "Starting", min(i+1, 3))
		}
		allWell(t, calls)
	})
}

func TestDeadSpareIsReplaced(t *testing.T) {
	in(t, Config{Max: 4, Spare: 2}, func(t *testing.T, w *world, s *Scheduler) {
		w.containers()[0].die()
		want(t, s, "Spare", 1)
		time.Sleep(300 * time.Millisecond)
		want(t, s, "Spare", 2)
		if o := run(t, s, "a", 0); o.container == w.containers()[0].id {
			t.Error("got the dead one")
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
		wantLost(t, running)
		well(t, next)
		if again := run(t, s, "b", 0); again.container != other.container {
			t.Error("another tenant's container is gone")
		}
	})
	in(t, Config{Max: 2, Spare: 1}, func(t *testing.T, w *world, s *Scheduler) {
		job := sendOneShot(t.Context(), s, "a", time.Minute)
		w.containers()[0].die()
		wantLost(t, job)
		time.Sleep(time.Second)
		wantAll(t, s, Stats{Spare: 1, Calls: 1, Starts: 2, Deaths: 1})
	})
}

// The death of a container and a call may meet: the container is chosen before its goroutine can take it out of the table.
func TestCallGivenToADeadContainerRunsInAnother(t *testing.T) {
	for k, name := range []string{plain: "plain", oneShot: "one-shot", opens: "opens a session"} {
		for _, spare := range []int{1, 2} { // so that it waits, and does not
			t.Run(fmt.Sprint(name, ", spares: ", spare), func(t *testing.T) {
				in(t, Config{Max: 4, Spare: spare}, func(t *testing.T, w *world, s *Scheduler) {
					s.mu.Lock() // keeps the container's goroutine out
					dead := s.alloc.acquire(s.alloc.table.tenant("a", kind(k)), kind(k), time.Now())
					dead.Container.(*fake).die()
					s.mu.Unlock()
					end := moved(s, dead, kind(k), 10*time.Second)
					time.Sleep(time.Second)
					want(t, s, "Running", 1)
					if kind(k) == opens && dead.opening != 0 {
						t.Errorf("%d sessions open in the dead one", dead.opening)
					}
					o := well(t, end)
					if wait := time.Duration(2-spare) * 300 * time.Millisecond; o.queue != wait || o.took != wait+10*time.Second || o.container == dead.ID() {
						t.Errorf("ran in %s after %v, want %v", o.container, o.queue, wait)
					}
					want(t, s, "Deaths", 1)
					want(t, s, "Closing", btoi(kind(k) == oneShot)) // with its only call
					if again := run(t, s, "a", 0); (again.container == o.container) == (kind(k) == oneShot) {
						t.Errorf("ran in %s, the next call in %s", o.container, again.container)
					}
				})
			})
		}
	}
}

// A call that waited may find its container dead as well: between the grant of its slot and its start.
func TestWaitingCallGivenToADeadContainerRunsInAnother(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		dead := hold(t, s, "a", plain)
		_, end := waiting(t, s, "a", plain)
		time.Sleep(time.Second)
		afterGrant(s, func() { s.alloc.complete(dead, time.Now(), time.Now()) }, dead.Container.(*fake).die)
		if o := wellAfter(t, end, time.Second); o.container == dead.ID() || o.queue != time.Second {
			t.Errorf("ran in %s after %v", o.container, o.queue)
		}
		want(t, s, "Deaths", 1)
	})
}

// With calls waiting, and a spare at hand: to take the spare at once left the tenant in the wait queue with all the containers
// that it may have.
func TestCallGivenToADeadContainerGoesBeforeWaitingCalls(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		dead := hold(t, s, "a", plain)
		next := send(t.Context(), s, "a", 0)
		time.Sleep(time.Second)
		first := moved(s, dead, plain, time.Second) // before its goroutine sees the death
		want(t, s, "TenantsWaiting", 0)
		wellAfter(t, first, time.Second)
		wellAfter(t, next, 2*time.Second)
	})
}

// A call may find its container dead before the container's own goroutine does. What takes its place must be started then, not
// only when the dead one is closed.
func TestContainerFoundDeadByItsCallIsReplacedAtOnce(t *testing.T) {
	in(t, Config{Max: 2, Min: 1}, func(t *testing.T, w *world, s *Scheduler) {
		c := hold(t, s, "a", plain)
		s.mu.Lock() // keeps the container's goroutine out
		c.Container.(*fake).die()
		s.alloc.release(c, time.Now())
		starting := s.alloc.table.base.starting
		s.unlock()
		if starting != 1 {
			t.Errorf("%d starting, want 1", starting)
		}
	})
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
		want(t, s, "Spare", 1)
	})
}

func TestContainersGetNoMoreThanTheirCalls(t *testing.T) {
	for _, most := range []int{1, 3} { // 1: as if all calls were one-shot calls
		in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{MaxCalls: most, Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
			var calls []<-chan outcome
			for range 20 {
				calls = append(calls, send(t.Context(), s, "a", time.Second))
			}
			in := map[string]int{}
			for _, job := range calls {
				in[well(t, job).container]++
			}
			if len(in) != (20+most-1)/most {
				t.Errorf("calls by container, of %d: %v", most, in)
			}
			for id, n := range in {
				if n > most {
					t.Errorf("%d calls in %s", n, id)
				}
			}
		})
	}
}

// A tenant that wants one more container where no place is free may wait for ever; tenants behind it that wait for one in place of
// a stale one do not.
func TestStaleContainersAreReplacedBehindATenantThatScalesUp(t *testing.T) {
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

func TestTenantMayHaveSeveralContainers(t *testing.T) {
	policy := policies(map[string]Policy{"wide": {Concurrency: 2, Containers: 3}}, Policy{Concurrency: 2})
	in(t, Config{Max: 8, Spare: 1, Policy: policy}, func(t *testing.T, w *world, s *Scheduler) {
		for range 10 {
			send(t.Context(), s, "wide", time.Hour)
			send(t.Context(), s, "other", time.Hour)
		}
		time.Sleep(10 * time.Second)
		in := map[string]int{}
		for _, f := range w.containers() {
			f.mu.Lock()
			if f.running > 0 {
				in[f.tenant]++
			}
			f.mu.Unlock()
		}
		if in["wide"] != 3 || in["other"] != 1 {
			t.Errorf("containers: %v", in)
		}
		want(t, s, "Running", 8)
		want(t, s, "Queued", 12)
	})
}
