package scheduler

import (
	"context"
	"errors"

	"github.com/jsd-project/jsd/call"
)

// The functions of this file wait for the outcome of a call, for tests that have a goroutine for each call.

// A waited is an outcome.
type waited struct {
	session call.Session
	result  call.Result
	err     error
}

// await starts a call and returns its outcome. It cancels the call when ctx ends. The error is ctx's if the call had no container by then.
func await(ctx context.Context, start func(done func(call.Session, call.Result, error)) call.Running) waited {
	if err := ctx.Err(); err != nil {
		return waited{err: err}
	}
	ch := make(chan waited, 1)
	running := start(func(ss call.Session, res call.Result, err error) { ch <- waited{ss, res, err} })
	defer context.AfterFunc(ctx, running.Cancel)()
	o := <-ch
	var failed *call.Failure
	if ctx.Err() != nil && o.result.Container == "" && errors.As(o.err, &failed) {
		o.err = ctx.Err()
	}
	return o
}

// Run is Start that waits for the outcome. ctx cancels the call.
func (s *Scheduler) Run(ctx context.Context, tenant string, job call.Call) (call.Result, error) {
	o := await(ctx, func(done func(call.Session, call.Result, error)) call.Running {
		return s.Start(tenant, &job, func(res call.Result, err error) { done(nil, res, err) })
	})
	return o.result, o.err
}

// RunOpen is OpenSession that waits for the outcome. ctx cancels the opening.
func (s *Scheduler) RunOpen(ctx context.Context, tenant string, job call.Call) (call.Session, call.Result, error) {
	o := await(ctx, func(done func(call.Session, call.Result, error)) call.Running {
		return s.OpenSession(tenant, &job, done)
	})
	return o.session, o.result, o.err
}

// Execute is Start that waits for the outcome. ctx cancels the call.
func (ss *session) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	o := await(ctx, func(done func(call.Session, call.Result, error)) call.Running {
		return ss.Start(&job, func(res call.Result, err error) { done(nil, res, err) })
	})
	return o.result, o.err
}
