package scheduler

import (
	"time"

	"github.com/jsd-project/jsd/call"
)

// Reasons of a call.BusyError: the bound that a call met.
const (
	QueueTenantFull = "too many calls of this tenant wait"
	QueueFull       = "too many calls wait"
	QueueTimeSpent  = "no free slot within the queue time"
	RateSpent       = "too many calls of this tenant in this time"
	HeldFull        = "sessions hold too many containers"
)

// retryHeld is for those who have to wait until a session of somebody else ends, which nobody can foretell.
const retryHeld = 5 * time.Second

// shortestRetry keeps an estimate of next to nothing from becoming a tight loop of retries.
const shortestRetry = 100 * time.Millisecond

// busyLocked refuses a call of the tenant. RetryAfter estimates when a call of this tenant would find its way free: what
// waits before it now, at the pace of late. Cause is the error of the last start, while containers of the tenant's class do
// not start.
func (s *Scheduler) busyLocked(t *tenant, why string) error {
	e := &call.BusyError{Reason: why, RetryAfter: s.estimateLocked(t)}
	if why == QueueFull {
		all := s.meanRun.of(s.queued, max(1, s.slots))
		e.RetryAfter = max(e.RetryAfter, all)
	}
	if k := t.class; k.failures > 0 {
		e.Cause = k.startErr
		e.RetryAfter = max(e.RetryAfter, time.Until(k.retryAt))
	}
	return e
}

// heldFullLocked refuses a session, since it would hold one container too many.
func (s *Scheduler) heldFullLocked() error {
	s.count.refused++
	return &call.BusyError{Reason: HeldFull, RetryAfter: retryHeld}
}

// estimateLocked is how long a call would wait that joined the tenant's queue now.
func (s *Scheduler) estimateLocked(t *tenant) time.Duration {
	pace := t.meanRun
	if pace == 0 {
		pace = s.meanRun
	}
	wait := pace.of(t.queued+1, t.slots*max(1, len(t.containers)))
	if t.of != nil {
		wait += time.Duration(t.class.meanTurn) * time.Duration(t.waiting.length) // each waits for one of its own
	}
	if len(t.containers) == 0 {
		// As long as others of its class waited for a container of late, and not less than the first in line
		// has waited by now: when nothing moves, there is no late to go by.
		forTurn := time.Duration(t.class.meanTurn)
		if first := t.class.turns.front(); first != nil {
			forTurn = max(forTurn, time.Since(first.turn.since))
		}
		wait += forTurn
	}
	if first := t.waiting.front(); first != nil {
		wait = max(wait, time.Since(first.since)) // the pace of late may be past
	}
	return max(wait, shortestRetry)
}

// A mean is a moving average of durations, the last few weighing most; zero before the first.
type mean time.Duration

func (m *mean) add(d time.Duration) {
	if *m == 0 {
		*m = mean(d)
		return
	}
	*m += (mean(d) - *m) / 8
}

// of is how long that many calls take with so many slots to run them.
func (m mean) of(calls, slots int) time.Duration {
	if m == 0 {
		m = mean(time.Second) // nothing known: a guess that neither hammers nor sends away
	}
	return time.Duration(m) * time.Duration(calls) / time.Duration(slots)
}
