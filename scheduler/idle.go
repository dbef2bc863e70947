package scheduler

import "time"

// idleLocked follows the end of a container's last call: it goes to the end of the line of idle
// ones, or out, if another tenant waits for its place.
func (s *Scheduler) idleLocked(c *container, now time.Time) {
	s.moveLocked(c, &s.idle, now)
	if s.cfg.IdleTimeout > 0 {
		s.alarmLocked(now.Add(s.cfg.IdleTimeout))
	}
	if s.turns.length() > 0 {
		s.balanceLocked()
	}
}

// keep does what time brings. The alarm is only ever moved forward by others, so a container that
// goes from idle to busy and back, call by call, wakes it no more than once per idle timeout.
func (s *Scheduler) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.quit:
			return
		}
		if next := s.look(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
	}
}

// look does what is due and says when to look again.
func (s *Scheduler) look() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.alarm = now // what is found below needs no wake-up
	s.recycleLocked(now)
	s.balanceLocked()
	s.alarm = s.nextLocked()
	return s.alarm
}

// recycleLocked retires what was idle too long: tenants' containers, and spares there is no need
// for, which are left when those they were started for have given up.
func (s *Scheduler) recycleLocked(now time.Time) {
	if s.cfg.IdleTimeout <= 0 {
		return
	}
	long := now.Add(-s.cfg.IdleTimeout)
	for c := s.idle.front(); c != nil && !c.since.After(long); c = s.idle.front() {
		s.count.recycled++
		s.retireLocked(c, whyIdle)
	}
	for c := s.spares.front(); c != nil && s.surplusLocked() && !c.since.After(long); c = s.spares.front() {
		s.count.recycled++
		s.retireLocked(c, whySurplus)
	}
}

func (s *Scheduler) surplusLocked() bool {
	return s.spares.length > max(s.cfg.Spare, s.cfg.Min-s.owned)
}

// nextLocked is the earliest time at which there will be something to do, zero if none is known.
func (s *Scheduler) nextLocked() time.Time {
	var next time.Time
	earliest := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	// A start may have come due since balance looked: then keep has to look again at once.
	if s.failures > 0 && (s.retryAt.After(time.Now()) || s.wantsStartLocked()) {
		earliest(s.retryAt)
	}
	if c := s.busy.front(); c != nil && s.crowdedLocked() {
		earliest(c.since.Add(s.cfg.Turn))
	}
	if s.cfg.IdleTimeout > 0 {
		if c := s.idle.front(); c != nil {
			earliest(c.since.Add(s.cfg.IdleTimeout))
		}
		if c := s.spares.front(); c != nil && s.surplusLocked() {
			earliest(c.since.Add(s.cfg.IdleTimeout))
		}
	}
	return next
}

// alarmLocked makes keep look again no later than at the given time; zero asks for nothing.
func (s *Scheduler) alarmLocked(at time.Time) {
	if at.IsZero() || !s.alarm.IsZero() && !at.Before(s.alarm) {
		return
	}
	s.alarm = at
	select {
	case s.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}
