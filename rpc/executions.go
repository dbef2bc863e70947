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

// An execution is one run of a script, known by its name while it runs. Where it is kept, its outcome is known for some
// time after.
type execution struct {
	name    executionName
	keep    bool
	running runningCall

	// Guarded by executions.mu.
	waiters []*waiter
	ended   bool
	outcome outcome   // set when it ended
	expires time.Time // where it is retained, as the next
	place   int       // in executions.expiring
}

// An executionName is unique while it is known. Nobody reaches those of another tenant.
type executionName struct{ tenant, id string }

// An outcome is what a request is answered with.
type outcome struct {
	result json.RawMessage
	err    error
	began  bool // whether the script may have; where it certainly did not, it may be run anew
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

// executions is those of all tenants that run or are retained.
type executions struct {
	policy    func(tenant string) Policy
	retainAll int64 // bytes that the retained ones of all tenants may take

	prefix string // of the names made here: another one in each run of the daemon
	made   atomic.Uint64

	mu       sync.Mutex // guards what follows
	known    map[executionName]*execution
	retained *quota.Store[string, string, *execution] // by tenant and id; nobody uses one again, so the oldest goes first
	expiring expiring                                 // those in retained
	timer    *time.Timer                              // runs while something is retained; nil before, and once stopped
	stopped  bool
}

func newExecutions(cfg *Config) *executions {
	return &executions{
		policy: cfg.policy, retainAll: cfg.KeepAllBytes,
		prefix:   strings.ToLower(rand.Text()[:10]) + "-",
		known:    map[executionName]*execution{},
		retained: quota.NewStore[string, string, *execution](cfg.KeepAllBytes, quota.ByValue),
	}
}

// find gives the execution of this name; nil: unknown.
func (e *executions) find(name executionName) *execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.known[name]
}

// ran is find for those that must not be run again.
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

// claim makes an execution known by its name, or gives the one that has it. Whoever gets an execution of its own runs and
// completes it; w is its first waiter. Without an id it makes a name.
func (e *executions) claim(tenant, id string, keep bool, w *waiter) (x *execution, own bool) {
	made := id == ""
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		if made {
			id = e.prefix + strconv.FormatUint(e.made.Add(1), 36)
		}
		name := executionName{tenant, id}
		if other := e.ranLocked(name); other != nil {
			if made { // a client had the same idea
				continue
			}
			return other, false
		}
		if unrun := e.known[name]; unrun != nil {
			e.forgetLocked(unrun)
		}
		x = &execution{name: name, keep: keep, waiters: []*waiter{w}}
		e.known[name] = x
		return x, true
	}
}

// wait has w answered with the outcome of x, at once where there is one.
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

// complete gives x its outcome, and answers those who wait for it. The caller tells them when all is done.
func (e *executions) complete(x *execution, result json.RawMessage, err error) (answered []*waiter) {
	o := outcomeOf(result, err)
	if err != nil && x.keep {
		o.err = wireError(err) // and not all that it may hold on to
	}
	e.mu.Lock()
	x.outcome, x.ended = o, true
	answered, x.waiters = x.waiters, nil
	if x.keep {
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

// cancel tells whether there was one that runs.
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

// cancelAll ends all that run.
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

// finish answers a request of which nothing goes on.
func (w waiter) finish(result json.RawMessage, err error) {
	w.answer(result, err)
	w.done()
}

// A runningCall is a call.Running that may be cancelled before it is there.
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

// Cancel is that of call.Running.
func (r *runningCall) Cancel() {
	r.mu.Lock()
	running, first := r.running, !r.cancelled
	r.cancelled = true
	r.mu.Unlock()
	if running != nil && first {
		running.Cancel()
	}
}

// retainedOverhead is about what a retained outcome takes beside what is in it.
const retainedOverhead = 512

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

// retainLocked retains the outcome of x, and drops older ones for it. One that alone is over the bound is replaced by an
// error that says so: it must not run again either.
func (e *executions) retainLocked(x *execution) {
	policy := e.policy(x.name.tenant)
	size := x.outcome.size(x.name)
	if size > policy.KeepBytes || size > e.retainAll {
		x = &execution{name: x.name, keep: true, ended: true, outcome: outcome{err: wireError(errKeptLimit), began: true}}
		size = x.outcome.size(x.name)
		e.known[x.name] = x
	}
	x.expires = time.Now().Add(policy.KeepTime)
	heap.Push(&e.expiring, x)
	for _, dropped := range e.retained.Put(x.name.tenant, x.name.id, x, size, policy.KeepBytes) {
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

// forgetLocked makes an execution that is retained unknown.
func (e *executions) forgetLocked(x *execution) {
	e.retained.Remove(x.name.tenant, x.name.id)
	e.dropLocked(x)
}

// dropLocked is for an execution that is retained no more.
func (e *executions) dropLocked(x *execution) {
	delete(e.known, x.name)
	heap.Remove(&e.expiring, x.place)
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
