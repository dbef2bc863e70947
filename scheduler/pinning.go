package scheduler

import (
	"slices"
	"time"

	"github.com/jsd-project/jsd/call"
)

// retryPinned is for clients that have to wait until a session of somebody else ends, which nobody can foretell.
const retryPinned = 5 * time.Second

// pinning bounds the containers that sessions pin: each is one less for all others for a long time. So that sessions do not shut
// out calls that need none, they pin at most three quarters of all places.
type pinning struct {
	max   int // places
	queue *queue
	pool  *pool
}

// mayPin tells whether a session of the tenant may pin a container that none pins yet. One is left for each other tenant with
// waiting calls that open a session.
func (p *pinning) mayPin(t *tenant) bool {
	others := p.queue.opening
	if t.opening > 0 {
		others--
	}
	return p.pool.pinned.length+p.pool.drainingPinned+others < max(1, p.max*3/4)
}

// mayWait tells whether a call that opens a session may wait for a slot where it found none. Where no more containers may be
// pinned, it may wait for a slot in one that the tenant's sessions pin already, but not beside a free slot.
func (p *pinning) mayWait(t *tenant) bool {
	if p.mayPin(t) {
		return true
	}
	pinned := func(c *container) bool { return c.place.in == &p.pool.pinned }
	return t.freest(nil) == nil && slices.ContainsFunc(t.containers, pinned)
}

// refusal is the error of a call whose session would pin one container too many.
func (p *pinning) refusal() error {
	p.queue.refused++
	return &call.BusyError{Reason: PinnedFull, RetryAfter: retryPinned}
}
