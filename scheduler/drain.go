package scheduler

import (
	"context"
	"errors"
)

// Close refuses new calls, lets those it has taken end, waiting ones too, until ctx ends, then ends
// every container, with the calls that may be left in them, and returns when none of the
// scheduler's goroutines is left. Its error joins ctx's, if calls were cut off, and those of
// containers that would not close. A second Close waits for the first.
func (s *Scheduler) Close(ctx context.Context) error {
	if !s.drain() {
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
	if s.state == settled {
		cut = nil
	}
	s.state = closed
	s.refuseAllLocked()
	s.unlock()
	close(s.quit)
	s.cancel()
	s.live.Wait()
	s.mu.Lock()
	defer s.unlock()
	return errors.Join(append([]error{cut}, s.closeErrs...)...)
}

// drain is false when another Close came first.
func (s *Scheduler) drain() bool {
	s.mu.Lock()
	defer s.unlock()
	if s.state >= draining {
		return false
	}
	s.state = draining
	s.settleLocked()
	return true
}

// refuseAllLocked ends all waits.
func (s *Scheduler) refuseAllLocked() {
	refuse := func(l *list[*waiter]) {
		for w := l.front(); w != nil; w = l.front() {
			s.withdrawLocked(w, ErrClosed)
		}
	}
	for _, t := range s.tenants {
		for ; t != nil; t = t.once {
			refuse(&t.waiting)
			for _, c := range t.containers {
				refuse(&c.waiting)
			}
		}
	}
	for k := s.leaving.first; k != nil; k = k.next {
		refuse(&k.item.waiting)
	}
}

// settleLocked notices the end of the last call while draining.
func (s *Scheduler) settleLocked() {
	if s.state == draining && s.running == 0 && s.queued == 0 {
		s.state = settled
		close(s.drained)
	}
}
