package scheduler

import (
	"slices"
	"time"
)

// tenants are those in the table, those for calls with Once behind the ones they belong to. The
// scheduler's mutex is held.
func (m *model) tenants() (all []*tenant) {
	for _, t := range m.s.alloc.table.tenants {
		all = append(all, t)
		if t.oneShot != nil {
			all = append(all, t.oneShot)
		}
	}
	return all
}

func (m *model) check() {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m.checkContainers()
	m.checkClasses()
	m.checkCalls()
	m.checkEnded()
	m.checkNothingLeftUndone()
}

// checkContainers: each in exactly one place, each with one tenant of its class, never more than Max.
func (m *model) checkContainers() {
	s, owned := m.s, 0
	for _, k := range s.alloc.table.profiles {
		for _, c := range k.spares.items(m.T) {
			if c.tenant != nil || c.running != 0 || c.draining || c.profile != k || c.Container.(*fake).class != k.name {
				m.Errorf("spare %s of %v with %d calls, in class %q", c.ID(), c.tenant, c.running, k.name)
			}
		}
	}
	tenants := m.tenants()
	lists := []*list[*container]{&s.alloc.pool.busy, &s.alloc.pool.oneShot, &s.alloc.pool.pinned}
	for _, l := range s.alloc.table.idle {
		lists = append(lists, &l.list)
	}
	for _, l := range lists {
		for i, c := range l.items(m.T) {
			owned++
			m.checkOwned(c, l, tenants)
			if i > 0 && l.items(m.T)[i-1].since.After(c.since) {
				m.Error("not in order of since")
			}
		}
	}
	sum := s.alloc.table.total()
	if owned != sum.owned {
		m.Errorf("%d owned containers, counted %d", owned, sum.owned)
	}
	total := sum.starting + sum.spares + owned + s.alloc.pool.draining.length
	if _, alive := m.w.count(); total > s.cfg.Max || alive != total {
		m.Errorf("%d containers exist, the table has %d, at most %d are allowed", alive, total, s.cfg.Max)
	}
	if sum.starting > s.cfg.Starts {
		m.Errorf("%d starting, at most %d are allowed", sum.starting, s.cfg.Starts)
	}
}

// checkOwned: a tenant's container is in the place that fits what it does.
func (m *model) checkOwned(c *container, in *list[*container], tenants []*tenant) {
	if c.draining || !slices.Contains(tenants, c.tenant) {
		m.Fatalf("container %s of %v, retired: %v", c.ID(), c.tenant, c.draining)
	}
	want := &m.s.alloc.pool.busy
	switch {
	case c.opening+c.pins.length > 0:
		want = &m.s.alloc.pool.pinned
	case c.running == 0:
		want = &c.tenant.idle.list
	case c.tenant.parent != nil:
		want = &m.s.alloc.pool.oneShot
	}
	if in != want {
		m.Errorf("container %s is in the wrong place, with %d calls", c.ID(), c.running)
	}
	if c.tenant.parent != nil && c.running == 0 && c.used.Load() {
		m.Errorf("container %s has had its only call", c.ID())
	}
	f := c.Container.(*fake)
	if f.isDead() {
		m.Errorf("%s is dead", c.ID())
	}
	if f.owner() != "" && f.owner() != c.tenant.name {
		m.Errorf("container of %s in the table of %s", f.owner(), c.tenant.name)
	}
	if c.profile != c.tenant.profile && c.stale == "" && c.tenant.parent == nil {
		m.Errorf("container of class %q is %s's, of class %q", f.class, c.tenant.name, c.tenant.profile.name)
	}
	if c.stale != "" && c.running == 0 {
		m.Errorf("%s is worn, and runs no calls", c.ID())
	}
}

