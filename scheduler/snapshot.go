package scheduler

import (
	"cmp"
	"slices"
	"time"
)

// A State is what a container that is ready, or was, is there for.
type State string

const (
	Spare   State = "spare"   // nobody's yet
	Idle    State = "idle"    // a tenant's, without calls
	Busy    State = "busy"    // with calls
	Held    State = "held"    // with sessions, and calls or none
	Closing State = "closing" // being closed, or about to be after its last calls
)

// A ContainerState is one container in a Snapshot.
type ContainerState struct {
	ID       string
	Class    string
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
	Class      string
	Containers int // without those that are closing
	Running    int // calls in these
	Queued     int // calls that wait
	OldestWait time.Duration
}

// snapshotMost bounds each list of a Snapshot.
const snapshotMost = 1000

// A Snapshot is what is there at one moment, for people to look at: Stats with names. Those with the most
// calls come first, and are what is left where there are too many.
type Snapshot struct {
	Stats      Stats
	Containers []ContainerState
	Tenants    []TenantState

	ContainersLeftOut, TenantsLeftOut int
}

// Snapshot costs one pass over all containers and all tenants that have one or wait: not for the way of a call.
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
	now := time.Now()
	snap.Stats = s.statsLocked()
	add := func(l *list[*container], state State) {
		for k := l.first; k != nil; k = k.next {
			snap.Containers = append(snap.Containers, k.item.stateLocked(state, now))
		}
	}
	for _, k := range s.classes {
		add(&k.spares, Spare)
	}
	for _, l := range s.idle.lines {
		add(&l.list, Idle)
	}
	add(&s.busy, Busy)
	add(&s.lone, Busy)
	add(&s.held, Held)
	add(&s.leaving, Closing)
	snap.Tenants = make([]TenantState, 0, len(s.tenants))
	for _, t := range s.tenants {
		snap.Tenants = append(snap.Tenants, t.stateLocked(now))
	}
	return snap
}

func (c *container) stateLocked(state State, now time.Time) ContainerState {
	of := ContainerState{
		ID: c.ID(), Class: c.class.name, State: state,
		Running: c.running, Sessions: c.sessions.length, Calls: c.calls, Age: now.Sub(c.born),
	}
	if c.tenant != nil {
		of.Tenant = c.tenant.name
	}
	return of
}

// stateLocked has the tenant's calls with Once among the others.
func (t *tenant) stateLocked(now time.Time) TenantState {
	of := TenantState{Name: t.name, Class: t.class.name}
	oldest := now
	waits := func(l *list[*waiter]) {
		if w := l.front(); w != nil && w.since.Before(oldest) {
			oldest = w.since
		}
	}
	for ; t != nil; t = t.once {
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
