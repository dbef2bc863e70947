package rpc

import (
	"container/heap"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/quota"
)

// An execution is one run of a script. Its name is known while it runs. If its outcome is retained, the name stays known
// for some time after.
type execution struct {
	name    executionName
	retain  bool
	running runningCall

	// Guarded by executions.mu.
	waiters []*waiter
	ended   bool
	outcome outcome   // set when it ended
	expires time.Time // set while the outcome is retained
	place   int       // in executions.expiring, likewise
}

// An executionName is unique while it is known. A tenant reaches no execution of another tenant.
type executionName struct{ tenant, id string }

// An outcome is what a request is answered with.
type outcome struct {
	result json.RawMessage
	err    error
	began  bool // the script may have started; false: it certainly did not, so it may be run again
}

func outcomeOf(result json.RawMessage, err error) outcome {
	began := true
	if err == nil {
		return outcome{result, nil, began}
	}
	var (
		lost *call.LostError
		busy *call.BusyError
	)
	switch {
	case errors.As(err, &busy), errors.Is(err, call.ErrNoSession):
		began = false
	case errors.As(err, &lost):
		began = lost.Started
	}
	return outcome{result, err, began}
}

// executions holds the executions of all tenants that run or are retained.
type executions struct {
	policy    func(tenant string) Policy
	retainAll int64 // bytes that the retained outcomes of all tenants may take

	prefix string // of the names made here; random, so that no two runs of the daemon make the same name
	made   atomic.Uint64

	mu       sync.Mutex // guards what follows
	known    map[executionName]*execution
	retained *quota.Store[string, string, *execution] // by tenant and id; no value is used again, so the oldest is dropped first
	expiring expiring                                 // the executions in retained
	timer    *time.Timer                              // runs while something is retained; nil before, and once stopped
	stopped  bool
}

func newExecutions(cfg *Config) *executions {
	return &executions{
		policy: cfg.policy, retainAll: cfg.RetainAllBytes,
		prefix:   strings.ToLower(rand.Text()[:10]) + "-",
		known:    map[executionName]*execution{},
		retained: quota.NewStore[string, string, *execution](cfg.RetainAllBytes, quota.ByValue),
	}
}

// find returns the execution of this name, or nil if the name is unknown.
func (e *executions) find(name executionName) *execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.known[name]
}

// ran returns the execution of this name if it must not be run again, else nil.
func (e *executions) ran(name executionName) *execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ranLocked(name)
}

func (e *executions) ranLocked(name executionName) *execution {
	x := e.known[name]
	if x != nil && x.ended && !x.outcome.began {
		return nil
	}
	return x
}

// claim makes a new execution known by its name, with w as its first waiter; the caller then runs and completes it. If the
// name is taken, claim returns the execution that has it, and own is false. If id is empty, claim makes a name.
func (e *executions) claim(tenant, id string, retain bool, w *waiter) (x *execution, own bool) {
	made := id == ""
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		if made {
			id = e.prefix + strconv.FormatUint(e.made.Add(1), 36)
		}
		name := executionName{tenant, id}
		if other := e.ranLocked(name); other != nil {
			if made { // a client chose the same name
				continue
			}
			return other, false
		}
		if unrun := e.known[name]; unrun != nil {
			e.forgetLocked(unrun)
		}
		x = &execution{name: name, retain: retain, waiters: []*waiter{w}}
		e.known[name] = x
		return x, true
	}
}

