package scheduler

import (
	"slices"
	"time"
)

// tenants are all in the table, with the halves for one-shot calls behind the ones they belong to. The
// scheduler's mutex is held.
func (m *model) tenants() (all []*tenant) {
	for _, t := range m.a.table.tenants {
		all = append(all, t)
		if t.oneShot != nil {
			all = append(all, t.oneShot)
		}
	}
	return all
}

// never fails where something is so that must never be.
func (m *model) never(is bool, format string, args ...any) {
	m.Helper()
	if is {
		m.Errorf(format, args...)
	}
}

func (m *model) check() {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m.checkContainers()
	m.checkProfiles()
	m.checkCalls()
	m.checkEnded()
	m.checkNothingLeftUndone()
}

// checkContainers: each in exactly one place, each with one tenant of its profile, never more than Max.
func (m *model) checkContainers() {
	s, owned := m.s, 0
	for _, k := range m.a.table.profiles {
		for _, c := range k.spares.items(m.T) {
			if c.tenant != nil || c.running != 0 || c.draining || c.profile != k || c.Container.(*fake).profile != k.name {
				m.Errorf("spare %s of %v with %d calls, in profile %q", c.ID(), c.tenant, c.running, k.name)
			}
		}
	}
	tenants := m.tenants()
	lists := []*list[*container]{&m.a.pool.busy, &m.a.pool.oneShot, &m.a.pool.pinned}
	for _, l := range m.a.table.idle {
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
	sum := m.a.table.total()
	m.never(owned != sum.owned, "%d owned containers, counted %d", owned, sum.owned)
	total := sum.starting + sum.spares + owned + m.a.pool.draining.length
	if _, alive := m.w.count(); total > s.cfg.Max || alive != total {
		m.Errorf("%d containers exist, the table has %d, at most %d are allowed", alive, total, s.cfg.Max)
	}
	m.never(sum.starting > s.cfg.Starts, "%d starting, at most %d are allowed", sum.starting, s.cfg.Starts)
}

// checkOwned: a tenant's container is in the place that fits what it does.
func (m *model) checkOwned(c *container, in *list[*container], tenants []*tenant) {
	if c.draining || !slices.Contains(tenants, c.tenant) {
		m.Fatalf("container %s of %v, draining: %v", c.ID(), c.tenant, c.draining)
	}
	want := &m.a.pool.busy
	switch {
	case c.opening+c.pins.length > 0:
		want = &m.a.pool.pinned
	case c.running == 0:
		want = &c.tenant.idle.list
	case c.tenant.parent != nil:
		want = &m.a.pool.oneShot
	}
	m.never(in != want, "container %s is in the wrong place, with %d calls", c.ID(), c.running)
	m.never(c.tenant.parent != nil && c.running == 0 && c.used.Load(), "container %s has had its only call", c.ID())
	f := c.Container.(*fake)
	m.never(f.isDead(), "%s is dead", c.ID())
	m.never(f.owner() != "" && f.owner() != c.tenant.name, "container of %s in the table of %s", f.owner(), c.tenant.name)
	if c.profile != c.tenant.profile && c.stale == "" && c.tenant.parent == nil {
		m.Errorf("container of profile %q is %s's, of profile %q", f.profile, c.tenant.name, c.tenant.profile.name)
	}
	m.never(c.stale != "" && c.running == 0, "%s is stale, and runs no calls", c.ID())
}

// checkProfiles: each has what belongs to it, and one without anything is forgotten.
func (m *model) checkProfiles() {
	tenants, owned := map[*profile]int{}, map[*profile]int{}
	for _, t := range m.tenants() {
		stale := 0
		for _, c := range t.containers {
			owned[c.profile]++
			if c.stale != "" {
				stale++
			}
		}
		m.never(t.stale != stale, "%s counts %d stale containers, has %d", t.name, t.stale, stale)
		if t.parent == nil {
			tenants[t.profile]++
		}
		m.never(t.profile.name != m.w.generation(kindOfTenant(t.name)) || !slices.Contains(m.a.table.profiles, t.profile), "%s is of profile %q", t.name, t.profile.name)
	}
	for _, c := range m.a.pool.busy.items(m.T) {
		if in := c.stalePlace.in; c.stale != "" && in != &c.tenant.profile.stale || c.stale == "" && in != nil {
			m.Errorf("%s, stale: %q, is in the wrong place", c.ID(), c.stale)
		}
	}
	for _, k := range m.a.table.profiles {
		for _, c := range k.stale.items(m.T) {
			m.never(c.place.in != &m.a.pool.busy, "%s, stale, is not busy", c.ID())
		}
		m.never(k.tenants != tenants[k] || k.owned != owned[k], "profile %q counts %d tenants, %d containers of theirs; has %d, %d", k.name, k.tenants, k.owned, tenants[k], owned[k])
		failed := k.failures > 0 && k.retryAt.Add(lastBackoff).After(time.Now())
		if k != m.a.table.base && k.canary == nil && k.tenants == 0 && k.spares.length == 0 && k.starting == 0 && k.owned == 0 && !failed {
			m.Errorf("profile %q should be forgotten", k.name)
		}
	}
	if !slices.Contains(m.a.table.profiles, m.a.table.base) || m.a.table.base.name != m.w.generation("") {
		m.Errorf("%d profiles, the default one is %q", len(m.a.table.profiles), m.a.table.base.name)
	}
}

// checkCalls: each waits in one queue or runs in one container, and every tenant with a free slot
// in sight has no waiters.
func (m *model) checkCalls() {
	queued, inQueues, running, containers := 0, 0, 0, 0
	for _, f := range m.w.containers() {
		f.mu.Lock()
		running += f.running
		f.mu.Unlock()
	}
	for _, t := range m.tenants() {
		name, waiting := t.name, len(t.waiting.items(m.T))
		queued += waiting
		containers += len(t.containers)
		m.never(t.queued == 0 && len(t.containers) == 0 && t.pinned == 0 && t.oneShot == nil, "%s should be forgotten", name)
		queuedIn := 0
		for _, c := range t.containers {
			lined := m.checkSessions(c)
			if c.tenant != t || waiting+lined > 0 && c.running < c.slots {
				m.Errorf("%s has %d waiters and %d calls in %s, and %d that wait for it", name, waiting, c.running, c.ID(), lined)
			}
			queuedIn += lined
		}
		for _, c := range m.a.pool.draining.items(m.T) {
			if c.tenant == t {
				lined := m.checkSessions(c)
				queuedIn += lined
				m.never(lined > 0 && c.running < c.slots, "%d calls wait for %s, which has %d", lined, c.ID(), c.running)
			}
		}
		queued += queuedIn
		m.never(t.queued != waiting+queuedIn, "%s has %d calls that wait, counted %d", name, waiting+queuedIn, t.queued)
		if len(t.containers) > t.limit+t.stale && (t.parent == nil || !m.updated) { // those with their only call are left alone
			m.Errorf("%s has %d containers, may have %d", name, len(t.containers), t.limit)
		}
		inQueues += m.checkPosition(t, waiting)
	}
	for _, k := range m.a.table.profiles {
		for _, f := range []*fair[*tenant]{&k.waiting.cold, &k.waiting.oneShot, &k.waiting.scaleUp} {
			inQueues -= f.length
			demand := f.demand
			for _, l := range f.lanes {
				members := l.members.items(m.T)
				for i, p := range members {
					demand -= p.demand
					m.never(p.item.position.in != f || p != &p.item.position, "%s is not where it says", p.item.name)
					m.never(i > 0 && members[i-1].finish > p.finish, "the lane of weight %d is not in order", l.weight)
				}
			}
			m.never(demand != 0, "a demand of %d is counted too much", demand)
		}
	}
	m.never(inQueues != 0, "%d tenants wait for a container that are in no wait queue", inQueues)
	if sum := m.a.table.total(); queued != m.a.queue.queued || running != m.a.pool.running || containers != sum.owned {
		m.Errorf("counted %d queued, %d running, %d owned; are %d, %d, %d", m.a.queue.queued, m.a.pool.running, sum.owned, queued, running, containers)
	}
	if left := m.sent - m.answered.Load() - m.behind.Load(); int64(queued+running) != left {
		m.Errorf("%d calls without an answer, %d in the table", left, queued+running)
	}
}

// checkPosition: a tenant that waits for a container is in the wait queue it belongs in.
func (m *model) checkPosition(t *tenant, waiting int) (inQueues int) {
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
		m.Errorf("%s, with %d waiters, %d containers, %d of them stale, is in the wrong queue: %+v", t.name, waiting, len(t.containers), t.stale, t.position)
	}
	if want == nil {
		return 0
	}
	return 1
}

