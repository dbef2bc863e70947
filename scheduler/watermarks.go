package scheduler

import (
	"iter"
	"time"
)

// idleYield is how long a container is idle before it yields its place to a spare. After that time a call of its tenant is
// no more likely than a call of a new tenant.
const idleYield = 10 * time.Second

// spareTTL is how long a spare beyond the number to keep ready lives if no tenant waits for it. It was started for calls
// that were cancelled, and the callers may come again.
const spareTTL = time.Minute

// watermarks decide how many containers there should be: which start is due, which container should go, and when to decide
// again. They change nothing.
type watermarks struct {
	cfg        *Config
	table      *table
	pool       *pool
	keepSpares bool // while the scheduler takes calls
}

// free returns the number of places without a container.
func (m *watermarks) free(sum total) int { return m.cfg.Max - sum.all() - m.pool.draining.length }

// maySpare reports whether the tenant may have a spare. Spares that are kept ready are reserved for new tenants while there
// is room to start containers for the other tenants.
func (m *watermarks) maySpare(t *tenant) bool {
	spares := t.profile.spares.length
	if spares == 0 || t.isNew() || t.profile != m.table.base || spares > m.cfg.Spare {
		return spares > 0
	}
	return m.table.base.starting == 0 && m.table.total().all()+m.pool.drainingPinned >= m.cfg.Max
}

// A shortage is how many places are missing for starts that tenants or canaries wait for. It is negative if places are left.
type shortage struct {
	cold int // for tenants without a container, and canaries
	all  int
	now  int // for all, if the places of draining containers with calls count as taken
}

// shortage counts the starts that need a place which another container has. A free place is not missing, nor is the place of
// a draining container, which will be free when it is closed. Containers that are starting or spare serve tenants of their
// profile only. If the starts of a profile fail, no working container is evicted for it, except one whenever its next start
// is due. Without this exception the profile could not find out that starts work again.
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

// enoughComing reports whether places that are free or soon free, and starts under way, exceed the concurrent starts. Then
// one place is ready for the next start, and more evictions would leave places empty.
func (m *watermarks) enoughComing() bool {
	sum := m.table.total()
	return m.free(sum)+m.pool.closing+sum.starting > m.cfg.Starts
}

// evict returns the container that should make room for a waiting tenant or a missing spare, and why; nil for none. at is
// when a container might have to go if nothing else changes; zero stands for never.
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

// victim returns the container whose loss costs least, in this order:
//   - a spare beyond need;
//   - the container that has been idle longest;
//   - a spare that is kept ready, which is replaced when there is room;
//   - for tenants without a container, the container that has been busy longest, if that was for a time slice without a
//     break;
//   - a stale container.
//
// Pinned containers stay. A container with calls drains only if there will not be enough free places. It never drains while
// a container without calls can go.
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

// staleVictim returns a stale container, because its tenant might wait for another one for ever: no container is evicted for
// a tenant that scales up. The tenant's rank in the wait queue does not matter. It returns nil while another container
// drains that is not pinned, so that the work of few tenants is interrupted at a time.
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

// yields returns the container that has been idle longest, if it has the place of a missing spare, and when it yields the
// place. A new tenant would get this place anyway, but would wait for a start.
func (m *watermarks) yields(short shortage) (c *container, at time.Time) {
	if short.now < 0 || !m.lacksSpares() {
		return nil, time.Time{}
	}
	if c = m.table.idle.longest(); c != nil {
		at = c.since.Add(idleYield)
	}
	return c, at
}

// lacksSpares reports whether idle containers have to yield to spares. They yield up to a quarter of all places.
func (m *watermarks) lacksSpares() bool {
	p := m.table.base
	return m.keepSpares && p.failures == 0 && p.spares.length+p.starting < min(m.cfg.Spare, m.cfg.Max/4)
}

// start returns the profile whose container should be started now, nil for none. Starts are for, in this order:
//   - cold tenants and canaries, in the order in which their profiles began to wait;
//   - spares of the default profile;
//   - tenants that scale up, in the order in which their profiles began to wait.
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
		return base // for new tenants, and then for tenants that scale up
	}
	if later := base.waiting.later(); next == nil && later > 0 && m.wantsSpare(sum, later, now) {
		next = base // they may not have the spares that are kept ready
	}
	if m.cfg.Starts > 1 && sum.starting >= m.cfg.Starts-1 {
		return nil // the last of the concurrent starts is reserved for cold tenants
	}
	return next
}

// wantsSpare reports whether a spare of the default profile should be started. There should be enough for the cold tenants,
// for new tenants (Config.Spare), and for more.
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
		want = max(want, 1) // also if no tenant waits, so that Ready can recover
	}
	return has < want
}

// surplus reports whether the profile has a spare beyond the number to keep ready.
func (m *watermarks) surplus(p *profile) bool {
	if p != m.table.base || p.spares.length == 0 {
		return p.spares.length > 0
	}
	sum := m.table.total()
	return p.spares.length > m.cfg.Spare && sum.spares+sum.owned > m.cfg.Min
}

// needs iterates over the profiles that need starts as soon as there is a place, with the number of starts that each needs.
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

// probes returns how many more starts may begin in profiles whose starts fail. These profiles leave one of the concurrent
// starts to profiles that work, so that starts that hang do not block all. The default profile is exempt, because only a
// start can make the scheduler ready again.
func (m *watermarks) probes() int {
	left := max(1, m.cfg.Starts-1)
	for _, p := range m.table.profiles {
		if p.failures > 0 && p != m.table.base {
			left -= p.starting
		}
	}
	return left
}

// next returns the earliest time after now at which something will be due, zero if none is known. It is called after
// everything that is due now was done.
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
