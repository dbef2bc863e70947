package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// crashLoop is how long a spare must live. An earlier death counts as a failed start, so that the back-off applies. Without
// it, spares that die at once would be replaced without a pause.
const crashLoop = time.Second

// Open makes the scheduler start containers and admit calls. It does not wait for containers; see Ready. It may be called
// once. The scheduler then needs a Close.
func (s *Scheduler) Open() {
	s.mu.Lock()
	defer s.unlock()
	if s.alloc.state != created {
		return
	}
	s.alloc.startContainer = func(p *profile) { s.live.Go(func() { s.run(p) }) }
	s.alloc.pool.aged = s.aged
	s.alloc.setState(open)
	s.live.Go(func() { s.alloc.janitor.run(s.quit, s.sweep) })
	s.alloc.balance(time.Now())
}

func (s *Scheduler) sweep() time.Time {
	s.mu.Lock()
	defer s.unlock()
	return s.alloc.sweep(time.Now())
}

func (s *Scheduler) aged(c *container) {
	s.mu.Lock()
	defer s.unlock()
	s.alloc.pool.makeStale(c, whyOld)
	s.alloc.balance(time.Now())
}

// run is the goroutine of a container. It starts the container, waits until the container dies or has to end, and closes it.
func (s *Scheduler) run(p *profile) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.StartTime)
	began := time.Now()
	given, err := s.cfg.Start(ctx, p.name)
	cancel()
	if err == nil && given == nil {
		err = errors.New("start gave no container")
	}
	if err != nil {
		s.startFailed(p, err)
		return
	}
	c := s.started(p, given)
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
	s.removed(c, err)
	logClosed(&log, c, err)
}

func logClosed(log *zerolog.Logger, c *container, err error) {
	line := log.Debug()
	if c.why == whyDied || err != nil {
		line = log.Warn()
	}
	if c.tenant != nil {
		line = line.Str("tenant", c.tenant.name)
	}
	line.Err(err).Str("why", c.why).Msg("container closed")
}

func (s *Scheduler) started(p *profile, given Container) *container {
	now := time.Now()
	c := &container{Container: given, profile: p, born: now, end: make(chan struct{})}
	c.place.item, c.stalePlace.item = c, c
	s.mu.Lock()
	defer s.unlock()
	p.starting--
	c.failures, p.failures, p.startErr = p.failures, 0, nil
	p.endCanary(nil)
	s.alloc.pool.addSpare(c, now)
	s.alloc.balance(now)
	s.alloc.scheduleNext(now)
	return c
}

func (s *Scheduler) startFailed(p *profile, err error) {
	s.mu.Lock()
	p.starting--
	stopped := s.alloc.state == closed
	if !stopped {
		s.failLocked(p, err)
		p.endCanary(err)
		s.alloc.balance(time.Now()) // its place and its share of the concurrent starts are free now
	}
	failures, retry := p.failures, time.Until(p.retryAt)
	s.unlock()
	if stopped {
		return
	}
	line := s.cfg.Log.Warn().Err(err)
	if p.name != "" {
		line = line.Str("profile", p.name)
	}
	line.Int("failures", failures).Dur("retry", retry).Msg("container did not start")
}

// failLocked counts a failed start of the profile and schedules the next one.
func (s *Scheduler) failLocked(p *profile, err error) {
	s.alloc.failed++
	if now := time.Now(); p.failed(err, now) {
		s.alloc.janitor.schedule(p.retryAt)
	}
}

func (s *Scheduler) died(c *container) {
	s.mu.Lock()
	defer s.unlock()
	if c.draining {
		s.alloc.pool.close(c) // it had calls or sessions left, or a call found it dead first
		return
	}
	s.alloc.pool.drain(c, whyDied)
	if c.tenant == nil && time.Since(c.since) < crashLoop {
		c.profile.failures = max(c.profile.failures, c.failures)
		s.failLocked(c.profile, fmt.Errorf("container %s died as soon as it was ready", c.ID()))
	}
	s.alloc.balance(time.Now())
}

func (s *Scheduler) shutDown(c *container) {
	s.mu.Lock()
	defer s.unlock()
	s.alloc.pool.drain(c, whyShutdown)
	s.alloc.pool.close(c) // drain does not close a container that drained before and has calls or sessions
}

// removed frees the place of a container that is closed. err is the error of its Close.
func (s *Scheduler) removed(c *container, err error) {
	s.mu.Lock()
	defer s.unlock()
	s.alloc.pool.removed(c)
	if err != nil && s.alloc.state == closed {
		s.closeErrs = append(s.closeErrs, fmt.Errorf("close container %s: %w", c.ID(), err))
	}
	s.alloc.balance(time.Now())
}

// Close shuts the scheduler down. It refuses new calls and waits until the admitted calls, which include the waiting ones,
// have ended or ctx ends. Then it ends every container with the calls that are left in it, and returns when none of the
// scheduler's goroutines is left. Its error joins ctx's error, if calls were cut off, and the errors of containers that
// could not be closed. A second Close waits for the first and returns nil.
func (s *Scheduler) Close(ctx context.Context) error {
	if !s.beginDrain() {
		<-s.gone
		return nil
	}
	defer close(s.gone)
	var cut error
	select {
	case <-s.drained:
	case <-ctx.Done():
		cut = ctx.Err()
	}
	s.mu.Lock()
	if s.alloc.state == drained {
		cut = nil
	}
	s.alloc.setState(closed)
	s.alloc.withdrawAll(ErrClosed)
	s.unlock()
	close(s.quit)
	s.cancel()
	s.live.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(append([]error{cut}, s.closeErrs...)...)
}

// beginDrain sets the state draining. It returns false if another Close did so before.
func (s *Scheduler) beginDrain() bool {
	s.mu.Lock()
	defer s.unlock()
	if s.alloc.state >= draining {
		return false
	}
	s.alloc.setState(draining)
	return true
}
