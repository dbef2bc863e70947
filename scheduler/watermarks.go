package scheduler

import (
	"iter"
	"time"
)

// idleYield is how long a container has been idle when it yields its place to a spare: its tenant is then not expected to call
// sooner than a tenant that is new.
const idleYield = 10 * time.Second

// spareTTL is how long a spare is kept that nobody waits for and that is beyond the number to keep ready. It was started for
// calls that were cancelled, and the callers may come again.
const spareTTL = time.Minute

// watermarks tell how many containers there should be: which start is due, which container should go, and when to look again.
// They change nothing.
type watermarks struct {
	cfg        *Config
	table      *table
	pool       *pool
	keepSpares bool // while the scheduler takes calls
}

// free is the number of places that nobody has.
func (m *watermarks) free(sum total) int { return m.cfg.Max - sum.all() - m.pool.draining.length }

// maySpare tells whether there is a spare for the tenant. The spares that are kept ready are for new tenants, while there is
// room to start containers for the others.
func (m *watermarks) maySpare(t *tenant) bool {
	spares := t.profile.spares.length
	if spares == 0 || t.isNew() || t.profile != m.table.base || spares > m.cfg.Spare {
		return spares > 0
	}
	return m.table.base.starting == 0 && m.table.total().all()+m.pool.drainingPinned >= m.cfg.Max
}

// A shortage is how many places are missing for starts that are waited for.
type shortage struct {
	cold int // by tenants without a container, and canaries
	all  int
	now  int // by all, where the place of a draining container with calls counts as taken
}

// shortage counts the starts that wait for places that others have. A place that is free, or will be when a draining container is
// closed, is not missing. A container that is starting or spare serves tenants of its profile only. For a profile whose starts
// fail nothing that works is given up, except one place whenever its next start is due: else the profile could not find out
// that starts work again.
func (m *watermarks) shortage(now time.Time) shortage {
	used := m.table.total().all()
	over := used + m.pool.drainingPinned - m.cfg.Max
	short := shortage{over, over, max(over, used+m.pool.draining.length-m.pool.closing-m.cfg.Max)}
	for p, n := range m.needs(now) {
		without := p.waiting.without()
		if p.canary != nil {
			without++
		}
		short.all += n
		short.now += n
		short.cold += min(n, max(0, without-p.spares.length-p.starting))
	}
	return short
}

// enoughComing tells that the starts have places for now. More evictions would leave places empty until other starts are done.
// One place is freed ahead.
func (m *watermarks) enoughComing() bool {
	sum := m.table.total()
	return m.free(sum)+m.pool.closing+sum.starting > m.cfg.Starts
}

// evict is the container that should make room, where tenants wait for a place or a spare is missing; nil for none. at is when
// one might have to go, if nothing else changes; zero: never.
func (m *watermarks) evict(now time.Time) (c *container, why string, at time.Time) {
	short := m.shortage(now)
	if short.now <= 0 {
		if c, at = m.yields(short); !at.After(now) {
			return c, whyEvicted, time.Time{}
		}
		return nil, "", at
	}
	if m.enoughComing() {
		return nil, "", time.Time{}
	}
	return m.victim(short, now)
}

// victim is the container that is missed least, in this order:
//   - a spare beyond need;
//   - the container that has been idle longest;
//   - a spare that is kept ready, which is replaced when there is room;
//   - for tenants without a container, the container that has been busy longest, if that was for a time slice without a break;
//   - a stale container.
//
// Pinned containers stay. Work is interrupted only if there will not be enough free places, but nobody waits for the end of calls
// where a container without calls can go.
func (m *watermarks) victim(short shortage, now time.Time) (c *container, why string, at time.Time) {
	for _, p := range m.table.profiles {
		if m.surplus(p) && p.waiting.length() == 0 {
			return p.spares.front(), whyEvicted, at
		}
	}
	if c := m.table.idle.longest(); c != nil {
		return c, whyEvicted, at
	}
	if c := m.table.base.spares.front(); c != nil {
		return c, whyEvicted, at
	}
	if short.all <= 0 {
		return nil, "", at
	}
	if c = m.pool.busy.front(); c != nil && short.cold > 0 {
		if at = c.since.Add(m.cfg.TimeSlice); !at.After(now) {
			return c, whySliced, time.Time{}
		}
	}
	if c = m.staleVictim(); c != nil {
		return c, c.stale, at
	}
	return nil, "", at
}

// staleVictim is a stale container whose tenant waits for another one in vain, wherever the tenant is in the wait queue: tenants
// before it may wait for ever, since no container is evicted for a tenant that wants one more. So that the work of few tenants is
// interrupted at a time, there is none while other containers drain.
func (m *watermarks) staleVictim() *container {
	if m.pool.draining.length-m.pool.drainingPinned > 0 {
		return nil
	}
	for _, p := range m.table.profiles {
		if c := p.stale.front(); c != nil && p.failures == 0 {
			return c
		}
	}
	return nil
}

