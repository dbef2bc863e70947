package scheduler

import (
	"cmp"
	"slices"
	"time"
)

// A State is what a container does at the moment.
type State string

const (
	Spare   State = "spare"   // of no tenant yet
	Idle    State = "idle"    // of a tenant, without calls
	Busy    State = "busy"    // with calls
	Pinned  State = "pinned"  // with sessions, with or without calls
	Closing State = "closing" // being closed, or about to be after its last calls and sessions
)

// A ContainerState is one container in a Snapshot.
type ContainerState struct {
	ID       string
	Profile  string
	Tenant   string // "" for a spare
	State    State
	Running  int // calls
	Sessions int
	Calls    int           // so far
	Age      time.Duration // since it was ready
}

// A TenantState is a tenant that has a container or a waiting call.
type TenantState struct {
	Name       string
	Profile    string
	Containers int // without draining ones
	Running    int // calls in these
	Queued     int // calls that wait
	OldestWait time.Duration
}

// snapshotMost bounds each list of a Snapshot.
const snapshotMost = 1000

// A Snapshot has the Stats at one moment, and the containers and tenants behind them. Containers and tenants with the most
// calls come first. Each list is bounded by snapshotMost.
type Snapshot struct {
	Stats      Stats
	Containers []ContainerState
	Tenants    []TenantState

	ContainersLeftOut, TenantsLeftOut int
}

// Snapshot returns a snapshot. It takes one pass over all containers and all tenants that have one or wait, so it is not for
// the way of a call.
func (s *Scheduler) Snapshot() Snapshot {
	snap := s.collect()
	slices.SortFunc(snap.Containers, func(a, b ContainerState) int {
		return cmp.Or(b.Running-a.Running, b.Sessions-a.Sessions, cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(snap.Tenants, func(a, b TenantState) int {
		return cmp.Or(b.Queued+b.Running-a.Queued-a.Running, cmp.Compare(a.Name, b.Name))
	})
	snap.ContainersLeftOut = max(0, len(snap.Containers)-snapshotMost)
	snap.TenantsLeftOut = max(0, len(snap.Tenants)-snapshotMost)
	snap.Containers = snap.Containers[:len(snap.Containers)-snap.ContainersLeftOut]
	snap.Tenants = snap.Tenants[:len(snap.Tenants)-snap.TenantsLeftOut]
	return snap
}

func (s *Scheduler) collect() (snap Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, now := s.alloc, time.Now()
	snap.Stats = a.stats()
	add := func(l *list[*container], state State) {
		for k := l.first; k != nil; k = k.next {
			snap.Containers = append(snap.Containers, k.item.state(state, now))
		}
	}
	for _, p := range a.table.profiles {
		add(&p.spares, Spare)
	}
	for _, l := range a.table.idle {
		add(&l.list, Idle)
	}
	add(&a.pool.busy, Busy)
	add(&a.pool.oneShot, Busy)
	add(&a.pool.pinned, Pinned)
	add(&a.pool.draining, Closing)
	snap.Tenants = make([]TenantState, 0, len(a.table.tenants))
	for _, t := range a.table.tenants {
		snap.Tenants = append(snap.Tenants, t.state(now))
	}
	return snap
}

func (c *container) state(state State, now time.Time) ContainerState {
	of := ContainerState{
		ID: c.ID(), Profile: c.profile.name, State: state,
		Running: c.running, Sessions: c.pins.length, Calls: c.calls, Age: now.Sub(c.born),
	}
	if c.tenant != nil {
		of.Tenant = c.tenant.name
	}
	return of
}

// state returns the tenant's state. It counts one-shot calls with the others.
func (t *tenant) state(now time.Time) TenantState {
	of := TenantState{Name: t.name, Profile: t.profile.name}
	oldest := now
	waits := func(l *list[*waiter]) {
		if w := l.front(); w != nil && w.since.Before(oldest) {
			oldest = w.since
		}
	}
	for ; t != nil; t = t.oneShot {
		of.Containers += len(t.containers)
		of.Queued += t.queued
		waits(&t.waiting)
		for _, c := range t.containers {
			of.Running += c.running
			waits(&c.waiting)
		}
	}
	of.OldestWait = now.Sub(oldest)
	return of
}
