package rpc

import (
	"container/list"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jsd-project/jsd/call"
)

// An execution is one run of a script, known by its name while it runs. Where it is kept, its
// outcome is known for some time after.
type execution struct {
	name   executionName
	keep   bool
	cancel func()        // ends the run; harmless once it has ended
	done   chan struct{} // closed when outcome is there

	outcome outcome

	// Guarded by executions.mu. Elements are nil unless the outcome is kept.
	ended     bool
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

// wait gives the outcome, or 1003 when ctx ends before. Where own is set the execution is the
// request's own, so that cancelling the one cancels the other; losing the connection does not.
func (x *execution) wait(ctx context.Context, own bool) (json.RawMessage, error) {
	select {
	case <-x.done:
	case <-ctx.Done():
		if !own || context.Cause(ctx) != errCancelled {
			return nil, errCancelled
		}
		x.cancel()
		<-x.done
	}
	return x.outcome.result, x.outcome.err
}

// executions is those of all tenants that run or are kept.
type executions struct {
	policy  func(tenant string) Policy
	keepAll int64 // bytes that the kept ones of all tenants may take

	prefix string // of the names made here: another one in each run of the daemon
	made   atomic.Uint64

	mu       sync.Mutex // guards all below
	known    map[executionName]*execution
	kept     keptList // of all tenants
	expiring expiring // the same
	tenants  map[string]*keptList
	timer    *time.Timer // runs while something is kept; nil before, and once stopped
	stopped  bool
}

func newExecutions(cfg *Config) *executions {
	return &executions{
		policy: cfg.policy, keepAll: cfg.KeepAllBytes,
		prefix:  strings.ToLower(rand.Text()[:10]) + "-",
		known:   map[executionName]*execution{},
		tenants: map[string]*keptList{},
	}
}

// newName makes a name where the client gave none.
func (e *executions) newName() string { return e.prefix + strconv.FormatUint(e.made.Add(1), 36) }

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

// claim makes x known by its name, or gives the one that has it. Whoever gets x runs it, and ends it.
func (e *executions) claim(x *execution) *execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	if other := e.ranLocked(x.name); other != nil {
		return other
	}
	if unrun := e.known[x.name]; unrun != nil {
		e.forgetLocked(unrun)
	}
	e.known[x.name] = x
	return x
}

// end gives x its outcome, and those who wait for it.
func (e *executions) end(x *execution, result json.RawMessage, err error) {
	x.outcome = outcomeOf(result, err)
	if err != nil && x.keep {
		x.outcome.err = wireError(err) // and not all that it may hold on to
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	defer close(x.done)
	x.ended = true
	if x.keep {
		e.keepLocked(x)
	} else {
		delete(e.known, x.name)
	}
}
