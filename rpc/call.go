package rpc

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A run is a call that passed all checks.
type run struct {
	method string
	client *client
	req    *request

	tenant string
	name   string // the client's; empty: one is made
	keep   bool   // its outcome is known for some time
	detach bool   // it outlives its connection

	call   call.Call
	hidden []string // secrets

	session *session // that it runs in; nil: none

	// start is called on the reader, in the order of the requests; what it gives back runs the call.
	start func(blank func() blanker) task
}

type task func(ctx context.Context, job call.Call) (json.RawMessage, spent, error)

// begin runs a call, or waits for the outcome of the one that has its name.
func (s *Server) begin(ctx context.Context, cancel func(), r *run) waiting {
	runCtx := ctx
	if r.detach {
		runCtx, cancel = context.WithCancel(s.background)
	}
	x := &execution{keep: r.keep, cancel: cancel, done: make(chan struct{})}
	if other := s.claim(x, r); other != x {
		if r.detach {
			cancel()
		}
		return joined(ctx, other)
	}
	blank := blankNothing
	if len(r.hidden) > 0 {
		blank = sync.OnceValue(func() blanker { return newBlanker(r.hidden) })
	}
	if r.call.Stream || len(r.call.Callbacks) > 0 {
		r.call.Client = newHost(r, x.name.id, blank)
	}
	r.call.Execution = x.name.id
	task := r.start(blank)
	if r.detach {
		held := r.client.detach(r.req)
		s.goBackground(func() {
			defer cancel()
			defer s.load.give(r.req.tenant, held)
			s.run(runCtx, x, task, r, blank)
		})
		return joined(ctx, x)
	}
	return func() (json.RawMessage, error) {
		s.run(runCtx, x, task, r, blank)
		return x.outcome.result, x.outcome.err
	}
}

func blankNothing() blanker { return blanker{} }

// claim gives x a name.
func (s *Server) claim(x *execution, r *run) *execution {
	if r.name != "" {
		x.name = executionName{r.tenant, r.name}
		return s.executions.claim(x)
	}
	for {
		x.name = executionName{r.tenant, s.executions.newName()}
		if s.executions.claim(x) == x { // unless a client had the same idea
			return x
		}
	}
}

// joined waits for an execution as if it were the request's own.
func joined(ctx context.Context, x *execution) waiting {
	return func() (json.RawMessage, error) { return x.wait(ctx, true) }
}

// run is the one place that sees the end of every call. It blanks the secrets out of all that a script may
// have put them in by accident, its log line's too.
func (s *Server) run(ctx context.Context, x *execution, run task, r *run, blank func() blanker) {
	began := time.Now()
	result, used, err := run(ctx, r.call)
	if err != nil {
		result, err = nil, blank().err(causeOf(ctx, err))
	}
	s.report(r, x, began, used, err)
	s.executions.end(x, result, err)
}
