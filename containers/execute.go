package containers

import (
	"context"

	"github.com/jsd-project/jsd/call"
)

// Execute starts a call, waits until it is done, and cancels it when ctx ends.
func (s *openedSession) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	return await(ctx, func(done call.Done) call.Running { return s.Start(&job, done) })
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
