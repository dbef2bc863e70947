package scheduler

import (
	"time"

	"github.com/jsd-project/jsd/call"
)

// admit acquires a slot for a request of the named tenant, or puts the request into a queue. It returns one of three values:
// the container with the slot, the waiter in the queue, or the error that refuses the request.
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

// meter charges one call to the tenant's rate. It returns a *call.BusyError if the rate is spent.
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

// acquire acquires a slot in a container of the tenant. If none is free, a spare becomes the tenant's and the slot is in the
// spare. acquire returns nil if there is neither.
func (a *allocator) acquire(t *tenant, k kind, now time.Time) *container {
	if t.waiting.length > 0 {
		return nil // the waiting calls come first, and the tenant is in the wait queue for a spare already
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

// enqueue puts a call into its tenant's queue. It returns a *call.BusyError if the queue is full.
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

// admitPinned admits a call in a session, which needs a slot in the session's container. It returns a waiter if the call has
// to wait, and nil if the call has the slot.
func (a *allocator) admitPinned(p *pin, r request, now time.Time) (*waiter, error) {
	c := p.container
	if err := a.meter(c.tenant, now); err != nil {
		return nil, err
	}
	if c.running < c.slots { // no call waits: dispatch would have given it this slot
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

// readmit moves a request from a dead container to another one, or back into its tenant's queue. The request was admitted
// before, so it goes to the front of the queue and the bounds of the queue do not apply.
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

// place grants a slot to a waiter that is in no queue, or puts it at the front of its tenant's queue. Its error says why the
// waiter can have neither.
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

// withdraw removes a call from its queue and refuses it with err.
func (a *allocator) withdraw(w *waiter, err error) {
	a.queue.remove(w)
	a.queue.refuse(w, err)
	a.table.forget(w.tenant)
}

// withdrawAll refuses all waiting calls with err.
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

// complete counts a call that has ended, records how long it ran, and releases its slot.
func (a *allocator) complete(c *container, began, now time.Time) {
	a.calls++
	a.pace.add(c.tenant, now.Sub(began))
	a.release(c, now)
}

// release releases a slot. The next call that waits for it gets it.
func (a *allocator) release(c *container, now time.Time) {
	a.pool.release(c)
	switch {
	case c.dead():
		// The container's goroutine has not noticed the death yet. The container drains now, so that no waiting call is sent
		// into it and a container that replaces it can start at once.
		a.pool.drain(c, whyDied)
		a.balance(now)
	case c.tenant.parent != nil && c.used.Load(): // a cancelled call may not have used the container
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

// giveBack releases the slot of a call that was cancelled before it started.
func (a *allocator) giveBack(w *waiter) {
	switch {
	case w.pin != nil:
		w.pin.inFlight = false
	case w.kind == opens:
		a.pool.opened(w.container)
	}
	a.release(w.container, time.Now())
}
