package scheduler

import (
	"time"

	"github.com/jsd-project/jsd/call"
)

// admit gives a call a slot in a container, or a place in a queue, or the reason why it gets neither.
func (a *allocator) admit(name string, r request, now time.Time) (*container, *waiter, error) {
	t := a.table.tenant(name, r.kind)
	if err := a.meter(t, now); err != nil {
		return nil, nil, err
	}
	if c := a.acquire(t, r.kind, now); c != nil {
		return c, nil, nil
	}
	if r.kind == opens && !a.pinning.mayWait(t) {
		a.table.forget(t)
		return nil, nil, a.pinning.refusal()
	}
	w, err := a.enqueue(t, r, now)
	return nil, w, err
}

// meter refuses a call of a tenant that makes calls faster than it may.
func (a *allocator) meter(t *tenant, now time.Time) error {
	if t.policy.Rate <= 0 {
		return nil
	}
	wait := a.rates.take(t.name, &t.policy, now)
	if wait == 0 {
		return nil
	}
	a.queue.refused++
	a.table.forget(t)
	return &call.BusyError{Reason: RateSpent, RetryAfter: wait}
}

// acquire takes a slot in a container of the tenant, or in a spare that becomes the tenant's, if there is one now.
func (a *allocator) acquire(t *tenant, k kind, now time.Time) *container {
	if t.waiting.length > 0 {
		return nil // these calls come first, and the tenant is in the wait queue for that spare already
	}
	var in *list[*container]
	if k == opens && !a.pinning.mayPin(t) {
		in = &a.pool.pinned
	}
	if c := t.freest(in); c != nil {
		a.pool.acquire(c, k, now)
		return c
	}
	if in != nil || len(t.containers) >= t.limit || !a.marks.maySpare(t) {
		return nil
	}
	c := t.profile.spares.front()
	a.pool.own(c, t, now)
	a.pool.acquire(c, k, now)
	a.balance(now)
	return c
}

// enqueue lets a call wait, or refuses it where too many calls wait.
func (a *allocator) enqueue(t *tenant, r request, now time.Time) (*waiter, error) {
	if err := a.full(t); err != nil {
		return nil, err
	}
	w := newWaiter(t, r)
	a.queue.push(w)
	a.balance(now)
	return w, nil
}

func (a *allocator) full(t *tenant) error {
	reason := a.queue.full(t)
	if reason == "" {
		return nil
	}
	err := a.pace.busy(t, reason)
	a.table.forget(t)
	return err
}

// admitPinned is admit for a call in a session, which needs a slot in the session's container.
func (a *allocator) admitPinned(p *pin, r request, now time.Time) (*waiter, error) {
	c := p.container
	if err := a.meter(c.tenant, now); err != nil {
		return nil, err
	}
	if c.running < c.slots { // nobody waits for the slot: then it would have been given away
		p.inFlight = true
		a.pool.acquire(c, plain, now)
		return nil, nil
	}
	if err := a.full(c.tenant); err != nil {
		return nil, err
	}
	w := newWaiter(c.tenant, r)
	w.pin = p
	p.inFlight, p.waiting = true, w
	a.queue.push(w)
	return w, nil
}

// readmit finds a slot elsewhere for a call whose slot is in a dead container. The call keeps its rank, so it goes to the front of
// its tenant's queue, and past the bounds, which it was judged by already.
func (a *allocator) readmit(w *waiter, dead *container) {
	now := time.Now()
	a.pool.release(dead)
	if w.kind == opens {
		a.pool.opened(dead)
	}
	a.pool.drain(dead, whyDied)
	w.tenant, w.since, w.moved = a.table.tenant(dead.tenant.name, w.kind), now, true
	if err := a.place(w, now); err != nil {
		a.queue.refuse(w, err)
		a.table.forget(w.tenant)
	}
	a.balance(now)
}

// place grants a slot to a waiter that is in no queue, or puts it at the front of its tenant's queue.
func (a *allocator) place(w *waiter, now time.Time) error {
	switch {
	case a.state == closed:
		return ErrClosed
	case w.cancelled.Load():
		return errCancelled()
	}
	if c := a.acquire(w.tenant, w.kind, now); c != nil {
		a.queue.grant(w, c)
		return nil
	}
	if w.kind == opens && !a.pinning.mayWait(w.tenant) {
		return a.pinning.refusal()
	}
	a.queue.pushFront(w)
	return nil
}

// withdraw refuses a call that is in a queue.
func (a *allocator) withdraw(w *waiter, err error) {
	a.queue.remove(w)
	a.queue.refuse(w, err)
	a.table.forget(w.tenant)
}

// withdrawAll refuses all calls that wait.
func (a *allocator) withdrawAll(err error) {
	withdraw := func(l *list[*waiter]) {
		for w := l.front(); w != nil; w = l.front() {
			a.withdraw(w, err)
		}
	}
	for _, t := range a.table.tenants {
		for ; t != nil; t = t.oneShot {
			withdraw(&t.waiting)
			for _, c := range t.containers {
				withdraw(&c.waiting)
			}
		}
	}
	for l := a.pool.draining.first; l != nil; l = l.next {
		withdraw(&l.item.waiting)
	}
}

func errCancelled() error { return &call.Failure{Code: call.Cancelled} }

// complete gives back the slot of a call that has ended.
func (a *allocator) complete(c *container, began, now time.Time) {
	a.calls++
	a.pace.add(c.tenant, now.Sub(began))
	a.release(c, now)
}

// release gives a slot back, to the next call that waits for it if there is one.
func (a *allocator) release(c *container, now time.Time) {
	a.pool.release(c)
	switch {
	case c.dead():
		// Before the container's own goroutine notices, which then has nothing left to do: no waiting call may be sent into it,
		// and what takes its place must not wait until it is closed.
		a.pool.drain(c, whyDied)
		a.balance(now)
	case c.tenant.parent != nil && c.used.Load(): // a slot that its call did not use is still good
		a.pool.drain(c, whyUsed)
		a.balance(now)
	}
	a.dispatch(c, now)
	if c.draining {
		a.pool.closeIfUnused(c)
	} else {
		a.onIdle(c, now)
	}
}

// giveBack releases a slot that its call does not use.
func (a *allocator) giveBack(w *waiter) {
	switch {
	case w.pin != nil:
		w.pin.inFlight = false
	case w.kind == opens:
		a.pool.opened(w.container)
	}
	a.release(w.container, time.Now())
}
