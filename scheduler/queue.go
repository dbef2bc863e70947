package scheduler

import (
	"time"

	"github.com/jsd-project/jsd/call"
)

// Values of Reason in a call.BusyError: the limit that the call exceeded.
const (
	QueueTenantFull = "too many calls of this tenant wait"
	QueueFull       = "too many calls wait"
	QueueTimeSpent  = "no free slot within the queue time"
	RateSpent       = "too many calls of this tenant in this time"
	PinnedFull      = "sessions hold too many containers"
)

// A queue keeps the calls that wait for slots, and puts their tenants into the wait queues for containers.
type queue struct {
	max       int // waiting calls, of all tenants
	timeSlice time.Duration
	janitor   *janitor

	queued  int // waiting calls
	opening int // tenants with waiting calls that open a session
	decided []*waiter
	refused uint64
}

// full returns the Reason why no more calls of the tenant may wait, empty if they may.
func (q *queue) full(t *tenant) string {
	switch {
	case t.queued >= t.policy.Queue:
		return QueueTenantFull
	case q.queued >= q.max:
		return QueueFull
	default:
		return ""
	}
}

// push adds a call to its tenant's queue, or to the queue of its session's container.
func (q *queue) push(w *waiter) {
	if w.pin != nil {
		w.pin.container.waiting.push(&w.place)
	} else {
		w.tenant.waiting.push(&w.place)
	}
	q.pushed(w)
}

// pushFront puts a call at the front of its tenant's queue, where it was before.
func (q *queue) pushFront(w *waiter) {
	w.tenant.waiting.pushFront(&w.place)
	q.pushed(w)
}

func (q *queue) pushed(w *waiter) {
	q.queued++
	w.tenant.queued++
	if w.kind == opens {
		if w.tenant.opening++; w.tenant.opening == 1 {
			q.opening++
		}
	}
	if w.pin == nil {
		q.placeTenant(w.tenant)
	}
}

func (q *queue) remove(w *waiter) {
	w.place.remove()
	q.queued--
	w.tenant.queued--
	if w.kind == opens {
		if w.tenant.opening--; w.tenant.opening == 0 {
			q.opening--
		}
	}
	if w.tenant.position.in != nil {
		q.placeTenant(w.tenant)
	}
}

// grant gives an acquired slot to a call that is in no queue.
func (q *queue) grant(w *waiter, c *container) {
	w.container = c
	if w.pin != nil {
		w.pin.waiting = nil
	}
	q.decide(w)
}

// refuse completes a call that is in no queue with an error.
func (q *queue) refuse(w *waiter, err error) {
	w.err = err
	if w.pin != nil {
		w.pin.inFlight, w.pin.waiting = false, nil
	}
	q.decide(w)
}

// decide adds the call to decided. Scheduler.unlock starts or answers it, after it has unlocked the mutex.
func (q *queue) decide(w *waiter) {
	w.waited += time.Since(w.since)
	if w.timer != nil {
		w.timer.Stop()
	}
	q.decided = append(q.decided, w)
}

// close refuses the waiting call of a session, and all calls to come.
func (q *queue) close(p *pin) {
	if p.closed {
		return
	}
	p.closed = true
	if w := p.waiting; w != nil {
		q.remove(w)
		q.refuse(w, call.ErrNoSession)
	}
}

// placeTenant puts the tenant into the wait queue that it belongs in, and takes it out of any other. It is called after each
// change of the tenant's waiting calls, containers or profile.
func (q *queue) placeTenant(t *tenant) {
	has, demand := len(t.containers), (t.waiting.length+t.slots-1)/t.slots
	var in *fair[*tenant]
	switch demand = max(min(demand, t.limit-has), min(t.stale, 1)); {
	case demand <= 0:
	case has > 0:
		in = &t.profile.waiting.scaleUp
	case t.served:
		in = &t.profile.waiting.oneShot
	default:
		in, demand = &t.profile.waiting.cold, 1 // more than the first container is a matter of scaleUp
	}
	if in == nil {
		demand = 0
	}
	now := time.Now()
	p := &t.position
	if demand < p.demand {
		q.janitor.schedule(now) // other tenants may have the containers that it no longer needs: the sweep balances
	}
	if in != p.in {
		if p.in == nil {
			p.since = now
		}
		p.remove()
		if in != nil {
			in.push(p, t.policy.Weight)
		}
		if in == &t.profile.waiting.oneShot {
			q.janitor.schedule(p.joined.Add(q.timeSlice))
		}
	}
	if in != nil {
		p.setDemand(demand)
	}
}

// renew makes a tenant cold if it has waited for the container of its next one-shot call for a time slice. Cold tenants go
// first, and if there are more busy tenants than places, a cold tenant waits at any time. Without renew, the others would
// wait for ever.
func (q *queue) renew(profiles []*profile, now time.Time) {
	for _, p := range profiles {
		for {
			longest := p.waiting.oneShot.longest()
			if longest == nil || longest.joined.Add(q.timeSlice).After(now) {
				break
			}
			longest.item.served = false
			q.placeTenant(longest.item)
		}
	}
}
