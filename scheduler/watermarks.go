package scheduler

import (
	"iter"
	"time"
)

// balanceLocked does all that can be done now about tenants in turns and containers that are
// missing. It looks at counts only, so it may be called after any change and as often as one likes.
func (s *Scheduler) balanceLocked(now time.Time) {
	if s.state == fresh || s.state == closed {
		return
	}
	s.renewLocked(now)
	for {
		for _, k := range s.classes {
			for t := k.turns.front(); t != nil && s.maySpareLocked(t); t = k.turns.front() {
				s.assignLocked(k.spares.front(), t)
			}
		}
		// Either changes who may have a spare: a tenant may have lost its only container, a start have taken the last place.
		if !s.makeRoomLocked(now) && !s.startLocked(now) {
			break
		}
	}
	s.forgetClassesLocked(now)
}

// startLocked begins a start, if one is due.
func (s *Scheduler) startLocked(now time.Time) bool {
	k := s.nextStartLocked(now)
	if k == nil {
		return false
	}
	k.starting++
	s.count.starts++
	s.live.Go(func() { s.liveContainer(k) })
	return true
}

// assignLocked gives a spare to the tenant of its class whose turn it is.
func (s *Scheduler) assignLocked(c *container, t *tenant) {
	c.class.meanTurn.add(time.Since(t.turn.since))
	t.turn.in.serve(t)
	s.ownLocked(c, t)
	s.dispatchLocked(c)
	s.lineUpLocked(t)
	if c.running == 0 { // it takes the place of a worn one
		s.restLocked(c, time.Now())
	}
}

// A shortage is how many places are wanting for starts that are waited for: by tenants that have no
// container and trials, and by all; and by all at once, where a place is none yet whose container has calls to end.
type shortage struct{ bare, all, soon int }

// shortageLocked counts what waits for places that others have. A place that is free, or will be
// when a retired container is closed, is no want already; what is being started or ready is so
// only for tenants of its class. For a class whose starts fail nothing that works is given up,
// except one place whenever its next try is due: else it could not find out that they work again.
func (s *Scheduler) shortageLocked(now time.Time) shortage {
	used := s.totalLocked().all()
	over := used + s.lingering - s.cfg.Max
	want := shortage{over, over, max(over, used+s.leaving.length-s.closing-s.cfg.Max)}
	for k, n := range s.needsLocked(now) {
		without := k.turns.without()
		if k.trial != nil {
			without++
		}
		want.all += n
		want.soon += n
		want.bare += min(n, max(0, without-k.spares.length-k.starting))
	}
	return want
}

// makeRoomLocked retires a container where tenants wait for places that others have, or a spare is missing.
func (s *Scheduler) makeRoomLocked(now time.Time) bool {
	want := s.shortageLocked(now)
	var c *container
	why := whyGaveWay
	if want.soon > 0 && s.enoughComingLocked() {
		return false
	}
	if want.soon > 0 {
		c, why = s.givesWayLocked(want, now)
	} else if idle, due := s.longIdleLocked(want); due.After(now) {
		s.alarmLocked(due)
	} else {
		c = idle
	}
	if c == nil {
		return false
	}
	s.count.evictions++
	s.retireLocked(c, why)
	return true
}

// enoughComingLocked says that starts have places for now: those of containers that gave way would be nobody's until
// others have started. One is freed ahead.
func (s *Scheduler) enoughComingLocked() bool {
	sum := s.totalLocked()
	free := s.cfg.Max - sum.all() - s.leaving.length
	return free+s.closing+sum.starting > s.cfg.Starts
}

// givesWayLocked is what others miss least: a spare beyond need, the container idle longest, a spare
// kept ready (it is replaced when there is room), and where there is none of these, for tenants that have no
// container the one that has been busy longest, if that was for a turn without a break, and for the others
// a worn one of their own. Those that are held do not. Work is interrupted only if there are not enough places that
// will be free; but nobody waits for the end of calls in these where a container without any can go.
func (s *Scheduler) givesWayLocked(want shortage, now time.Time) (c *container, why string) {
	for _, k := range s.classes {
		if s.surplusLocked(k) && k.turns.length() == 0 {
			return k.spares.front(), whyGaveWay
		}
	}
	if c := s.idle.longest(); c != nil {
		return c, whyGaveWay
	}
	if c := s.base.spares.front(); c != nil {
		return c, whyGaveWay
	}
	if want.all <= 0 {
		return nil, ""
	}
	if c = s.busy.front(); c != nil && want.bare > 0 {
		if over := c.since.Add(s.cfg.Turn); over.After(now) {
			s.alarmLocked(over)
		} else {
			return c, whyTurnOver
		}
	}
	return s.wornOutLocked()
}

