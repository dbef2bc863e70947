package scheduler

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/jsd-project/jsd/call"
)

// buckets bound how often calls of a tenant begin. They are kept beyond their tenant's time in the table, until
// they are full again and so as good as new.
type buckets struct {
	of    map[string]*rate.Limiter
	prune int // when there are this many, full ones are dropped: so that costs little for each that came
}

// fewBuckets are not worth a look.
const fewBuckets = 64

// take lets a call begin, or says how long that would have to wait.
func (b *buckets) take(tenant string, p *Policy, now time.Time) (wait time.Duration) {
	l := b.of[tenant]
	if l == nil {
		b.dropFull(now)
		if b.of == nil {
			b.of = map[string]*rate.Limiter{}
		}
		l = rate.NewLimiter(rate.Limit(p.Rate), p.Burst)
		b.of[tenant] = l
	}
	if l.Limit() != rate.Limit(p.Rate) || l.Burst() != p.Burst { // the policy has changed
		l.SetLimitAt(now, rate.Limit(p.Rate))
		l.SetBurstAt(now, p.Burst)
	}
	r := l.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (b *buckets) dropFull(now time.Time) {
	if len(b.of) < max(b.prune, fewBuckets) {
		return
	}
	for tenant, l := range b.of {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(b.of, tenant)
		}
	}
	b.prune = 2 * len(b.of)
}

// meterLocked refuses a call of a tenant that makes them faster than it may.
func (s *Scheduler) meterLocked(t *tenant) error {
	if t.policy.Rate <= 0 {
		return nil
	}
	wait := s.buckets.take(t.name, &t.policy, time.Now())
	if wait == 0 {
		return nil
	}
	s.count.refused++
	s.forgetLocked(t)
	return &call.BusyError{Reason: RateSpent, RetryAfter: wait}
}