// wait answers w with the outcome of x: at once if x has ended, else when x ends.
func (e *executions) wait(x *execution, w *waiter) {
	e.mu.Lock()
	if !x.ended {
		x.waiters = append(x.waiters, w)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	w.finish(x.outcome.result, x.outcome.err)
}

// abandon ends the waiting of w with 1003, unless it has been answered.
func (e *executions) abandon(x *execution, w *waiter) {
	e.mu.Lock()
	i := slices.Index(x.waiters, w)
	if i >= 0 {
		x.waiters = slices.Delete(x.waiters, i, i+1)
	}
	e.mu.Unlock()
	if i >= 0 {
		w.finish(nil, errCancelled)
	}
}

// complete sets the outcome of x and answers its waiters, which it returns. The caller calls done of each of them when nothing
// of x goes on any more.
func (e *executions) complete(x *execution, result json.RawMessage, err error) (answered []*waiter) {
	o := outcomeOf(result, err)
	if err != nil && x.retain {
		o.err = wireError(err) // err itself may hold on to more memory than clients get
	}
	e.mu.Lock()
	x.outcome, x.ended = o, true
	answered, x.waiters = x.waiters, nil
	if x.retain {
		e.retainLocked(x)
	} else {
		delete(e.known, x.name)
	}
	e.mu.Unlock()
	for _, w := range answered {
		w.answer(o.result, o.err)
	}
	return answered
}

// cancel cancels the execution of this name. It returns whether there is such an execution and it runs.
func (e *executions) cancel(name executionName) bool {
	e.mu.Lock()
	x := e.known[name]
	runs := x != nil && !x.ended
	e.mu.Unlock()
	if runs {
		x.running.Cancel()
	}
	return runs
}

// cancelAll cancels all executions that run.
func (e *executions) cancelAll() {
	e.mu.Lock()
	var running []*execution
	for _, x := range e.known {
		if !x.ended {
			running = append(running, x)
		}
	}
	e.mu.Unlock()
	for _, x := range running {
		x.running.Cancel()
	}
}

// A waiter is a request that waits for an outcome. Its functions are called exactly once, by any goroutine: first answer, with
// the outcome, and then done, when nothing of the request goes on any more.
type waiter struct {
	answer func(result json.RawMessage, err error)
	done   func()
}

// finish answers a request of which nothing else goes on.
func (w waiter) finish(result json.RawMessage, err error) {
	w.answer(result, err)
	w.done()
}

// A runningCall is a call.Running that may be cancelled before it is set. Its zero value is ready.
type runningCall struct {
	mu        sync.Mutex // guards what follows
	running   call.Running
	cancelled bool
}

func (r *runningCall) set(running call.Running) {
	r.mu.Lock()
	r.running = running
	cancelled := r.cancelled
	r.mu.Unlock()
	if cancelled {
		running.Cancel()
	}
}

// Cancel implements call.Running.
func (r *runningCall) Cancel() {
	r.mu.Lock()
	running, first := r.running, !r.cancelled
	r.cancelled = true
	r.mu.Unlock()
	if running != nil && first {
		running.Cancel()
	}
}

// retainedOverhead is about how many bytes a retained outcome takes besides its result or error.
const retainedOverhead = 512

// expiring is a heap of executions by the time at which they expire. Tenants retain outcomes for different times, so this is not
// the order in which they ended.
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

// retainLocked retains the outcome of x, and drops older outcomes for it. An outcome that alone is larger than a bound is
// replaced by an error that says so, since its script must not run again either.
func (e *executions) retainLocked(x *execution) {
	policy := e.policy(x.name.tenant)
	size := x.outcome.size(x.name)
	if size > policy.RetainBytes || size > e.retainAll {
		x = &execution{name: x.name, retain: true, ended: true, outcome: outcome{err: wireError(errRetainedLimit), began: true}}
		size = x.outcome.size(x.name)
		e.known[x.name] = x
	}
	x.expires = time.Now().Add(policy.RetainTime)
	heap.Push(&e.expiring, x)
	for _, dropped := range e.retained.Put(x.name.tenant, x.name.id, x, size, policy.RetainBytes) {
		e.dropLocked(dropped)
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

// forgetLocked drops a retained execution, so that its name is unknown.
func (e *executions) forgetLocked(x *execution) {
	e.retained.Remove(x.name.tenant, x.name.id)
	e.dropLocked(x)
}

// dropLocked removes an execution that is no longer in retained.
func (e *executions) dropLocked(x *execution) {
	delete(e.known, x.name)
	heap.Remove(&e.expiring, x.place)
}

// scheduleLocked sets the timer to the time at which the next outcome expires.
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

// stop ends the timer. Retained outcomes stay until the daemon ends.
func (e *executions) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.timer != nil {
		e.timer.Stop()
	}
}
