package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
)

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second

	// A spare that dies within this time of being ready was no good start: replacing those without
	// a pause would be a storm of starts for nothing.
	infancy = time.Second
)

// balanceLocked does all that can be done now about tenants in turns and containers that are
// missing. It looks at counts only, so it may be called after any change and as often as one likes.
func (s *Scheduler) balanceLocked() {
	if s.state == fresh || s.state == closed {
		return
	}
	for c := s.spares.front(); c != nil && s.turns.length() > 0; c = s.spares.front() {
		s.assignLocked(c)
	}
	if s.crowdedLocked() {
		s.makeRoomLocked()
	}
	for s.wantsStartLocked() {
		s.starting++
		s.count.starts++
		s.live.Go(s.liveContainer)
	}
}

// assignLocked gives a spare to the tenant whose turn it is.
func (s *Scheduler) assignLocked(c *container) {
	t := s.turns.front()
	s.turns.leave(t)
	s.meanTurn.add(time.Since(t.turnSince))
	s.ownLocked(c, t)
	s.dispatchLocked(c)
	s.joinTurnsLocked(t)
}

// crowdedLocked says whether tenants wait for places that others have. Every place that no tenant
// has is one of theirs already: it is being started, closed or free. While starting fails nothing
// that works is given up for something that may not come.
func (s *Scheduler) crowdedLocked() bool {
	return s.turns.length() > 0 && s.owned+s.turns.length() > s.cfg.Max && s.failures == 0
}

// makeRoomLocked retires the containers that are idle longest, and where none is, those that were
// busy without a break for a turn.
func (s *Scheduler) makeRoomLocked() {
	for s.crowdedLocked() {
		c, why := s.idle.front(), whyGaveWay
		if c == nil {
			c, why = s.busy.front(), whyTurnOver
			if c == nil {
				return
			}
			if over := c.since.Add(s.cfg.Turn); over.After(time.Now()) {
				s.alarmLocked(over)
				return
			}
		}
		s.count.evictions++
		s.retireLocked(c, why)
	}
}

// wantsStartLocked says whether one more start should begin now.
func (s *Scheduler) wantsStartLocked() bool {
	if s.starting+s.spares.length+s.owned+s.retired >= s.cfg.Max {
		return false
	}
	want, limit := s.turns.length(), s.cfg.Starts
	if s.state == open {
		want = max(want+s.cfg.Spare, s.cfg.Min-s.owned)
	}
	if s.failures > 0 {
		if time.Now().Before(s.retryAt) {
			return false
		}
		// One at a time, to find out; and also if nobody waits, so that Ready can recover.
		want, limit = max(want, 1), 1
	}
	return s.starting < limit && s.starting+s.spares.length < want
}

// liveContainer is a container's life: the goroutine that starts it, sees it die, and closes it.
func (s *Scheduler) liveContainer() {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.StartTime)
	began := time.Now()
	given, err := s.cfg.Start(ctx)
	cancel()
	if err == nil && given == nil {
		err = errors.New("start gave no container")
	}
	if err != nil {
		s.startFailed(err)
		return
	}
	c := s.started(given)
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

func (s *Scheduler) started(given Container) *container {
	c := &container{Container: given, end: make(chan struct{})}
	c.place.item = c
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting--
	c.failures, s.failures, s.startErr = s.failures, 0, nil
	s.count.started++
	s.moveLocked(c, &s.spares, time.Now())
	s.balanceLocked()
	s.alarmLocked(s.nextLocked())
	return c
}

func (s *Scheduler) startFailed(err error) {
	s.mu.Lock()
	s.starting--
	stopped := s.state == closed
	if !stopped {
		s.failedLocked(err)
	}
	failures, retry := s.failures, time.Until(s.retryAt)
	s.mu.Unlock()
	if !stopped {
		s.cfg.Log.Warn().Err(err).Int("failures", failures).Dur("retry", retry).Msg("container did not start")
	}
}

// failedLocked puts off the next start, longer with each failure in a row. Starts that were under
// way together and fail together count as one.
func (s *Scheduler) failedLocked(err error) {
	s.count.failed++
	s.startErr = err
	now := time.Now()
	if s.failures > 0 && now.Before(s.retryAt) {
		return
	}
	delay := min(firstBackoff<<min(s.failures, 10), lastBackoff)
	delay -= rand.N(delay / 4) // jitter, so that daemons that share an engine do not keep step
	s.failures++
	s.retryAt = now.Add(delay)
	s.alarmLocked(s.retryAt)
}

func (s *Scheduler) died(c *container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.retired {
		return // it was on its way out, or a call found it dead first
	}
	s.retireLocked(c, whyDied)
	if c.tenant == nil && time.Since(c.since) < infancy {
		s.failures = max(s.failures, c.failures)
		s.failedLocked(fmt.Errorf("container %s died as soon as it was ready", c.ID()))
	}
	s.balanceLocked()
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
	s.retired--
	if err != nil && s.state == closed {
		s.closeErrs = append(s.closeErrs, fmt.Errorf("close container %s: %w", c.ID(), err))
	}
	s.balanceLocked()
}

// retireLocked takes a container out of the table: it gets no calls any more, its tenant's waiters
// line up for another, and it is closed when the calls in it have ended.
func (s *Scheduler) retireLocked(c *container, why string) {
	if c.retired {
		return
	}
	c.retired, c.why = true, why
	if why == whyDied {
		s.count.deaths++
	}
	c.place.leave()
	s.retired++
	c.endIfUnusedLocked()
	t := c.tenant
	if t == nil {
		return
	}
	s.owned--
	t.containers = slices.DeleteFunc(t.containers, func(other *container) bool { return other == c })
	s.joinTurnsLocked(t)
	s.forgetLocked(t)
}

// endIfUnusedLocked tells a retired container's goroutine to close it, after its last call.
func (c *container) endIfUnusedLocked() {
	if c.running == 0 && !c.ended {
		c.ended = true
		close(c.end)
	}
}
