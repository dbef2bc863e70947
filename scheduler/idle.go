package scheduler

import "time"

// surplusTime is how long a spare is kept that nobody waits for and that is not to be kept ready: those that it
// was started for have given up, and may come again.
const surplusTime = time.Minute

// easedLocked follows the end of a call or session in a container. After the last of them it goes to
// the end of the line of idle ones, or out, if another tenant waits for its place.
func (s *Scheduler) easedLocked(c *container, now time.Time) {
	if c.worn != "" && c.running == 0 {
		s.retireLocked(c, c.worn)
		s.balanceLocked(now)
		return
	}
	to := s.listLocked(c)
	if c.place.in == to {
		return
	}
	s.moveLocked(c, to, now)
	if c.running == 0 && to != &s.held {
		s.restLocked(c, now)
	}
	if sum := s.totalLocked(); sum.waiting+sum.trials > 0 {
		s.balanceLocked(now)
	}
}

// restLocked sees to it that a container that has become idle is looked at again.
func (s *Scheduler) restLocked(c *container, now time.Time) {
	if timeout := c.tenant.idle.timeout; timeout > 0 {
		s.alarmLocked(now.Add(timeout))
	}
	if s.lacksSparesLocked() {
		s.alarmLocked(now.Add(unlikely))
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
	defer s.unlock()
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
	for _, l := range s.idle.lines {
		for c := l.front(); c != nil && l.timeout > 0 && !c.since.Add(l.timeout).After(now); c = l.front() {
			s.count.recycled++
			s.retireLocked(c, whyIdle)
		}
	}
	for _, k := range s.classes {
		for s.surplusLocked(k) && !k.spares.front().since.Add(surplusTime).After(now) {
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
	want := s.shortageLocked(now)
	if c := s.busy.front(); c != nil && want.bare > 0 && !s.enoughComingLocked() {
		earliest(c.since.Add(s.cfg.Turn))
	}
	if c, due := s.longIdleLocked(want); c != nil && want.soon <= 0 {
		earliest(due)
	}
	for _, l := range s.idle.lines {
		if c := l.front(); c != nil && l.timeout > 0 {
			earliest(c.since.Add(l.timeout))
		}
	}
	for _, k := range s.classes {
		if t := k.turns.again.longest(); t != nil {
			earliest(t.turn.joined.Add(s.cfg.Turn))
		}
		if s.surplusLocked(k) {
			earliest(k.spares.front().since.Add(surplusTime))
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
