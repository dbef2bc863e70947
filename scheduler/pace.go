package scheduler

import (
	"time"

	"github.com/jsd-project/jsd/call"
)

// shortestRetry is the least RetryAfter. It keeps clients from retrying in a tight loop when the estimate is close to zero.
const shortestRetry = 100 * time.Millisecond

// A pace estimates how long a call would wait, from the durations of recent calls.
type pace struct {
	queue   *queue
	pool    *pool
	meanRun mean
}

// add records that a call of the tenant took that long.
func (p *pace) add(t *tenant, took time.Duration) {
	p.meanRun.add(took)
	t.meanRun.add(took)
}

// busy counts a refused call of the tenant and returns its *call.BusyError. RetryAfter is the estimated time until a slot is
// free for a call of this tenant. Cause is the error of the last start, if containers of the tenant's profile do not start.
func (p *pace) busy(t *tenant, reason string) error {
	p.queue.refused++
	e := &call.BusyError{Reason: reason, RetryAfter: p.wait(t)}
	if reason == QueueFull {
		all := p.meanRun.of(p.queue.queued, max(1, p.pool.slots))
		e.RetryAfter = max(e.RetryAfter, all)
	}
	if t.profile.failures > 0 {
		e.Cause = t.profile.startErr
		e.RetryAfter = max(e.RetryAfter, time.Until(t.profile.retryAt))
	}
	return e
}

// wait returns the estimated wait of a call that would join the tenant's queue now.
func (p *pace) wait(t *tenant) time.Duration {
	run := t.meanRun
	if run == 0 {
		run = p.meanRun
	}
	wait := run.of(t.queued+1, t.slots*max(1, len(t.containers)))
	if t.parent != nil {
		wait += time.Duration(t.profile.meanWait) * time.Duration(t.waiting.length) // each waits for a container of its own
	}
	if len(t.containers) == 0 {
		// The call waits as long as other tenants of the profile recently waited for a container. It waits at least as long
		// as the first tenant in the wait queue has waited: the mean is too low if no tenant gets a container any more.
		place := time.Duration(t.profile.meanWait)
		if first := t.profile.waiting.front(); first != nil {
			place = max(place, time.Since(first.since))
		}
		wait += place
	}
	if first := t.waiting.front(); first != nil {
		wait = max(wait, time.Since(first.since)) // the mean is too low if calls have become slower
	}
	return max(wait, shortestRetry)
}
