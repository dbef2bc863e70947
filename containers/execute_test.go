package containers

import (
	"context"

	"github.com/jsd-project/jsd/call"
)

// Execute starts a call, waits until it is done, and cancels it when ctx ends.
func (c *Container) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	return await(ctx, func(done call.Done) call.Running { return c.Start(&job, done) })
}

// openSession opens a session, waits until that is done, and cancels it when ctx ends.
func (c *Container) openSession(ctx context.Context, job call.Call) (call.Session, error) {
	var opened call.Session
	_, err := await(ctx, func(done call.Done) call.Running {
		return c.OpenSession(&job, func(s call.Session, result call.Result, err error) {
			opened = s
			done(result, err)
		})
	})
	return opened, err
}
