package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// start sends a call of a script for a tenant.
func (c *client) start(ctx context.Context, s script, tenant string) (sent, error) {
	return c.send(ctx, "runtime.execute", s.paramsFor(tenant), s.want())
}

// finish waits for the reply and returns the time at which it came. A wrong value is an error.
func (c *client) finish(ctx context.Context, s script, call sent) (time.Time, error) {
	r, err := c.wait(ctx, call)
	if err != nil {
		return time.Time{}, err
	}
	if err := r.check(); err != nil {
		return time.Time{}, fmt.Errorf("%s %w", s.name, err)
	}
	return r.at, nil
}

// call runs a script and returns the time from sending the call to the reply.
func (c *client) call(ctx context.Context, s script, tenant string) (time.Duration, error) {
	call, err := c.start(ctx, s, tenant)
	if err != nil {
		return 0, err
	}
	at, err := c.finish(ctx, s, call)
	return at.Sub(call.at), err
}

// oneByOne makes calls with one in flight, and returns the time of each.
func (c *client) oneByOne(ctx context.Context, s script, tenant string, calls int) ([]time.Duration, error) {
	took := make([]time.Duration, 0, calls)
	for range calls {
		one, err := c.call(ctx, s, tenant)
		if err != nil {
			return nil, err
		}
		took = append(took, one)
	}
	return took, nil
}

// flood makes calls with width in flight, and returns how many were answered a second.
func (c *client) flood(ctx context.Context, s script, tenant string, calls, width int) (float64, error) {
	queue := make(chan struct{}, calls)
	for range calls {
		queue <- struct{}{}
	}
	close(queue)
	errs := make([]error, width)
	began := time.Now()
	var callers sync.WaitGroup
	for i := range width {
		callers.Go(func() {
			for range queue {
				if _, errs[i] = c.call(ctx, s, tenant); errs[i] != nil {
					return
				}
			}
		})
	}
	callers.Wait()
	return float64(calls) / time.Since(began).Seconds(), errors.Join(errs...)
}

// steady makes calls at a steady rate, whether or not earlier ones were answered. It returns the time of each call,
// counted from the moment at which it was meant to start. So a daemon that stops for a moment makes all calls of that
// moment slow.
func (c *client) steady(ctx context.Context, s script, tenant string, calls int, every time.Duration) ([]time.Duration, error) {
	started := make([]sent, calls)
	began := time.Now()
	for n := range started {
		if err := sleepUntil(ctx, intended(began, n, every)); err != nil {
			return nil, err
		}
		var err error
		if started[n], err = c.start(ctx, s, tenant); err != nil {
			return nil, err
		}
	}
	took := make([]time.Duration, calls)
	for n, call := range started {
		at, err := c.finish(ctx, s, call)
		if err != nil {
			return nil, err
		}
		took[n] = at.Sub(intended(began, n, every))
	}
	return took, nil
}

// intended returns when call n is meant to start, however long the calls before it took.
func intended(began time.Time, n int, every time.Duration) time.Time {
	return began.Add(time.Duration(n) * every)
}

// sleepUntil sleeps in the kernel. A timer of Go may be a millisecond late, which is longer than a call takes.
func sleepUntil(ctx context.Context, at time.Time) error {
	for {
		left := time.Until(at)
		if left <= 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		span := unix.NsecToTimespec(left.Nanoseconds())
		if err := unix.Nanosleep(&span, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
