package containers

import (
	"context"

	"github.com/jsd-project/jsd/call"
)

// Execute starts a call, waits until it is done, and cancels it when ctx ends.
func (c *Container) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	return await(ctx, func(done call.Done) call.Running { return c.Start(&job, done) })
}

// OpenSessionContext opens a session, waits until that is done, and cancels it when ctx ends.
func (c *Container) OpenSessionContext(ctx context.Context, job call.Call) (call.Session, error) {
	var opened call.Session
	_, err := await(ctx, func(done call.Done) call.Running {
		return c.OpenSession(&job, func(s call.Session, result call.Result, err error) {
			opened = s
			done(result, err)
		})
	})
	return opened, err
}

// Execute waits for the calls before it, starts a call, waits until it is done, and cancels it when ctx ends.
func (s *openedSession) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	if ctx.Err() != nil {
		return call.Result{}, &call.Failure{Code: call.Cancelled}
	}
	if s.isClosed() {
		return call.Result{}, call.ErrNoSession
	}
	select {
	case s.turn <- struct{}{}:
	case <-s.closed:
		return call.Result{}, s.endError()
	case <-ctx.Done():
		return call.Result{}, &call.Failure{Code: call.Cancelled}
	}
	defer func() { <-s.turn }()
	if s.isClosed() {
		return call.Result{}, s.endError()
	}
	return await(ctx, func(done call.Done) call.Running { return s.Start(&job, done) })
}

func (s *openedSession) endError() error {
	s.sessions.link.mu.Lock()
	defer s.sessions.link.mu.Unlock()
	return s.endErrorLocked()
}

// await starts a call, waits until it is done, and cancels it when ctx ends.
func await(ctx context.Context, start func(call.Done) call.Running) (call.Result, error) {
	if ctx.Err() != nil {
		return call.Result{}, &call.Failure{Code: call.Cancelled}
	}
	outcomes := make(chan outcome, 1)
	r := start(func(result call.Result, err error) { outcomes <- outcome{result, err} })
	defer context.AfterFunc(ctx, r.Cancel)()
	o := <-outcomes
	return o.result, o.err
}
