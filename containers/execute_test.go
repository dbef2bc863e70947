package containers

import (
	"context"
	"testing"
	"testing/synctest"

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

// succeeds wants a call to come to a value.
func (c *Container) succeeds(t *testing.T, job call.Call) {
	t.Helper()
	if _, err := c.Execute(t.Context(), job); err != nil {
		t.Errorf("the call got %v", err)
	}
}

// gives wants a call to come to this value.
func (c *Container) gives(t *testing.T, job call.Call, value string) {
	t.Helper()
	if result, err := c.Execute(t.Context(), job); string(result.Value) != value || err != nil {
		t.Errorf("the call got %s, %v, want %s", result.Value, err, value)
	}
}

// virtually runs a subtest in virtual time.
func virtually(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}
