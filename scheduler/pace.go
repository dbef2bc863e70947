package scheduler

import (
	"time"

	"github.com/jsd-project/jsd/call"
)

// shortestRetry keeps an estimate of next to nothing from becoming a tight loop of retries.
const shortestRetry = 100 * time.Millisecond

// A pace estimates how long a call would wait, from how long calls took of late.
type pace struct {
	queue   *queue
	pool    *pool
	meanRun mean
}

// add notes how long a call of the tenant took.
func (p *pace) add(t *tenant, took time.Duration) {
	p.meanRun.add(took)
	t.meanRun.add(took)
}

// busy refuses a call of the tenant. RetryAfter estimates when a call of this tenant would find its way free. Cause is the error
// of the last start while containers of the tenant's profile do not start.
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

// wait is how long a call would wait that joined the tenant's queue now.
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
		// As long as other tenants of the profile waited for a container of late, and not less than the first one has waited by
		// now: when nothing moves, the past tells too little.
		place := time.Duration(t.profile.meanWait)
		if first := t.profile.waiting.front(); first != nil {
			place = max(place, time.Since(first.since))
		}
		wait += place
	}
	if first := t.waiting.front(); first != nil {
		wait = max(wait, time.Since(first.since)) // calls may have become slower
	}
	return max(wait, shortestRetry)
}
