package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A spare that dies within this time of being ready was no good start: replacing those without a
// pause would be a storm of starts for nothing.
const infancy = time.Second

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
		s.shutDown(c)
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
	now := time.Now()
	c := &container{Container: given, class: k, born: now, end: make(chan struct{})}
	c.place.item, c.inWorn.item = c, c
	s.mu.Lock()
	defer s.unlock()
	k.starting--
	c.failures, k.failures, k.startErr = k.failures, 0, nil
	k.trialOverLocked(nil)
	s.moveLocked(c, &k.spares, now)
	s.setAgeLocked(c, s.common.MaxAge)
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
		k.trialOverLocked(err)
		s.balanceLocked(time.Now()) // its place, and its part of the starts at once, are for others now
	}
	failures, retry := k.failures, time.Until(k.retryAt)
	s.unlock()
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
	defer s.unlock()
	if c.retired {
		s.endLocked(c) // it was on its way out with calls or sessions, or a call found it dead first
		return
	}
	s.retireLocked(c, whyDied)
	if c.tenant == nil && time.Since(c.since) < infancy {
		c.class.failures = max(c.class.failures, c.failures)
		s.failedLocked(c.class, fmt.Errorf("container %s died as soon as it was ready", c.ID()))
	}
	s.balanceLocked(time.Now())
}

func (s *Scheduler) shutDown(c *container) {
	s.mu.Lock()
	defer s.unlock()
	s.retireLocked(c, whyShutdown)
	s.endLocked(c) // also one that was retired before, and has calls or sessions
}

// closed frees the container's place, now that nothing of it is left.
func (s *Scheduler) closed(c *container, err error) {
	s.mu.Lock()
	defer s.unlock()
	c.place.leave()
	s.closing--
	if err != nil && s.state == closed {
		s.closeErrs = append(s.closeErrs, fmt.Errorf("close container %s: %w", c.ID(), err))
	}
	s.balanceLocked(time.Now())
}
