package scheduler

import (
	"slices"
	"time"
)

// checkNothingLeftUndone: where nothing moves, all that could be done has been.
func (m *model) checkNothingLeftUndone() {
	s, now := m.s, time.Now()
	crowded := m.checkPlaces(now)
	overdue := []time.Time{m.a.janitor.next}
	for _, l := range m.a.table.idle {
		if l.timeout > 0 && l.length > 0 {
			overdue = append(overdue, l.front().since.Add(l.timeout))
		}
	}
	for _, k := range m.a.table.profiles {
		for _, l := range k.waiting.oneShot.lanes {
			for _, p := range l.members.items(m.T) {
				overdue = append(overdue, p.joined.Add(s.cfg.TimeSlice))
			}
		}
		if k != m.a.table.base && k.spares.length > 0 {
			overdue = append(overdue, k.spares.front().since.Add(spareTTL))
		}
	}
	if crowded && m.a.pool.busy.length > 0 {
		overdue = append(overdue, m.a.pool.busy.front().since.Add(s.cfg.TimeSlice))
	}
	sum, k := m.a.table.total(), m.a.table.base
	fewSpares := m.a.state == open && k.failures == 0 && k.spares.length+k.starting < min(s.cfg.Spare, s.cfg.Max/4)
	if c := m.a.table.idle.longest(); c != nil && fewSpares && sum.all()+m.working() >= s.cfg.Max {
		overdue = append(overdue, c.since.Add(idleYield))
	}
	m.never(slices.ContainsFunc(overdue, func(at time.Time) bool { return !at.IsZero() && at.Before(now) }), "overdue: %v at %v", overdue, now)
}

// working counts draining containers that have calls or sessions.
func (m *model) working() (n int) {
	for _, c := range m.a.pool.draining.items(m.T) {
		if !c.closing {
			n++
		}
	}
	return n
}

// checkPlaces judges by itself what starts are due, and whether there is room for those that wait.
func (m *model) checkPlaces(now time.Time) (crowded bool) {
	s, sum := m.s, m.a.table.total()
	used := sum.starting + sum.spares + sum.owned
	mayStart := used+m.a.pool.draining.length < s.cfg.Max && sum.starting < s.cfg.Starts
	need, needBare, probing, spareDue := 0, 0, 0, false
	for _, k := range m.a.table.profiles {
		if k.failures > 0 && k != m.a.table.base {
			probing += k.starting
		}
	}
	for _, k := range m.a.table.profiles {
		waiting, wants := k.waiting.length(), k.waiting.demand()
		kept := 0 // for tenants without a container
		if k == m.a.table.base && (k.starting > 0 || used+m.a.pool.drainingPinned < s.cfg.Max) {
			kept = s.cfg.Spare
		}
		if k.waiting.cold.length > 0 && k.spares.length > 0 || waiting > 0 && k.spares.length > kept {
			m.Errorf("%d tenants wait for profile %q, %d of them for their first container, and %d spares", waiting, k.name, k.waiting.cold.length, k.spares.length)
		}
		want := wants - k.starting - k.spares.length
		if k.canary != nil {
			want++
		}
		tries := k.starting == 0 && !k.retryAt.After(now) && (k == m.a.table.base || probing < max(1, s.cfg.Starts-1))
		if k.failures > 0 && !tries {
			continue
		}
		mayStartMore := mayStart && (s.cfg.Starts == 1 || sum.starting < s.cfg.Starts-1)
		if want > 0 && (k.waiting.cold.length > 0 && mayStart || mayStartMore) {
			m.Errorf("profile %q, with %d failures, is due a start: %d tenants wait, %d starting", k.name, k.failures, waiting, k.starting)
		}
		if k.failures > 0 && want > 0 {
			want = 1
			probing++
		}
		need += max(0, want)
		needBare += max(0, min(want, k.waiting.without()-k.starting-k.spares.length))
		spare := k == m.a.table.base && m.a.state == open && (k.starting+k.spares.length < k.waiting.cold.length+s.cfg.Spare || used < s.cfg.Min)
		probe := k == m.a.table.base && k.failures > 0 && k.spares.length == 0
		spareDue = spareDue || mayStart && (spare || probe)
	}
	if free := s.cfg.Max - used - m.a.pool.draining.length; spareDue && (free > 1 || need == 0) { // the last place is for those who wait
		m.Errorf("a spare is due: %+v", sum)
	}
	enough := s.cfg.Max-used-m.a.pool.draining.length+m.a.pool.closing+sum.starting > s.cfg.Starts // places for starts, for now
	if room := s.cfg.Max - used - m.working(); need > room && m.a.table.idle.length() > 0 && !enough {
		m.Errorf("%d starts wanted, and %d containers are idle", need, m.a.table.idle.length())
	}
	room := s.cfg.Max - used - m.a.pool.drainingPinned
	return needBare > room && !enough
}
