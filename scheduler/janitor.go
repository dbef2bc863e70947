package scheduler

import "time"

// A janitor does what has to be done because time went by. Whoever knows of such a time schedules a sweep for it.
type janitor struct {
	next time.Time // of the next sweep at the latest; zero: none is scheduled. Scheduler.mu guards it
	wake chan struct{}
}

func newJanitor() *janitor { return &janitor{wake: make(chan struct{}, 1)} }

// schedule asks for a sweep at the given time or before; zero asks for nothing. A sweep is only ever moved forward, so a
// container that becomes idle and busy again call by call wakes the janitor no more than once per idle timeout.
func (j *janitor) schedule(at time.Time) {
	if at.IsZero() || !j.next.IsZero() && !at.Before(j.next) {
		return
	}
	j.next = at
	select {
	case j.wake <- struct{}{}:
	default: // a sweep is about to begin anyway
	}
}

// run sweeps until quit is closed. sweep does what is due and returns the time of the next sweep, zero for none.
func (j *janitor) run(quit <-chan struct{}, sweep func() time.Time) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-j.wake:
		case <-quit:
			return
		}
		if next := sweep(); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
	}
}