// checkClasses: each has what belongs to it, and one without anything is forgotten.
func (m *model) checkClasses() {
	tenants, owned := map[*profile]int{}, map[*profile]int{}
	for _, t := range m.tenants() {
		worn := 0
		for _, c := range t.containers {
			owned[c.profile]++
			if c.stale != "" {
				worn++
			}
		}
		if t.stale != worn {
			m.Errorf("%s counts %d worn containers, has %d", t.name, t.stale, worn)
		}
		if t.parent == nil {
			tenants[t.profile]++
		}
		if t.profile.name != m.w.generation(classOf(t.name)) || !slices.Contains(m.s.alloc.table.profiles, t.profile) {
			m.Errorf("%s is of class %q", t.name, t.profile.name)
		}
	}
	for _, c := range m.s.alloc.pool.busy.items(m.T) {
		if in := c.stalePlace.in; c.stale != "" && in != &c.tenant.profile.stale || c.stale == "" && in != nil {
			m.Errorf("%s, worn: %q, is in the wrong place", c.ID(), c.stale)
		}
	}
	for _, k := range m.s.alloc.table.profiles {
		for _, c := range k.stale.items(m.T) {
			if c.place.in != &m.s.alloc.pool.busy {
				m.Errorf("%s, worn, is not busy", c.ID())
			}
		}
		if k.tenants != tenants[k] || k.owned != owned[k] {
			m.Errorf("class %q counts %d tenants, %d containers of theirs; has %d, %d", k.name, k.tenants, k.owned, tenants[k], owned[k])
		}
		failed := k.failures > 0 && k.retryAt.Add(lastBackoff).After(time.Now())
		if k != m.s.alloc.table.base && k.canary == nil && k.tenants == 0 && k.spares.length == 0 && k.starting == 0 && k.owned == 0 && !failed {
			m.Errorf("class %q should be forgotten", k.name)
		}
	}
	if !slices.Contains(m.s.alloc.table.profiles, m.s.alloc.table.base) || m.s.alloc.table.base.name != m.w.generation("") {
		m.Errorf("%d classes, the default one is %q", len(m.s.alloc.table.profiles), m.s.alloc.table.base.name)
	}
}

// checkCalls: each waits in one queue or runs in one container, and every tenant with a free slot
// in sight has no waiters.
func (m *model) checkCalls() {
	s, queued, inTurns, running, containers := m.s, 0, 0, 0, 0
	for _, f := range m.w.containers() {
		f.mu.Lock()
		running += f.running
		f.mu.Unlock()
	}
	for _, t := range m.tenants() {
		name, waiting := t.name, len(t.waiting.items(m.T))
		queued += waiting
		containers += len(t.containers)
		if t.queued == 0 && len(t.containers) == 0 && t.pinned == 0 && t.oneShot == nil {
			m.Errorf("%s should be forgotten", name)
		}
		queuedIn := 0
		for _, c := range t.containers {
			lined := m.checkSessions(c)
			if c.tenant != t || waiting+lined > 0 && c.running < c.slots {
				m.Errorf("%s has %d waiters and %d calls in %s, and %d that wait for it", name, waiting, c.running, c.ID(), lined)
			}
			queuedIn += lined
		}
		for _, c := range s.alloc.pool.draining.items(m.T) {
			if c.tenant == t {
				lined := m.checkSessions(c)
				queuedIn += lined
				if lined > 0 && c.running < c.slots {
					m.Errorf("%d calls wait for %s, which has %d", lined, c.ID(), c.running)
				}
			}
		}
		queued += queuedIn
		if t.queued != waiting+queuedIn {
			m.Errorf("%s has %d calls that wait, counted %d", name, waiting+queuedIn, t.queued)
		}
		if len(t.containers) > t.limit+t.stale && (t.parent == nil || !m.updated) { // those with their only call are left alone
			m.Errorf("%s has %d containers, may have %d", name, len(t.containers), t.limit)
		}
		inTurns += m.checkTurn(t, waiting)
	}
	for _, k := range s.alloc.table.profiles {
		for _, f := range []*fair[*tenant]{&k.waiting.cold, &k.waiting.oneShot, &k.waiting.scaleUp} {
			inTurns -= f.length
			demand := f.demand
			for _, l := range f.lanes {
				members := l.members.items(m.T)
				for i, p := range members {
					demand -= p.demand
					if p.item.position.in != f || p != &p.item.position {
						m.Errorf("%s is not where it says", p.item.name)
					}
					if i > 0 && members[i-1].finish > p.finish {
						m.Errorf("the lane of weight %d is not in order", l.weight)
					}
				}
			}
			if demand != 0 {
				m.Errorf("a demand of %d is counted too much", demand)
			}
		}
	}
	if inTurns != 0 {
		m.Errorf("%d tenants wait for a container that are in no turns", inTurns)
	}
	if sum := s.alloc.table.total(); queued != s.alloc.queue.queued || running != s.alloc.pool.running || containers != sum.owned {
		m.Errorf("counted %d queued, %d running, %d owned; are %d, %d, %d", s.alloc.queue.queued, s.alloc.pool.running, sum.owned, queued, running, containers)
	}
	if left := m.sent - m.answered.Load() - m.behind.Load(); int64(queued+running) != left {
		m.Errorf("%d calls without an answer, %d in the table", left, queued+running)
	}
}