// checkSessions: a container is pinned by the sessions that are in it, each with one call in line or running. It gives how
// many calls wait.
func (m *model) checkSessions(c *container) (lined int) {
	running := 0
	sessions := c.pins.items(m.T)
	for _, ss := range sessions {
		switch {
		case ss.waiting != nil:
			lined++
			m.never(ss.waiting.place.in != &c.waiting || ss.waiting.pin != ss || !ss.inFlight || ss.closed, "a session in %s is confused: %+v", c.ID(), ss)
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
		m.never(!slices.ContainsFunc(sessions, func(other *pin) bool { return other.session == ss }), "%s is not pinned by a session in it", c.ID())
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
	drainingPinned := 0
	for _, c := range m.a.pool.draining.items(m.T) {
		if c.closing != (c.running+c.pins.length == 0) || c.closing && c.waiting.length > 0 {
			m.Errorf("%s, draining, has %d sessions, %d waiters, %d calls; ended: %v", c.ID(), c.pins.length, c.waiting.length, c.running, c.closing)
		}
		sessions += c.pins.length
		if c.opening+c.pins.length > 0 {
			drainingPinned++
		}
	}
	m.never(m.a.pool.drainingPinned != drainingPinned, "%d draining containers have sessions, counted %d", drainingPinned, m.a.pool.drainingPinned)
	if held := m.a.pool.pinned.length + drainingPinned; held > max(1, m.s.cfg.Max*3/4) {
		m.Errorf("sessions pin %d of %d containers", held, m.s.cfg.Max)
	}
	m.never(m.a.pool.sessions != sessions, "%d sessions, counted %d", sessions, m.a.pool.sessions)
}
