package rpc

import (
	"container/heap"
	"container/list"
	"time"
)

// retainedOverhead is about what a retained outcome takes beside what is in it.
const retainedOverhead = 512

// A retainedList holds executions that have ended, those that ended first in front.
type retainedList struct {
	list.List
	bytes int64
}

func (l *retainedList) oldest() *execution { return l.Front().Value.(*execution) }

// expiring is executions by when they expire, as package heap has it: tenants keep them for different times.
type expiring []*execution

func (h expiring) Len() int           { return len(h) }
func (h expiring) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }
func (h expiring) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *expiring) Push(x any) {
	x.(*execution).place = len(*h)
	*h = append(*h, x.(*execution))
}

func (h *expiring) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}

// retainLocked retains the outcome of x, and drops older ones for it. One that alone is over the bound
// is replaced by an error that says so: it must not run again either.
func (e *executions) retainLocked(x *execution) {
	policy := e.policy(x.name.tenant)
	if x.size = x.outcome.size(x.name); x.size > policy.KeepBytes || x.size > e.retainAll {
		x = &execution{name: x.name, keep: true, ended: true, outcome: outcome{err: wireError(errKeptLimit), began: true}}
		x.size = x.outcome.size(x.name)
		e.known[x.name] = x
	}
	tenant := e.tenants[x.name.tenant]
	if tenant == nil {
		tenant = &retainedList{}
		e.tenants[x.name.tenant] = tenant
	}
	x.expires = time.Now().Add(policy.KeepTime)
	heap.Push(&e.expiring, x)
	x.inAll, x.inTenants = e.retained.PushBack(x), tenant.PushBack(x)
	e.retained.bytes += x.size
	tenant.bytes += x.size
	for tenant.bytes > policy.KeepBytes {
		e.forgetLocked(tenant.oldest())
	}
	for e.retained.bytes > e.retainAll {
		e.forgetLocked(e.retained.oldest())
	}
	e.scheduleLocked()
}

func (o *outcome) size(name executionName) int64 {
	size := retainedOverhead + len(name.tenant) + len(name.id) + cap(o.result)
	if o.err != nil {
		if e := wireError(o.err); e.Data != nil {
			size += len(e.Message) + len(*e.Data)
		}
	}
	return int64(size)
}

// forgetLocked makes an execution that has ended unknown.
func (e *executions) forgetLocked(x *execution) {
	delete(e.known, x.name)
	tenant := e.tenants[x.name.tenant]
	tenant.Remove(x.inTenants)
	e.retained.Remove(x.inAll)
	heap.Remove(&e.expiring, x.place)
	tenant.bytes -= x.size
	e.retained.bytes -= x.size
	if tenant.Len() == 0 {
		delete(e.tenants, x.name.tenant)
	}
}

// scheduleLocked sees to it that what is retained gets dropped in time.
func (e *executions) scheduleLocked() {
	if len(e.expiring) == 0 || e.stopped {
		return
	}
	if next := time.Until(e.expiring[0].expires); e.timer == nil {
		e.timer = time.AfterFunc(next, e.sweep)
	} else {
		e.timer.Reset(next)
	}
}

func (e *executions) sweep() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for len(e.expiring) > 0 && !e.expiring[0].expires.After(now) {
		e.forgetLocked(e.expiring[0])
	}
	e.scheduleLocked()
}

// stop ends the timer. What is retained stays, for those that still ask.
func (e *executions) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.timer != nil {
		e.timer.Stop()
	}
}
