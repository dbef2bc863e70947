package scheduler

import "time"

// A tenant is in the table while it has a container or a waiter.
type tenant struct {
	name       string
	containers []*container  // its own, at most perTenant, none of them retired
	waiting    list[*waiter] // first come, first served
	turn       link[*tenant] // in turns
	turnSince  time.Time
	meanRun    mean
}

// A container is one that Start gave, with its place in the table.
type container struct {
	Container
	place    link[*container]
	tenant   *tenant // nil for a spare; set once
	running  int
	since    time.Time     // when it came into the list it is in
	failures int           // of starts, before this one
	retired  bool          // gets no calls any more
	why      string        // it was retired
	end      chan struct{} // closed when its goroutine should close it
	ended    bool
}

func (s *Scheduler) takeLocked(c *container) {
	s.running++
	c.running++
	if c.place.in != &s.busy { // one that hands its only slot on was busy all along
		s.moveLocked(c, &s.busy, time.Now())
	}
}

// ownLocked makes a spare the tenant's, for life.
func (s *Scheduler) ownLocked(c *container, t *tenant) {
	c.tenant = t
	t.containers = append(t.containers, c)
	s.owned++
	s.moveLocked(c, &s.idle, time.Now())
}

func (s *Scheduler) moveLocked(c *container, to *list[*container], now time.Time) {
	c.place.leave()
	to.push(&c.place)
	c.since = now
}

func (s *Scheduler) tenantLocked(name string) *tenant {
	t := s.tenants[name]
	if t == nil {
		t = &tenant{name: name}
		t.turn.item = t
		s.tenants[name] = t
	}
	return t
}

func (s *Scheduler) forgetLocked(t *tenant) {
	if len(t.containers) == 0 && t.waiting.length == 0 {
		delete(s.tenants, t.name)
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
