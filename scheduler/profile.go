package scheduler

import (
	"math/rand/v2"
	"time"
)

// need returns how many starts the profile needs now for its waiting tenants and its canary, beyond the starts under way.
// While starts fail, one start at a time finds out whether they work again.
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

// before reports whether p may start a container before other, when both need one.
func (p *profile) before(other *profile) bool {
	if cold := p.cold(); cold != other.cold() {
		return cold
	}
	return p.waitsSince().Before(other.waitsSince())
}

// cold reports whether a canary or a tenant without any container waits for the profile.
func (p *profile) cold() bool { return p.waiting.cold.length > 0 || p.canary != nil }

func (p *profile) waitsSince() time.Time {
	first := p.waiting.front()
	if first == nil || p.canary != nil && p.canary.since.Before(first.since) {
		return p.canary.since
	}
	return first.since
}

func (p *profile) backsOff(now time.Time) bool { return p.failures > 0 && now.Before(p.retryAt) }

// failed delays the profile's next start, longer with each failure in a row. It returns false if the start was delayed
// already: concurrent starts that fail together count as one failure.
func (p *profile) failed(err error, now time.Time) bool {
	p.startErr = err
	if p.backsOff(now) {
		return false
	}
	delay := min(firstBackoff<<min(p.failures, 10), lastBackoff)
	delay -= rand.N(delay / 4) // jitter, so that daemons that share an engine do not retry at the same time
	p.failures++
	p.retryAt = now.Add(delay)
	return true
}

// endCanary completes the canary with err, and with nil if its container is ready.
func (p *profile) endCanary(err error) {
	if p.canary != nil {
		p.canary.err = err
		close(p.canary.over)
		p.canary = nil
	}
}