// unlikely is how long a container has been idle whose tenant is not expected to call sooner than one that is new.
const unlikely = 10 * time.Second

// longIdleLocked is the container idle longest, where it keeps the place of a spare, and when it gives way to that. A
// new tenant would get the place anyway, but behind a start.
func (s *Scheduler) longIdleLocked(want shortage) (c *container, due time.Time) {
	if want.soon < 0 || !s.lacksSparesLocked() {
		return nil, time.Time{}
	}
	if c = s.idle.longest(); c != nil {
		due = c.since.Add(unlikely)
	}
	return c, due
}

// lacksSparesLocked says whether there are fewer spares than idle containers give way to, which is for no more than a
// quarter of all places.
func (s *Scheduler) lacksSparesLocked() bool {
	k := s.base
	return s.state == open && k.failures == 0 && k.spares.length+k.starting < min(s.cfg.Spare, s.cfg.Max/4)
}

// wornOutLocked is a worn container whose tenant waits for another in vain, wherever that is in turns: those before it
// may wait for ever, since nobody gives way to one that wants more. So that the work of few is interrupted
// at a time, it is none while others are on their way out already.
func (s *Scheduler) wornOutLocked() (*container, string) {
	if s.leaving.length-s.lingering > 0 {
		return nil, ""
	}
	for _, k := range s.classes {
		if c := k.worn.front(); c != nil && k.failures == 0 {
			return c, c.worn
		}
	}
	return nil, ""
}

// nextStartLocked is the class that one more start should begin of now, nil for none: of those that
// tenants wait in, the one whose first tenant waits longest, with those that come with nothing, and trials, before
// spares of the default class, and spares before those who want one more.
func (s *Scheduler) nextStartLocked(now time.Time) (next *class) {
	sum := s.totalLocked()
	free := s.cfg.Max - sum.all() - s.leaving.length
	if sum.starting >= s.cfg.Starts || free <= 0 {
		return nil
	}
	for k := range s.needsLocked(now) {
		if next == nil || k.before(next) {
			next = k
		}
	}
	if next != nil && next.bare() {
		return next
	}
	if (next == nil || free > 1) && s.wantsSpareLocked(sum, 0, now) {
		return s.base // for those who may come, and then for those who want one more
	}
	if next == nil && s.base.turns.later() > 0 && s.wantsSpareLocked(sum, s.base.turns.later(), now) {
		next = s.base // spares are not for them
	}
	if s.cfg.Starts > 1 && sum.starting >= s.cfg.Starts-1 {
		return nil // one of the starts at once is left to tenants that come with nothing
	}
	return next
}

// wantsSpareLocked says whether a container of the default class should be started for nobody yet: so that
// there are enough for tenants that have none, for those to come, and for more.
func (s *Scheduler) wantsSpareLocked(sum total, more int, now time.Time) bool {
	k, want := s.base, 0
	has := k.starting + k.spares.length
	if s.state == open {
		want = max(k.turns.bare.wants+s.cfg.Spare+more, s.cfg.Min-(sum.all()-has))
	}
	if k.failures > 0 {
		if k.starting > 0 || k.backsOff(now) {
			return false
		}
		want = max(want, 1) // also if nobody waits, so that Ready can recover
	}
	return has < want
}

// surplusLocked says whether the class has a spare that is not to be kept ready.
func (s *Scheduler) surplusLocked(k *class) bool {
	if k != s.base || k.spares.length == 0 {
		return k.spares.length > 0
	}
	sum := s.totalLocked()
	return k.spares.length > s.cfg.Spare && sum.spares+sum.owned > s.cfg.Min
}

// needsLocked are the classes whose tenants wait for starts that may begin as soon as there is a
// place, each with how many.
func (s *Scheduler) needsLocked(now time.Time) iter.Seq2[*class, int] {
	return func(yield func(*class, int) bool) {
		probes := s.probesLocked()
		for _, k := range s.classes {
			need := k.need(now)
			if need > 0 && k.failures > 0 && k != s.base {
				if probes <= 0 {
					continue
				}
				probes--
			}
			if need > 0 && !yield(k, need) {
				return
			}
		}
	}
}

// probesLocked is how many more starts may begin of classes that fail. Together they leave one of the
// starts at once to those that do not, lest starts that hang take them all. The default class is not
// bound by it: nothing but a start can make it ready again.
func (s *Scheduler) probesLocked() int {
	left := max(1, s.cfg.Starts-1)
	for _, k := range s.classes {
		if k.failures > 0 && k != s.base {
			left -= k.starting
		}
	}
	return left
}
