package scheduler

import (
	"slices"
	"sync/atomic"
	"time"
)

// A tenant is in the table while it has a container or a waiter. Its calls with Once belong to a second
// one, which once and of connect with it, so that they wait in a queue, and for turns, of their own.
type tenant struct {
	name       string
	policy     Policy
	class      *class
	idle       *idleLine
	once       *tenant       // nil while there are no such calls
	of         *tenant       // set for a tenant that is another's once
	slots      int           // of one of its containers
	most       int           // containers that it may have
	containers []*container  // its own, none of them retired
	worn       int           // of these, to be replaced
	lingering  int           // retired ones that sessions still hold
	waiting    list[*waiter] // for a slot of any of its containers; first come, first served
	queued     int           // calls that wait, those in its sessions too
	openers    int           // of those that wait, how many open a session
	turn       turn
	served     bool // has had a container for a call with Once, and not waited for a turn since
	meanRun    mean
}

// A container is one that Start gave, with its place in the table.
type container struct {
	Container
	class    *class
	place    link[*container]
	tenant   *tenant // nil for a spare; set once
	slots    int     // since it has a tenant
	running  int
	calls    int            // that were given a slot, so far
	opening  int            // of those running, how many open a session
	sessions list[*session] // that have not ended
	waiting  list[*waiter]  // calls of sessions, for a slot of this container
	used     atomic.Bool    // a call was executed in it
	born     time.Time
	since    time.Time   // when it came into the list it is in
	old      *time.Timer // wears it at its age
	failures int         // of starts, before this one
	worn     string      // why it is to be replaced; empty: it is not
	inWorn   link[*container]
	retired  bool          // gets no calls any more, but from its sessions
	why      string        // it was retired
	end      chan struct{} // closed when its goroutine should close it
	ended    bool
	lingers  bool // retired, and sessions hold it
}

// claimLocked takes a slot of the tenant, or a spare of its class, if there is one to be had at once.
func (s *Scheduler) claimLocked(t *tenant, k kind) *container {
	if t.waiting.length > 0 {
		return nil // they are before it, and line up for that spare already
	}
	var in *list[*container]
	if k == opens && !s.mayHoldLocked(t) {
		in = &s.held
	}
	if c := t.freest(in); c != nil {
		s.takeLocked(c, k)
		return c
	}
	if in != nil || len(t.containers) >= t.most || !s.maySpareLocked(t) {
		return nil
	}
	c := t.class.spares.front()
	s.ownLocked(c, t)
	s.takeLocked(c, k)
	s.balanceLocked(time.Now())
	return c
}

// freest is the container of the tenant with most free slots, one that is worn only where no other has any; of
// those in one list, if that is not nil.
func (t *tenant) freest(in *list[*container]) (best *container) {
	for _, c := range t.containers {
		switch {
		case in != nil && c.place.in != in || c.running >= c.slots || c.dead():
		case best == nil, best.worn != "" && c.worn == "":
			best = c
		case (best.worn == "") == (c.worn == "") && c.slots-c.running > best.slots-best.running:
			best = c
		}
	}
	return best
}

// maySpareLocked says whether there is a spare for the tenant. Those kept ready are for tenants that come with
// nothing, while there is room to start one for the others.
func (s *Scheduler) maySpareLocked(t *tenant) bool {
	spares := t.class.spares.length
	if spares == 0 || t.isNew() || t.class != s.base || spares > s.cfg.Spare {
		return spares > 0
	}
	return s.base.starting == 0 && s.totalLocked().all()+s.lingering >= s.cfg.Max
}

func (s *Scheduler) takeLocked(c *container, k kind) {
	s.running++
	c.running++
	c.calls++
	if k == opens {
		c.opening++ // it is held from here on: no turn may end between now and the answer
	}
	if c.retired {
		return // a call of one of the sessions that hold it
	}
	if to := s.listLocked(c); c.place.in != to { // one that hands its only slot on was busy all along
		s.moveLocked(c, to, time.Now())
	}
	if most := c.tenant.policy.MaxCalls; most > 0 && c.calls >= most && c.tenant.of == nil {
		s.retireLocked(c, whyCalls)
		s.alarmLocked(time.Now()) // whoever takes slots is in the middle of something: keep balances
	}
}

// listLocked is where a tenant's container belongs.
func (s *Scheduler) listLocked(c *container) *list[*container] {
	switch {
	case c.opening > 0 || c.sessions.length > 0:
		return &s.held
	case c.running == 0:
		return &c.tenant.idle.list
	case c.tenant.of != nil:
		return &s.lone
	default:
		return &s.busy
	}
}

// ownLocked makes a spare the tenant's, for life.
func (s *Scheduler) ownLocked(c *container, t *tenant) {
	c.tenant, c.slots = t, t.slots
	t.served = t.of != nil
	t.containers = append(t.containers, c)
	c.class.owned++
	s.slots += c.slots
	s.moveLocked(c, &t.idle.list, time.Now())
	s.setAgeLocked(c, t.policy.MaxAge)
	if t.worn > 0 {
		i := slices.IndexFunc(t.containers, func(c *container) bool { return c.worn != "" })
		s.retireLocked(t.containers[i], t.containers[i].worn)
	}
	s.lineUpLocked(t)
}

func (s *Scheduler) moveLocked(c *container, to *list[*container], now time.Time) {
	c.place.leave()
	to.push(&c.place)
	c.since = now
	s.listWornLocked(c)
}

// tenantLocked gives the tenant of that name, with k once, or a policy of containers with one call, the one
// for its calls with Once.
func (s *Scheduler) tenantLocked(name string, k kind) *tenant {
	t := s.tenants[name]
	if t == nil {
		p := s.cfg.Policy(name).withDefaults()
		t = newTenant(name, nil, s.classLocked(p.Class))
		s.applyLocked(t, p)
		t.class.tenants++
		s.tenants[name] = t
	}
	if k != once && (k != plain || t.policy.MaxCalls != 1) {
		return t
	}
	if t.once == nil {
		t.once = newTenant(name, t, t.class)
		s.applyLocked(t, t.policy)
	}
	return t.once
}

func newTenant(name string, of *tenant, k *class) *tenant {
	t := &tenant{name: name, of: of, class: k}
	t.turn.place.item = t
	return t
}

func (s *Scheduler) forgetLocked(t *tenant) {
	switch {
	case len(t.containers) > 0 || t.lingering > 0 || t.queued > 0 || t.once != nil:
	case t.of != nil && t.of.once == t:
		t.of.once = nil
		s.forgetLocked(t.of)
	case s.tenants[t.name] == t:
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