// checkTurn: who waits for a container is in the line it belongs in.
func (m *model) checkTurn(t *tenant, waiting int) (inTurns int) {
	var want *fair[*tenant]
	wants := 0
	switch has := len(t.containers); {
	case waiting > 0 && has == 0 && (t.parent == nil || !t.served):
		want, wants = &t.profile.waiting.cold, 1
	case waiting > 0 && has < t.limit || t.stale > 0:
		want, wants = &t.profile.waiting.scaleUp, min((waiting+t.slots-1)/t.slots, t.limit-has)
		wants = max(wants, min(t.stale, 1))
		if has == 0 {
			want = &t.profile.waiting.oneShot
		}
	}
	if t.position.in != want || t.position.demand != wants {
		m.Errorf("%s, with %d waiters, %d containers, %d of them worn, is in the wrong line: %+v", t.name, waiting, len(t.containers), t.stale, t.position)
	}
	if want == nil {
		return 0
	}
	return 1
}

// checkSessions: a container is held by the sessions that are in it, each with one call in line or running. It gives how
// many calls wait.
func (m *model) checkSessions(c *container) (lined int) {
	running := 0
	sessions := c.pins.items(m.T)
	for _, ss := range sessions {
		switch {
		case ss.waiting != nil:
			lined++
			if ss.waiting.place.in != &c.waiting || ss.waiting.pin != ss || !ss.inFlight || ss.closed {
				m.Errorf("a session in %s is confused: %+v", c.ID(), ss)
			}
		case ss.inFlight:
			running++
		}
	}
	if inLine := len(c.waiting.items(m.T)); inLine != lined {
		m.Errorf("%d calls wait for %s, its sessions have %d", inLine, c.ID(), lined)
	}
	f := c.Container.(*fake)
	f.mu.Lock()
	defer f.mu.Unlock()
	inSessions := 0
	for _, ss := range f.sessions {
		if ss.running {
			inSessions++
		}
		if !slices.ContainsFunc(sessions, func(other *pin) bool { return other.session == ss }) {
			m.Errorf("%s is not held by a session in it", c.ID())
		}
	}
	if len(f.sessions) != len(sessions) || inSessions != running || c.running < running+c.opening {
		m.Errorf("%s has %d sessions with %d calls; counted %d with %d, %d calls in all", c.ID(),
			len(f.sessions), inSessions, len(sessions), running, c.running)
	}
	return lined
}

// checkEnded: what is on its way out has nothing that waits, and no sessions that are not on theirs.
func (m *model) checkEnded() {
	sessions := 0
	for _, t := range m.tenants() {
		for _, c := range t.containers {
			sessions += c.pins.length
		}
	}
	lingering := 0
	for _, c := range m.s.alloc.pool.draining.items(m.T) {
		if c.closing != (c.running+c.pins.length == 0) || c.closing && c.waiting.length > 0 {
			m.Errorf("%s, retired, has %d sessions, %d waiters, %d calls; ended: %v", c.ID(), c.pins.length, c.waiting.length, c.running, c.closing)
		}
		sessions += c.pins.length
		if c.opening+c.pins.length > 0 {
			lingering++
		}
	}
	if m.s.alloc.pool.drainingPinned != lingering {
		m.Errorf("%d retired containers have sessions, counted %d", lingering, m.s.alloc.pool.drainingPinned)
	}
	if held := m.s.alloc.pool.pinned.length + lingering; held > max(1, m.s.cfg.Max*3/4) {
		m.Errorf("sessions hold %d of %d containers", held, m.s.cfg.Max)
	}
	if m.s.alloc.pool.sessions != sessions {
		m.Errorf("%d sessions, counted %d", sessions, m.s.alloc.pool.sessions)
	}
}
