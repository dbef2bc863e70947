package scheduler

import (
	"slices"
	"time"
)

// tenants are those in the table, those for calls with Once behind the ones they belong to. The
// scheduler's mutex is held.
func (m *model) tenants() (all []*tenant) {
	for _, t := range m.s.tenants {
		all = append(all, t)
		if t.once != nil {
			all = append(all, t.once)
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
	m.checkNothingLeftUndone()
}

// checkContainers: each in exactly one place, each with one tenant of its class, never more than Max.
func (m *model) checkContainers() {
	s, owned := m.s, 0
	for _, k := range s.classes {
		for _, c := range k.spares.items(m.T) {
			if c.tenant != nil || c.running != 0 || c.retired || c.class != k || c.Container.(*fake).class != k.name {
				m.Errorf("spare %s of %v with %d calls, in class %q", c.ID(), c.tenant, c.running, k.name)
			}
		}
	}
	tenants := m.tenants()
	for _, l := range []*list[*container]{&s.idle, &s.busy, &s.lone} {
		for i, c := range l.items(m.T) {
			owned++
			m.checkOwned(c, l, tenants)
			if i > 0 && l.items(m.T)[i-1].since.After(c.since) {
				m.Error("not in order of since")
			}
		}
	}
	sum := s.totalLocked()
	if owned != sum.owned {
		m.Errorf("%d owned containers, counted %d", owned, sum.owned)
	}
	total := sum.starting + sum.spares + owned + s.retired
	if _, alive := m.w.count(); total > s.cfg.Max || alive != total {
		m.Errorf("%d containers exist, the table has %d, at most %d are allowed", alive, total, s.cfg.Max)
	}
	if sum.starting > s.cfg.Starts {
		m.Errorf("%d starting, at most %d are allowed", sum.starting, s.cfg.Starts)
	}
}

// checkOwned: a tenant's container is in the place that fits what it does.
func (m *model) checkOwned(c *container, in *list[*container], tenants []*tenant) {
	if c.retired || !slices.Contains(tenants, c.tenant) {
		m.Fatalf("container %s of %v, retired: %v", c.ID(), c.tenant, c.retired)
	}
	want := &m.s.busy
	switch {
	case c.running == 0:
		want = &m.s.idle
	case c.tenant.of != nil:
		want = &m.s.lone
	}
	if in != want {
		m.Errorf("container %s is in the wrong place, with %d calls", c.ID(), c.running)
	}
	if c.tenant.of != nil && c.running == 0 && c.used.Load() {
		m.Errorf("container %s has had its only call", c.ID())
	}
	f := c.Container.(*fake)
	if f.owner() != "" && f.owner() != c.tenant.name {
		m.Errorf("container of %s in the table of %s", f.owner(), c.tenant.name)
	}
	if f.class != classOf(c.tenant.name) || c.class != c.tenant.class {
		m.Errorf("container of class %q is %s's", f.class, c.tenant.name)
	}
}

// checkClasses: each has what belongs to it, and one without anything is forgotten.
func (m *model) checkClasses() {
	tenants, owned := map[*class]int{}, map[*class]int{}
	for _, t := range m.tenants() {
		owned[t.class] += len(t.containers)
		if t.of == nil {
			tenants[t.class]++
		}
		if t.class.name != classOf(t.name) || !slices.Contains(m.s.classes, t.class) {
			m.Errorf("%s is of class %q", t.name, t.class.name)
		}
	}
	for i, k := range m.s.classes {
		if k.tenants != tenants[k] || k.owned != owned[k] {
			m.Errorf("class %q counts %d tenants, %d containers of theirs; has %d, %d", k.name, k.tenants, k.owned, tenants[k], owned[k])
		}
		failed := k.failures > 0 && k.retryAt.Add(lastBackoff).After(time.Now())
		if i > 0 && k.tenants == 0 && k.spares.length == 0 && k.starting == 0 && !failed {
			m.Errorf("class %q should be forgotten", k.name)
		}
	}
	if m.s.classes[0] != m.s.base || m.s.base.name != "" || len(m.s.classes) > len(modelClasses) {
		m.Errorf("%d classes, the first is %q", len(m.s.classes), m.s.classes[0].name)
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
		if waiting == 0 && len(t.containers) == 0 && t.once == nil {
			m.Errorf("%s should be forgotten", name)
		}
		for _, c := range t.containers {
			if c.tenant != t || waiting > 0 && c.running < t.slots {
				m.Errorf("%s has %d waiters and %d calls in %s", name, waiting, c.running, c.ID())
			}
		}
		if len(t.containers) > t.most {
			m.Errorf("%s has %d containers, may have %d", name, len(t.containers), t.most)
		}
		if waits := waiting > 0 && len(t.containers) < t.most; waits != (t.turn.in == &t.class.turns.line) {
			m.Errorf("%s has %d waiters and %d containers; in turns: %v", name, waiting, len(t.containers), !waits)
		} else if waits {
			inTurns++
		}
	}
	for _, k := range s.classes {
		inTurns -= len(k.turns.line.items(m.T))
	}
	if inTurns != 0 {
		m.Errorf("%d tenants wait for a container that are in no turns", inTurns)
	}
	if sum := s.totalLocked(); queued != s.queued || running != s.running || containers != sum.owned {
		m.Errorf("counted %d queued, %d running, %d owned; are %d, %d, %d", s.queued, s.running, sum.owned, queued, running, containers)
	}
	if left := m.sent - m.answered.Load(); int64(queued+running) != left {
		m.Errorf("%d calls without an answer, %d in the table", left, queued+running)
	}
}

// checkNothingLeftUndone: where nothing moves, all that could be done has been.
func (m *model) checkNothingLeftUndone() {
	s, now := m.s, time.Now()
	crowded := m.checkPlaces(now)
	overdue := []time.Time{s.alarm}
	if s.cfg.IdleTimeout > 0 && s.idle.length > 0 {
		overdue = append(overdue, s.idle.front().since.Add(s.cfg.IdleTimeout))
	}
	for _, k := range s.classes {
		if s.cfg.IdleTimeout > 0 && k != s.base && k.spares.length > 0 {
			overdue = append(overdue, k.spares.front().since.Add(s.cfg.IdleTimeout))
		}
	}
	if crowded && s.busy.length > 0 {
		overdue = append(overdue, s.busy.front().since.Add(s.cfg.Turn))
	}
	if slices.ContainsFunc(overdue, func(at time.Time) bool { return !at.IsZero() && at.Before(now) }) {
		m.Errorf("overdue: %v at %v", overdue, now)
	}
}

// checkPlaces judges by itself what starts are due, and whether there is room for those that wait.
func (m *model) checkPlaces(now time.Time) (crowded bool) {
	s, sum := m.s, m.s.totalLocked()
	used := sum.starting + sum.spares + sum.owned
	mayStart := used+s.retired < s.cfg.Max && sum.starting < s.cfg.Starts
	need, probing := 0, 0
	for _, k := range s.classes[1:] {
		if k.failures > 0 {
			probing += k.starting
		}
	}
	for _, k := range s.classes {
		waiting := k.turns.length()
		if waiting > 0 && k.spares.length > 0 {
			m.Errorf("%d tenants wait for class %q, and %d spares", waiting, k.name, k.spares.length)
		}
		want := waiting - k.starting
		tries := k.starting == 0 && !k.retryAt.After(now) && (k == s.base || probing < max(1, s.cfg.Starts-1))
		if k.failures > 0 && !tries {
			continue
		}
		if want > 0 && mayStart {
			m.Errorf("class %q, with %d failures, is due a start: %d tenants wait, %d starting", k.name, k.failures, waiting, k.starting)
		}
		if k.failures == 0 {
			need += max(0, want)
		} else if want > 0 {
			need++
			probing++
		}
		spare := k == s.base && s.state == open && (k.starting+k.spares.length < waiting+s.cfg.Spare || used < s.cfg.Min)
		if probe := k == s.base && k.failures > 0 && k.spares.length == 0; mayStart && (spare || probe) {
			m.Errorf("a spare is due: %+v", sum)
		}
	}
	crowded = need > s.cfg.Max-used
	if crowded && s.idle.length+sum.spares > 0 {
		m.Errorf("%d starts wanted, and %d containers are idle, %d spare", need, s.idle.length, sum.spares)
	}
	return crowded
}
