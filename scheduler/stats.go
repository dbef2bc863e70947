package scheduler

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrStarting is what Ready answers before the first container is ready, and where all have died and the
	// first of the next ones is not ready yet.
	ErrStarting = errors.New("no container is ready yet")

	// ErrClosing is what Ready answers where all places are those of containers that have died and cannot
	// be closed, as while an engine is away: no start finds that out, since none may begin.
	ErrClosing = errors.New("all containers have died and are being closed")
)

// Ready says whether a script of a tenant of the default class could run right now: nil, ErrClosed, or
// why no container is there.
func (s *Scheduler) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != open:
		return ErrClosed
	case s.base.spares.length+s.base.owned > 0:
		return nil
	case s.leaving.length >= s.cfg.Max && s.leaving.front().why == whyDied:
		return ErrClosing
	case s.base.failures > 0 && s.base.starting == 0 && !s.base.backsOff(time.Now()):
		return nil // the next try wants a place, which it gets when a call comes: not to be ready would keep calls away
	case s.base.failures > 0:
		return fmt.Errorf("containers do not start: %w", s.base.startErr)
	case s.base.starting > 0 && s.cfg.Min+s.cfg.Spare > 0:
		return ErrStarting
	default:
		return nil // none is kept ready, or the next is on its way
	}
}

type counters struct {
	calls, refused    uint64
	starts, failed    uint64
	deaths, evictions uint64
	recycled, worn    uint64
}

// Stats is a snapshot, of all classes together. The first groups add up to what is there now, the last counts since Open.
type Stats struct {
	Tenants int // that have a container or a waiter

	// Containers; Starting + Spare + Idle + Busy + Closing is never more than Config.Max.
	Starting int
	Spare    int // ready, nobody's
	Idle     int // a tenant's, without calls
	Busy     int // a tenant's, with calls or sessions
	Closing  int // being closed, or about to be after their last calls

	Sessions       int // open
	Running        int // calls in containers
	Queued         int // calls that wait
	TenantsWaiting int // for a container

	Calls     uint64 // that were executed and have ended
	Refused   uint64 // with a BusyError
	Starts    uint64 // of containers, begun
	Failed    uint64 // of them, and spares that died as soon as they were ready
	Deaths    uint64 // of ready containers
	Evictions uint64 // that gave way to another tenant
	Recycled  uint64 // that were idle too long
	Worn      uint64 // that were too old, or of a class that their tenant has no more
}

// Stats costs the same however much there is to count.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statsLocked()
}

func (s *Scheduler) statsLocked() Stats {
	sum := s.totalLocked()
	return Stats{
		Tenants:        len(s.tenants),
		Starting:       sum.starting,
		Spare:          sum.spares,
		Idle:           s.idle.length(),
		Busy:           s.busy.length + s.lone.length + s.held.length,
		Closing:        s.leaving.length,
		Sessions:       s.sessions,
		Running:        s.running,
		Queued:         s.queued,
		TenantsWaiting: sum.waiting,
		Calls:          s.count.calls,
		Refused:        s.count.refused,
		Starts:         s.count.starts,
		Failed:         s.count.failed,
		Deaths:         s.count.deaths,
		Evictions:      s.count.evictions,
		Recycled:       s.count.recycled,
		Worn:           s.count.worn,
	}
}
