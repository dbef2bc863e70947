package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Why a container was retired, for logs.
const (
	whyDied     = "died"
	whyUsed     = "had its only call"
	whyIdle     = "idle"
	whyGaveWay  = "gave way to another tenant"
	whyTurnOver = "was never idle while others waited"
	whySurplus  = "spare beyond need"
	whyShutdown = "shutdown"
	whyStopped  = "stopped"
)

// A spare that dies within this time of being ready was no good start: replacing those without a
// pause would be a storm of starts for nothing.
const infancy = time.Second

// balanceLocked does all that can be done now about tenants in turns and containers that are
// missing. It looks at counts only, so it may be called after any change and as often as one likes.
func (s *Scheduler) balanceLocked(now time.Time) {
	if s.state == fresh || s.state == closed {
		return
	}
	for _, k := range s.classes {
		for c := k.spares.front(); c != nil && k.turns.length() > 0; c = k.spares.front() {
			s.assignLocked(c)
		}
	}
	s.makeRoomLocked(now)
	for k := s.nextStartLocked(now); k != nil; k = s.nextStartLocked(now) {
		k.starting++
		s.count.starts++
		s.live.Go(func() { s.liveContainer(k) })
	}
	s.forgetClassesLocked(now)
}

// assignLocked gives a spare to the tenant of its class whose turn it is.
func (s *Scheduler) assignLocked(c *container) {
	k := c.class
	t := k.turns.front()
	k.turns.leave(t)
	k.meanTurn.add(time.Since(t.turnSince))
	s.ownLocked(c, t)
	s.dispatchLocked(c)
	s.joinTurnsLocked(t)
}

// crowdedLocked says whether tenants wait for places that others have. A place that is free, or will be
// when a retired container is closed, is one of theirs already; what is being started or ready is so
// only for tenants of its class. For a class whose starts fail nothing that works is given up,
// except one place whenever its next try is due: else it could not find out that they work again.
func (s *Scheduler) crowdedLocked(now time.Time) bool {
	need, room := 0, s.cfg.Max
	for _, n := range s.needsLocked(now) {
		need += n
	}
	for _, k := range s.classes {
		room -= k.starting + k.spares.length + k.owned
	}
	return need > room
}

func (s *Scheduler) makeRoomLocked(now time.Time) {
	for s.crowdedLocked(now) {
		c, why := s.givesWayLocked(now)
		if c == nil {
			return
		}
		s.count.evictions++
		s.retireLocked(c, why)
	}
}

// givesWayLocked is what others miss least: a spare beyond need, the container idle longest, a spare
// kept ready (it is replaced when there is room), and where there is none of these, the one that has been
// busy longest, if that was for a turn without a break. Those that are held do not. All spares here
// are of classes that nobody waits in.
func (s *Scheduler) givesWayLocked(now time.Time) (c *container, why string) {
	for _, k := range s.classes {
		if s.surplusLocked(k) {
			return k.spares.front(), whyGaveWay
		}
	}
	if c := cmp.Or(s.idle.front(), s.base.spares.front()); c != nil {
		return c, whyGaveWay
	}
	if c = s.busy.front(); c == nil {
		return nil, ""
	}
	if over := c.since.Add(s.cfg.Turn); over.After(now) {
		s.alarmLocked(over)
		return nil, ""
	}
	return c, whyTurnOver
}

// nextStartLocked is the class that one more start should begin of now, nil for none: of those that
// tenants wait in, the one whose first tenant waits longest; then the default one, for its spares.
func (s *Scheduler) nextStartLocked(now time.Time) (next *class) {
	sum := s.totalLocked()
	if sum.starting >= s.cfg.Starts || sum.starting+sum.spares+sum.owned+s.leaving.length >= s.cfg.Max {
		return nil
	}
	for k := range s.needsLocked(now) {
		if next == nil || k.turns.front().turnSince.Before(next.turns.front().turnSince) {
			next = k
		}
	}
	if next == nil && s.wantsSpareLocked(sum, now) {
		return s.base
	}
	return next
}

func (s *Scheduler) wantsSpareLocked(sum total, now time.Time) bool {
	k, want := s.base, 0
	has := k.starting + k.spares.length
	if s.state == open {
		others := sum.starting + sum.spares + sum.owned - has
		want = max(k.turns.length()+s.cfg.Spare, s.cfg.Min-others)
	}
	if k.failures > 0 {
		if k.starting > 0 || k.backsOff(now) {
			return false
		}
		want = max(want, 1) // also if nobody waits, so that Ready can recover
	}
	return has < want
}

