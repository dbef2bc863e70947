package scheduler

import (
	"math/rand/v2"
	"time"
)

// need is how many starts, beyond the ones under way, its waiting tenants and its canary have use for now. While starts fail
// they begin one at a time, to find out.
func (p *profile) need(now time.Time) int {
	need := p.waiting.demand()
	if p.canary != nil {
		need++
	}
	need = max(0, need-p.spares.length-p.starting)
	if p.failures == 0 {
		return need
	}
	if p.starting > 0 || p.backsOff(now) {
		return 0
	}
	return min(need, 1)
}

// before tells whether p comes before another profile when one of them may start a container, which both need.
func (p *profile) before(other *profile) bool {
	if cold := p.cold(); cold != other.cold() {
		return cold
	}
	return p.waitsSince().Before(other.waitsSince())
}

// cold tells whether a tenant without any container waits for the profile, or a canary.
func (p *profile) cold() bool { return p.waiting.cold.length > 0 || p.canary != nil }

func (p *profile) waitsSince() time.Time {
	first := p.waiting.front()
	if first == nil || p.canary != nil && p.canary.since.Before(first.since) {
		return p.canary.since
	}
	return first.since
}

func (p *profile) backsOff(now time.Time) bool { return p.failures > 0 && now.Before(p.retryAt) }

// failed puts off the profile's next start, longer with each failure in a row. It returns false where the start was put off
// already: starts that were under way together and fail together count as one failure.
func (p *profile) failed(err error, now time.Time) bool {
	p.startErr = err
	if p.backsOff(now) {
		return false
	}
	delay := min(firstBackoff<<min(p.failures, 10), lastBackoff)
	delay -= rand.N(delay / 4) // jitter, so that daemons that share an engine do not keep step
	p.failures++
	p.retryAt = now.Add(delay)
	return true
}

// endCanary tells the goroutine that waits for the canary what it came to.
func (p *profile) endCanary(err error) {
	if p.canary != nil {
		p.canary.err = err
		close(p.canary.over)
		p.canary = nil
	}
}
