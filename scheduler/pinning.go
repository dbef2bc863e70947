package scheduler

import (
	"slices"
	"time"

	"github.com/jsd-project/jsd/call"
)

// retryPinned is the RetryAfter for clients that wait until another session ends. That time cannot be estimated.
const retryPinned = 5 * time.Second

// pinning bounds the number of containers that sessions pin. A pinned container may be unavailable to other tenants for a
// long time. Sessions pin at most three quarters of all places, so that they do not shut out calls that need no session.
type pinning struct {
	max   int // places
	queue *queue
	pool  *pool
}

// mayPin reports whether a session of the tenant may pin one more container. One container is reserved for each other tenant
// that has waiting calls that open a session.
func (p *pinning) mayPin(t *tenant) bool {
	others := p.queue.opening
	if t.opening > 0 {
		others--
	}
	return p.pool.pinned.length+p.pool.drainingPinned+others < max(1, p.max*3/4)
}

// mayWait reports whether a call that opens a session may wait for a slot. If the tenant may not pin one more container, the
// call may still wait for a slot in a container that the tenant's sessions pin already. It may not if another container of
// the tenant has a free slot.
func (p *pinning) mayWait(t *tenant) bool {
	if p.mayPin(t) {
		return true
	}
	pinned := func(c *container) bool { return c.place.in == &p.pool.pinned }
	return t.freest(nil) == nil && slices.ContainsFunc(t.containers, pinned)
}

// refusal counts a refused call whose session would pin one container too many, and returns its error.
func (p *pinning) refusal() error {
	p.queue.refused++
	return &call.BusyError{Reason: PinnedFull, RetryAfter: retryPinned}
}
