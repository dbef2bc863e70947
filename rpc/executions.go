package rpc

import (
	"container/list"
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
)

// An execution is one run of a script, known by its name while it runs. Where it is kept, its outcome is known for some
// time after.
type execution struct {
	name    executionName
	keep    bool
	running runningCall

	// Guarded by executions.mu. Elements are nil unless the outcome is retained.
	waiters   []*waiter
	ended     bool
	outcome   outcome // set when it ended
	expires   time.Time
	place     int // in executions.expiring
	size      int64
	inAll     *list.Element
	inTenants *list.Element
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
	retained retainedList // of all tenants
	expiring expiring     // the same
	tenants  map[string]*retainedList
	timer    *time.Timer // runs while something is retained; nil before, and once stopped
	stopped  bool
}

func newExecutions(cfg *Config) *executions {
	return &executions{
		policy: cfg.policy, retainAll: cfg.KeepAllBytes,
		prefix:  strings.ToLower(rand.Text()[:10]) + "-",
		known:   map[executionName]*execution{},
		tenants: map[string]*retainedList{},
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
