package scheduler

import (
	"slices"
	"time"
)

// checkNothingLeftUndone: where nothing moves, all that could be done has been.
func (m *model) checkNothingLeftUndone() {
	s, now := m.s, time.Now()
	crowded := m.checkPlaces(now)
	overdue := []time.Time{s.alarm}
	for _, l := range s.idle.lines {
		if l.timeout > 0 && l.length > 0 {
			overdue = append(overdue, l.front().since.Add(l.timeout))
		}
	}
	for _, k := range s.classes {
		for _, l := range k.turns.again.lanes {
			for _, t := range l.line.items(m.T) {
				overdue = append(overdue, t.turn.joined.Add(s.cfg.Turn))
			}
		}
		if k != s.base && k.spares.length > 0 {
			overdue = append(overdue, k.spares.front().since.Add(surplusTime))
		}
	}
	if crowded && s.busy.length > 0 {
		overdue = append(overdue, s.busy.front().since.Add(s.cfg.Turn))
	}
	sum, k := s.totalLocked(), s.base
	fewSpares := s.state == open && k.failures == 0 && k.spares.length+k.starting < min(s.cfg.Spare, s.cfg.Max/4)
	if c := s.idle.longest(); c != nil && fewSpares && sum.all()+m.working() >= s.cfg.Max {
		overdue = append(overdue, c.since.Add(unlikely))
	}
	if slices.ContainsFunc(overdue, func(at time.Time) bool { return !at.IsZero() && at.Before(now) }) {
		m.Errorf("overdue: %v at %v", overdue, now)
	}
}

// working counts retired containers that have calls or sessions.
func (m *model) working() (n int) {
	for _, c := range m.s.leaving.items(m.T) {
		if !c.ended {
			n++
		}
	}
	return n
}

// checkPlaces judges by itself what starts are due, and whether there is room for those that wait.
func (m *model) checkPlaces(now time.Time) (crowded bool) {
	s, sum := m.s, m.s.totalLocked()
	used := sum.starting + sum.spares + sum.owned
	mayStart := used+s.leaving.length < s.cfg.Max && sum.starting < s.cfg.Starts
	need, needBare, probing, spareDue := 0, 0, 0, false
	for _, k := range s.classes {
		if k.failures > 0 && k != s.base {
			probing += k.starting
		}
	}
	for _, k := range s.classes {
		waiting, wants := k.turns.length(), k.turns.wants()
		kept := 0 // for tenants without a container
		if k == s.base && (k.starting > 0 || used+s.lingering < s.cfg.Max) {
			kept = s.cfg.Spare
		}
		if k.turns.bare.length > 0 && k.spares.length > 0 || waiting > 0 && k.spares.length > kept {
			m.Errorf("%d tenants wait for class %q, %d of them for their first container, and %d spares", waiting, k.name, k.turns.bare.length, k.spares.length)
		}
		want := wants - k.starting - k.spares.length
		if k.trial != nil {
			want++
		}
		tries := k.starting == 0 && !k.retryAt.After(now) && (k == s.base || probing < max(1, s.cfg.Starts-1))
		if k.failures > 0 && !tries {
			continue
		}
		mayStartMore := mayStart && (s.cfg.Starts == 1 || sum.starting < s.cfg.Starts-1)
		if want > 0 && (k.turns.bare.length > 0 && mayStart || mayStartMore) {
			m.Errorf("class %q, with %d failures, is due a start: %d tenants wait, %d starting", k.name, k.failures, waiting, k.starting)
		}
		if k.failures > 0 && want > 0 {
			want = 1
			probing++
		}
		need += max(0, want)
		needBare += max(0, min(want, k.turns.without()-k.starting-k.spares.length))
		spare := k == s.base && s.state == open && (k.starting+k.spares.length < k.turns.bare.length+s.cfg.Spare || used < s.cfg.Min)
		probe := k == s.base && k.failures > 0 && k.spares.length == 0
		spareDue = spareDue || mayStart && (spare || probe)
	}
	if free := s.cfg.Max - used - s.leaving.length; spareDue && (free > 1 || need == 0) { // the last place is for those who wait
		m.Errorf("a spare is due: %+v", sum)
	}
	enough := s.cfg.Max-used-s.leaving.length+s.closing+sum.starting > s.cfg.Starts // places for starts, for now
	if room := s.cfg.Max - used - m.working(); need > room && s.idle.length() > 0 && !enough {
		m.Errorf("%d starts wanted, and %d containers are idle", need, s.idle.length())
	}
	room := s.cfg.Max - used - s.lingering
	return needBare > room && !enough
}