// liveContainer is a container's life: the goroutine that starts it, sees it die, and closes it.
func (s *Scheduler) liveContainer(k *class) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.StartTime)
	began := time.Now()
	given, err := s.cfg.Start(ctx, k.name)
	cancel()
	if err == nil && given == nil {
		err = errors.New("start gave no container")
	}
	if err != nil {
		s.startFailed(k, err)
		return
	}
	c := s.started(k, given)
	log := s.cfg.Log.With().Str("container", c.ID()).Logger()
	log.Debug().Dur("start", time.Since(began)).Msg("container ready")
	select {
	case <-c.Done():
		s.died(c)
	case <-c.end:
	case <-s.quit:
		s.retire(c, whyShutdown)
	}
	err = c.Close()
	s.closed(c, err)
	line := log.Debug()
	if c.why == whyDied || err != nil {
		line = log.Warn()
	}
	if c.tenant != nil {
		line = line.Str("tenant", c.tenant.name)
	}
	line.Err(err).Str("why", c.why).Msg("container closed")
}

func (s *Scheduler) started(k *class, given Container) *container {
	c := &container{Container: given, class: k, end: make(chan struct{})}
	c.place.item = c
	now := time.Now()
	c.born = now
	s.mu.Lock()
	defer s.mu.Unlock()
	k.starting--
	c.failures, k.failures, k.startErr, k.started = k.failures, 0, nil, true
	s.moveLocked(c, &k.spares, now)
	s.balanceLocked(now)
	s.alarmLocked(s.nextLocked(now))
	return c
}

func (s *Scheduler) startFailed(k *class, err error) {
	s.mu.Lock()
	k.starting--
	stopped := s.state == closed
	if !stopped {
		s.failedLocked(k, err)
		s.balanceLocked(time.Now()) // its place, and its part of the starts at once, are for others now
	}
	failures, retry := k.failures, time.Until(k.retryAt)
	s.mu.Unlock()
	if stopped {
		return
	}
	line := s.cfg.Log.Warn().Err(err)
	if k.name != "" {
		line = line.Str("class", k.name)
	}
	line.Int("failures", failures).Dur("retry", retry).Msg("container did not start")
}

func (s *Scheduler) died(c *container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.retired {
		return // it was on its way out, or a call found it dead first
	}
	s.retireLocked(c, whyDied)
	if c.tenant == nil && time.Since(c.since) < infancy {
		c.class.failures = max(c.class.failures, c.failures)
		s.failedLocked(c.class, fmt.Errorf("container %s died as soon as it was ready", c.ID()))
	}
	s.balanceLocked(time.Now())
}

func (s *Scheduler) retire(c *container, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retireLocked(c, why)
}

// closed frees the container's place, now that nothing of it is left.
func (s *Scheduler) closed(c *container, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.place.leave()
	if err != nil && s.state == closed {
		s.closeErrs = append(s.closeErrs, fmt.Errorf("close container %s: %w", c.ID(), err))
	}
	s.balanceLocked(time.Now())
}

// retireLocked takes a container out of the table: it gets no calls any more, its tenant's waiters
// line up for another, and it is closed when the calls in it have ended. One that is dead or has to go at
// once is closed now, with its calls and sessions; no other has sessions.
func (s *Scheduler) retireLocked(c *container, why string) {
	if c.retired {
		return
	}
	c.retired, c.why = true, why
	if why == whyDied {
		s.count.deaths++
	}
	c.place.leave()
	s.leaving.push(&c.place)
	switch why {
	case whyDied, whyStopped, whyShutdown:
		c.endLocked()
	default:
		c.endIfUnusedLocked()
	}
	for k := c.sessions.first; k != nil; k = k.next {
		k.item.overLocked()
	}
	t := c.tenant
	if t == nil {
		return
	}
	c.class.owned--
	t.containers = slices.DeleteFunc(t.containers, func(other *container) bool { return other == c })
	s.joinTurnsLocked(t)
	s.forgetLocked(t)
}

// endIfUnusedLocked tells a retired container's goroutine to close it, after its last call.
func (c *container) endIfUnusedLocked() {
	if c.running == 0 {
		c.endLocked()
	}
}

func (c *container) endLocked() {
	if !c.ended {
		c.ended = true
		close(c.end)
	}
}
