package containers

import (
	"context"

	"github.com/jsd-project/jsd/call"
)

// What follows waits for what a call comes to, which only tests do. When ctx ends, the call is cancelled.

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

func (c *Container) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	return await(ctx, func(done call.Done) call.Running { return c.Start(&job, done) })
}

func (s *openedSession) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	return await(ctx, func(done call.Done) call.Running { return s.Start(&job, done) })
}

// openSession gives nil where the session was not opened.
func (c *Container) openSession(ctx context.Context, job call.Call) (*openedSession, error) {
	var opened *openedSession
	_, err := await(ctx, func(done call.Done) call.Running {
		return c.OpenSession(&job, func(s call.Session, result call.Result, err error) {
			opened, _ = s.(*openedSession)
			done(result, err)
		})
	})
	return opened, err
}
