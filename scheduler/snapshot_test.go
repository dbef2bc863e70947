package scheduler

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

func TestSnapshot(t *testing.T) {
	in(t, Config{Max: 5, Spare: 1, Policy: all(Policy{Concurrency: 1})}, func(t *testing.T, w *world, s *Scheduler) {
		time.Sleep(time.Minute)
		ss, other := openSession(t, s, "pinned"), openSession(t, s, "pinned")
		run(t, s, "idle", 0)
		send(t.Context(), s, "busy", time.Hour)
		time.Sleep(time.Second)
		send(t.Context(), s, "busy", time.Second)
		time.Sleep(time.Second)
		sendIn(t.Context(), ss, time.Hour)
		sendIn(t.Context(), other, time.Hour) // waits for its slot
		time.Sleep(3 * time.Second)
		snap := s.Snapshot()
		if snap.Stats != s.Stats() {
			t.Errorf("stats %+v", snap.Stats)
		}
		got := map[string]string{}
		for _, c := range snap.Containers {
			if c.ID == "" || c.Age <= 0 || c.Age > 2*time.Minute {
				t.Errorf("%+v", c)
			}
			got[c.Tenant] = fmt.Sprint(c.State, " ", c.Running, " ", c.Sessions)
		}
		want := map[string]string{"": "spare 0 0", "pinned": "pinned 1 2", "idle": "idle 0 0", "busy": "busy 1 0"}
		if !reflect.DeepEqual(got, want) || len(snap.Containers) != len(want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
		tenants := []TenantState{
			{Name: "busy", Containers: 1, Running: 1, Queued: 1, OldestWait: 4 * time.Second},
			{Name: "pinned", Containers: 1, Running: 1, Queued: 1, OldestWait: 3 * time.Second},
			{Name: "idle", Containers: 1},
		}
		if !reflect.DeepEqual(snap.Tenants, tenants) {
			t.Errorf("got %+v\nwant %+v", snap.Tenants, tenants)
		}
	})
}

func TestSnapshotHasOneShotCalls(t *testing.T) {
	in(t, Config{Max: 4, Spare: 1, Policy: all(Policy{Concurrency: 2})}, func(t *testing.T, w *world, s *Scheduler) {
		for range 3 {
			sendOneShot(t.Context(), s, "a", time.Minute)
		}
		send(t.Context(), s, "a", time.Minute)
		time.Sleep(5 * time.Second)
		want := TenantState{Name: "a", Containers: 3, Running: 3, Queued: 1, OldestWait: 5 * time.Second}
		if snap := s.Snapshot(); len(snap.Tenants) != 1 || snap.Tenants[0] != want {
			t.Errorf("got %+v\nwant %+v", snap.Tenants, want)
		}
	})
}

// Those with the most calls stay, and what is left out is said.
func TestSnapshotIsBounded(t *testing.T) {
	in(t, Config{Max: 1, Policy: all(Policy{Concurrency: 1, QueueTime: time.Hour})}, func(t *testing.T, w *world, s *Scheduler) {
		send(t.Context(), s, "first", time.Minute)
		for i := range snapshotMost + 5 {
			send(t.Context(), s, fmt.Sprint("tenant-", i), 0)
		}
		for range 3 {
			send(t.Context(), s, "most", 0)
		}
		snap := s.Snapshot()
		if len(snap.Tenants) != snapshotMost || snap.TenantsLeftOut != 7 || snap.Tenants[0].Name != "most" || snap.ContainersLeftOut != 0 {
			t.Errorf("%d tenants from %+v, %d left out", len(snap.Tenants), snap.Tenants[0], snap.TenantsLeftOut)
		}
		time.Sleep(3 * time.Second) // longer than a time slice
		if c := s.Snapshot().Containers[0]; c.State != Closing || c.Tenant != "first" || c.Running != 1 {
			t.Errorf("while others wait for its place: %+v", c)
		}
	})
}