// yields is the container that has been idle longest, where it has the place of a spare, and when it yields that. A new tenant
// would get the place anyway, but after a start.
func (m *watermarks) yields(short shortage) (c *container, at time.Time) {
	if short.now < 0 || !m.lacksSpares() {
		return nil, time.Time{}
	}
	if c = m.table.idle.longest(); c != nil {
		at = c.since.Add(idleYield)
	}
	return c, at
}

// lacksSpares tells whether there are fewer spares than idle containers yield to, which is for a quarter of all places at most.
func (m *watermarks) lacksSpares() bool {
	p := m.table.base
	return m.keepSpares && p.failures == 0 && p.spares.length+p.starting < min(m.cfg.Spare, m.cfg.Max/4)
}

// start is the profile of which one more container should be started now, nil for none. Profiles that tenants wait for come in
// the order in which their first tenant began to wait: for cold tenants and canaries first, then spares of the default profile,
// then tenants that want one more.
func (m *watermarks) start(now time.Time) (next *profile) {
	sum := m.table.total()
	free := m.free(sum)
	if sum.starting >= m.cfg.Starts || free <= 0 {
		return nil
	}
	for p := range m.needs(now) {
		if next == nil || p.before(next) {
			next = p
		}
	}
	if next != nil && next.cold() {
		return next
	}
	base := m.table.base
	if (next == nil || free > 1) && m.wantsSpare(sum, 0, now) {
		return base // for tenants to come, and then for the ones that want one more
	}
	if later := base.waiting.later(); next == nil && later > 0 && m.wantsSpare(sum, later, now) {
		next = base // the spares are not for them
	}
	if m.cfg.Starts > 1 && sum.starting >= m.cfg.Starts-1 {
		return nil // one of the concurrent starts is left to cold tenants
	}
	return next
}

// wantsSpare tells whether a container of the default profile should be started for nobody yet: so that there are enough for the
// cold tenants, for tenants to come, and for so many more.
func (m *watermarks) wantsSpare(sum total, more int, now time.Time) bool {
	p, want := m.table.base, 0
	has := p.starting + p.spares.length
	if m.keepSpares {
		want = max(p.waiting.cold.demand+m.cfg.Spare+more, m.cfg.Min-(sum.all()-has))
	}
	if p.failures > 0 {
		if p.starting > 0 || p.backsOff(now) {
			return false
		}
		want = max(want, 1) // also if nobody waits, so that Ready can recover
	}
	return has < want
}

// surplus tells whether the profile has a spare that is not to be kept ready.
func (m *watermarks) surplus(p *profile) bool {
	if p != m.table.base || p.spares.length == 0 {
		return p.spares.length > 0
	}
	sum := m.table.total()
	return p.spares.length > m.cfg.Spare && sum.spares+sum.owned > m.cfg.Min
}

// needs are the profiles that need starts, which may begin as soon as there is a place, each with how many.
func (m *watermarks) needs(now time.Time) iter.Seq2[*profile, int] {
	return func(yield func(*profile, int) bool) {
		probes := m.probes()
		for _, p := range m.table.profiles {
			need := p.need(now)
			if need > 0 && p.failures > 0 && p != m.table.base {
				if probes <= 0 {
					continue
				}
				probes--
			}
			if need > 0 && !yield(p, need) {
				return
			}
		}
	}
}

// probes is how many more starts may begin of profiles whose starts fail. Together they leave one of the concurrent starts to
// profiles that work, lest starts that hang take them all. The default profile is exempt: nothing but a start can make the
// scheduler ready again.
func (m *watermarks) probes() int {
	left := max(1, m.cfg.Starts-1)
	for _, p := range m.table.profiles {
		if p.failures > 0 && p != m.table.base {
			left -= p.starting
		}
	}
	return left
}

// next is the earliest time after now at which there will be something to do, zero if none is known. What is to be done now has
// been done.
func (m *watermarks) next(now time.Time) (next time.Time) {
	earliest := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, p := range m.table.profiles {
		if p.backsOff(now) {
			earliest(p.retryAt)
		} else if until := p.remembered(); until.After(now) && p != m.table.base {
			earliest(until)
		}
		if t := p.waiting.oneShot.longest(); t != nil {
			earliest(t.joined.Add(m.cfg.TimeSlice))
		}
		if m.surplus(p) {
			earliest(p.spares.front().since.Add(spareTTL))
		}
	}
	short := m.shortage(now)
	if c := m.pool.busy.front(); c != nil && short.cold > 0 && !m.enoughComing() {
		earliest(c.since.Add(m.cfg.TimeSlice))
	}
	if c, at := m.yields(short); c != nil && short.now <= 0 {
		earliest(at)
	}
	for _, l := range m.table.idle {
		if c := l.front(); c != nil && l.timeout > 0 {
			earliest(c.since.Add(l.timeout))
		}
	}
	return next
}
