package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/jsd-project/jsd/containers"
)

// A fake container sleeps for a call's Timeout, and takes its Script for the tenant's name.
type fake struct {
	w     *world
	id    string
	class string
	done  chan struct{}

	mu      sync.Mutex
	tenant  string
	running int
	calls   int
	once    bool // has got a call with Once
	dead    bool
	closed  bool
}

func (f *fake) ID() string            { return f.id }
func (f *fake) Done() <-chan struct{} { return f.done }

func (f *fake) Execute(ctx context.Context, call containers.Call) (containers.Result, error) {
	res := containers.Result{Container: f.id}
	f.mu.Lock()
	if f.dead {
		f.mu.Unlock()
		return res, &containers.LostError{Cause: errKilled}
	}
	if f.once = f.once || call.Once; f.once && f.calls > 0 {
		f.w.t.Errorf("call %d, once: %v, in %s, which a call with Once was given", f.calls+1, call.Once, f.id)
	}
	if f.tenant == "" {
		f.tenant = string(call.Script)
	}
	if f.tenant != string(call.Script) {
		f.w.t.Errorf("container of %s got a call of %s", f.tenant, string(call.Script))
	}
	if class := classOf(f.tenant); class != f.class {
		f.w.t.Errorf("container of class %q got a call of %s", f.class, f.tenant)
	}
	f.calls++
	f.running++
	if f.running > f.w.concurrency {
		f.w.t.Errorf("%d calls in one container", f.running)
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.running--
	}()
	select {
	case <-time.After(call.Timeout):
		return res, nil
	case <-ctx.Done():
		return res, ctx.Err()
	case <-f.done:
		return res, &containers.LostError{Started: true, Cause: errKilled}
	}
}

// die is the container's death by itself.
func (f *fake) die() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.dead {
		f.dead = true
		close(f.done)
	}
}

func (f *fake) Close() error {
	f.die()
	time.Sleep(f.w.closing)
	f.mu.Lock()
	first := !f.closed
	f.closed = true
	f.mu.Unlock()
	if first {
		f.w.mu.Lock()
		f.w.alive--
		f.w.mu.Unlock()
	}
	return nil
}

func (f *fake) owner() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tenant
}
