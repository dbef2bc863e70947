package scheduler

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrStarting is Ready's error before the first container is ready, and after all containers have died until the next
	// one is ready.
	ErrStarting = errors.New("no container is ready yet")

	// ErrClosing is Ready's error while dead containers that cannot be closed have all places, for example because the
	// engine does not answer. No start can begin then, so none finds out.
	ErrClosing = errors.New("all containers have died and are being closed")
)

// Ready returns nil if a script of a tenant of the default profile could run now. Otherwise it returns ErrClosed or the
// reason why no container is ready.
func (s *Scheduler) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, base := s.alloc, s.alloc.table.base
	switch {
	case a.state != open:
		return ErrClosed
	case base.spares.length+base.owned > 0:
		return nil
	case a.pool.draining.length >= s.cfg.Max && a.pool.draining.front().why == whyDied:
		return ErrClosing
	case base.failures > 0 && base.starting == 0 && !base.backsOff(time.Now()):
		return nil // the next start gets a place only when a call comes, and calls come only while it is ready
	case base.failures > 0:
		return fmt.Errorf("containers do not start: %w", base.startErr)
	case base.starting > 0 && s.cfg.Min+s.cfg.Spare > 0:
		return ErrStarting
	default:
		return nil // no container is kept ready, or the next one is being started
	}
}

// Stats are numbers of all profiles together. All but the last group describe the moment. The last group counts since Open.
type Stats struct {
	Tenants int // with a container or a waiting call

	// Containers; Starting + Spare + Idle + Busy + Closing is never more than Config.Max.
	Starting int
	Spare    int // ready, of no tenant
	Idle     int // of a tenant, without calls
	Busy     int // of a tenant, with calls or sessions
	Closing  int // being closed, or draining until its last call and session have ended

	Sessions       int // open
	Running        int // calls in containers
	Queued         int // calls that wait
	TenantsWaiting int // for a container

	Calls     uint64 // calls that were executed and have ended
	Refused   uint64 // calls refused with a BusyError
	Starts    uint64 // starts of containers, begun
	Failed    uint64 // starts that failed, and spares that died as soon as they were ready
	Deaths    uint64 // ready containers that died
	Evictions uint64 // containers that gave way to another tenant
	Recycled  uint64 // containers that were idle too long
	Stale     uint64 // containers that were too old, or of a profile that their tenant no longer had
}

// Stats returns the numbers. It takes constant time for a given number of profiles and idle timeouts.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alloc.stats()
}

func (a *allocator) stats() Stats {
	sum, p := a.table.total(), &a.pool
	return Stats{
		Tenants:        len(a.table.tenants),
		Starting:       sum.starting,
		Spare:          sum.spares,
		Idle:           a.table.idle.length(),
		Busy:           p.busy.length + p.oneShot.length + p.pinned.length,
		Closing:        p.draining.length,
		Sessions:       p.sessions,
		Running:        p.running,
		Queued:         a.queue.queued,
		TenantsWaiting: sum.waiting,
		Calls:          a.calls,
		Refused:        a.queue.refused,
		Starts:         a.starts,
		Failed:         a.failed,
		Deaths:         p.deaths,
		Evictions:      a.evictions,
		Recycled:       a.recycled,
		Stale:          p.stale,
	}
}
