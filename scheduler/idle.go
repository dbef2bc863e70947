package scheduler

import "time"

// easedLocked follows the end of a call or session in a container. After the last of them it goes to
// the end of the line of idle ones, or out, if another tenant waits for its place.
func (s *Scheduler) easedLocked(c *container, now time.Time) {
	to := s.listLocked(c)
	if c.place.in == to {
		return
	}
	s.moveLocked(c, to, now)
	if to == &s.idle && s.cfg.IdleTimeout > 0 {
		s.alarmLocked(now.Add(s.cfg.IdleTimeout))
	}
	if s.totalLocked().waiting > 0 {
		s.balanceLocked(now)
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
	s.balanceLocked(now)
	s.alarm = s.nextLocked(now)
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
	for _, k := range s.classes {
		for s.surplusLocked(k) && !k.spares.front().since.After(long) {
			s.count.recycled++
			s.retireLocked(k.spares.front(), whySurplus)
		}
	}
}

// nextLocked is the earliest time after now at which there will be something to do, zero if none is
// known. What is to be done at now itself has been done.
func (s *Scheduler) nextLocked(now time.Time) time.Time {
	var next time.Time
	earliest := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, k := range s.classes {
		if k.backsOff(now) {
			earliest(k.retryAt)
		} else if until := k.remembered(); until.After(now) && k != s.base {
			earliest(until)
		}
	}
	if c := s.busy.front(); c != nil && s.crowdedLocked(now) {
		earliest(c.since.Add(s.cfg.Turn))
	}
	if s.cfg.IdleTimeout > 0 {
		if c := s.idle.front(); c != nil {
			earliest(c.since.Add(s.cfg.IdleTimeout))
		}
		for _, k := range s.classes {
			if s.surplusLocked(k) {
				earliest(k.spares.front().since.Add(s.cfg.IdleTimeout))
			}
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
