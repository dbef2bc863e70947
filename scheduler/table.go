package scheduler

import (
	"sync/atomic"
	"time"
)

// A tenant is in the table while it has a container or a waiter. Its calls with Once belong to a second
// one, which once and of connect with it, so that they wait in a queue, and for turns, of their own.
type tenant struct {
	name       string
	class      *class
	once       *tenant       // nil while there are no such calls
	of         *tenant       // set for a tenant that is another's once
	slots      int           // of one of its containers
	most       int           // containers that it may have
	containers []*container  // its own, none of them retired
	waiting    list[*waiter] // for a slot of any of its containers; first come, first served
	queued     int           // calls that wait, those in its sessions too
	turn       link[*tenant] // in turns
	turnSince  time.Time
	meanRun    mean
}

// A container is one that Start gave, with its place in the table.
type container struct {
	Container
	class    *class
	place    link[*container]
	tenant   *tenant // nil for a spare; set once
	running  int
	opening  int            // of those running, how many open a session
	sessions list[*session] // that have not ended
	waiting  list[*waiter]  // calls of sessions, for a slot of this container
	used     atomic.Bool    // a call was executed in it
	since    time.Time      // when it came into the list it is in
	born     time.Time      // when it was ready
	failures int            // of starts, before this one
	retired  bool           // gets no calls any more
	why      string         // it was retired
	end      chan struct{}  // closed when its goroutine should close it
	ended    bool
}

// claimLocked takes a slot of the tenant, or a spare of its class, if there is one to be had at once.
func (s *Scheduler) claimLocked(t *tenant, k kind) *container {
	if t.waiting.length > 0 {
		return nil // they are before it, and line up for that spare already
	}
	for _, c := range t.containers {
		if c.running < t.slots && !c.dead() {
			s.takeLocked(c, k)
			return c
		}
	}
	c := t.class.spares.front()
	if c == nil || len(t.containers) >= t.most {
		return nil
	}
	s.ownLocked(c, t)
	s.takeLocked(c, k)
	s.balanceLocked(time.Now())
	return c
}

func (s *Scheduler) takeLocked(c *container, k kind) {
	s.running++
	c.running++
	if k == opens {
		c.opening++ // it is held from here on: no turn may end between now and the answer
	}
	if to := s.listLocked(c); c.place.in != to { // one that hands its only slot on was busy all along
		s.moveLocked(c, to, time.Now())
	}
}

// listLocked is where a tenant's container belongs.
func (s *Scheduler) listLocked(c *container) *list[*container] {
	switch {
	case c.opening > 0 || c.sessions.length > 0:
		return &s.held
	case c.running == 0:
		return &s.idle
	case c.tenant.of != nil:
		return &s.lone
	default:
		return &s.busy
	}
}

// ownLocked makes a spare the tenant's, for life.
func (s *Scheduler) ownLocked(c *container, t *tenant) {
	c.tenant = t
	t.containers = append(t.containers, c)
	c.class.owned++
	s.moveLocked(c, &s.idle, time.Now())
}

func (s *Scheduler) moveLocked(c *container, to *list[*container], now time.Time) {
	c.place.leave()
	to.push(&c.place)
	c.since = now
}

// tenantLocked gives the tenant of that name, with once the one for its calls with Once.
func (s *Scheduler) tenantLocked(name string, once bool) *tenant {
	t := s.tenants[name]
	if t == nil {
		t = newTenant(name, nil, s.classLocked(s.cfg.ClassOf(name)), s.cfg.Concurrency, perTenant)
		t.class.tenants++
		s.tenants[name] = t
	}
	if !once {
		return t
	}
	if t.once == nil {
		t.once = newTenant(name, t, t.class, 1, max(1, min(s.cfg.Concurrency, s.cfg.Max-1)))
	}
	return t.once
}

func newTenant(name string, of *tenant, k *class, slots, most int) *tenant {
	t := &tenant{name: name, of: of, class: k, slots: slots, most: most}
	t.turn.item = t
	return t
}

func (s *Scheduler) forgetLocked(t *tenant) {
	switch {
	case len(t.containers) > 0 || t.waiting.length > 0 || t.once != nil:
	case t.of != nil:
		t.of.once = nil
		s.forgetLocked(t.of)
	default:
		delete(s.tenants, t.name)
		t.class.tenants--
		s.forgetClassesLocked(time.Now())
	}
}

func (c *container) dead() bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}
