package scheduler

import (
	"time"

	"golang.org/x/time/rate"
)

// rates bound how many calls of a tenant start in a second. Each tenant with a rate has a token bucket. A bucket outlives
// its tenant's entry in the table until it is full, when a new bucket would be the same.
type rates struct {
	buckets map[string]*rate.Limiter
	prune   int // number of buckets at which full ones are dropped, so that the cost for each new bucket stays small
}

// fewBuckets is the number of buckets below which none is dropped.
const fewBuckets = 64

// take takes a token for a call. If there is none it returns how long the call would have to wait for one.
func (r *rates) take(tenant string, p *Policy, now time.Time) (wait time.Duration) {
	b := r.buckets[tenant]
	if b == nil {
		r.dropFull(now)
		if r.buckets == nil {
			r.buckets = map[string]*rate.Limiter{}
		}
		b = rate.NewLimiter(rate.Limit(p.Rate), p.Burst)
		r.buckets[tenant] = b
	}
	if b.Limit() != rate.Limit(p.Rate) || b.Burst() != p.Burst { // the policy has changed
		b.SetLimitAt(now, rate.Limit(p.Rate))
		b.SetBurstAt(now, p.Burst)
	}
	v := b.ReserveN(now, 1)
	if wait = v.DelayFrom(now); wait > 0 {
		v.CancelAt(now)
	}
	return wait
}

func (r *rates) dropFull(now time.Time) {
	if len(r.buckets) < max(r.prune, fewBuckets) {
		return
	}
	for tenant, b := range r.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(r.buckets, tenant)
		}
	}
	r.prune = 2 * len(r.buckets)
}
