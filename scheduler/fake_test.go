package scheduler

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A fake container sleeps for a call's Timeout, and takes its Script for the tenant's name.
type fake struct {
	w       *world
	id      string
	profile string
	done    chan struct{}

	mu       sync.Mutex // guards the sessions, too
	tenant   string
	running  int
	calls    int // with those that open sessions, and those in them
	sessions []*fakeSession
	oneShot  bool // has got a one-shot call
	opened   bool // has got one that opens a session
	dead     bool
	closed   bool
}

func (f *fake) ID() string            { return f.id }
func (f *fake) Done() <-chan struct{} { return f.done }

// A fakeCall is one that runs in a fake.
type fakeCall struct {
	cancel    sync.Once
	cancelled chan struct{}
}

func (c *fakeCall) Cancel() { c.cancel.Do(func() { close(c.cancelled) }) }

func (f *fake) Start(job *call.Call, done call.Done) call.Running {
	return f.start(job, nil, done)
}

// start runs a call, in the session if there is one.
func (f *fake) start(job *call.Call, in *fakeSession, done call.Done) call.Running {
	c := &fakeCall{cancelled: make(chan struct{})}
	if err := f.begin(job, in); err != nil {
		done(call.Result{}, err)
		return c
	}
	go func() {
		err := f.perform(job.Timeout, c, in)
		f.end(in)
		done(call.Result{}, err)
	}()
	return c
}

func (f *fake) perform(length time.Duration, c *fakeCall, in *fakeSession) error {
	var ended <-chan struct{}
	if in != nil {
		ended = in.done
	}
	select {
	case <-time.After(length):
		return nil
	case <-c.cancelled:
		return &call.Failure{Code: call.Cancelled}
	case <-f.done:
		return &call.LostError{Started: true, Cause: errKilled}
	case <-ended:
		if f.isDead() {
			return &call.LostError{Started: true, Cause: errKilled}
		}
		return &call.Failure{Code: call.Cancelled}
	}
}

func (f *fake) begin(job *call.Call, in *fakeSession) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in != nil && in.over {
		return call.ErrNoSession
	}
	if f.dead {
		return &call.LostError{Cause: errKilled}
	}
	if f.oneShot = f.oneShot || job.OneShot; f.oneShot && f.calls > 0 {
		f.w.t.Errorf("call %d, one-shot: %v, in %s, which a one-shot call was given", f.calls+1, job.OneShot, f.id)
	}
	if f.tenant == "" {
		f.tenant = string(job.Script)
	}
	if f.tenant != string(job.Script) {
		f.w.t.Errorf("container of %s got a call of %s", f.tenant, string(job.Script))
	}
	if kind := kindOfTenant(f.tenant); kind != kindOf(f.profile) {
		f.w.t.Errorf("container of profile %q got a call of %s", f.profile, f.tenant)
	}
	f.calls++
	f.running++
	if f.running > f.w.concurrency {
		f.w.t.Errorf("%d calls in one container", f.running)
	}
	if in != nil {
		if in.running {
			f.w.t.Error("two calls at once in one session")
		}
		in.running = true
	}
	return nil
}

func (f *fake) end(in *fakeSession) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
	if in != nil {
		in.running = false
	}
}

// die is the container's death by itself.
func (f *fake) die() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.dead {
		f.dead = true
		close(f.done)
		for _, s := range f.sessions {
			s.over = true
			close(s.done)
		}
		f.sessions = nil
	}
}

func (f *fake) isDead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *fake) Close() error {
	f.mu.Lock()
	used := !f.dead && f.running+len(f.sessions) > 0
	f.mu.Unlock()
	if used && !f.w.mayEnd(f) {
		f.w.t.Errorf("%s was closed with calls or sessions in it", f.id)
	}
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

// A fakeSession ends some time after it was closed.
type fakeSession struct {
	f       *fake
	done    chan struct{}
	running bool
	over    bool
	last    chan struct{} // closed when its last call so far is done
}

// sessionEnds is how long a session goes on after Close.
const sessionEnds = 20 * time.Millisecond

func (f *fake) OpenSession(job *call.Call, done func(call.Session, call.Result, error)) call.Running {
	f.mu.Lock()
	f.opened = true
	f.mu.Unlock()
	plain := *job
	plain.OneShot = false // it stands for nothing
	return f.start(&plain, nil, func(res call.Result, err error) {
		if err != nil {
			done(nil, res, err)
			return
		}
		done(f.open(), res, nil)
	})
}

func (f *fake) open() *fakeSession {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &fakeSession{f: f, done: make(chan struct{})}
	if f.dead {
		s.over = true
		close(s.done)
	} else {
		f.sessions = append(f.sessions, s)
	}
	return s
}

func (s *fakeSession) Start(job *call.Call, done call.Done) call.Running {
	return s.f.start(job, s, done)
}

func (s *fakeSession) Execute(context.Context, call.Call) (call.Result, error) { panic("not used") }

// follow gives what is closed when the call before in the session is done, and notes that mine is closed when this one is.
func (s *fakeSession) follow(mine chan struct{}) (before <-chan struct{}) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	before, s.last = s.last, mine
	return before
}

func (s *fakeSession) Done() <-chan struct{} { return s.done }

func (s *fakeSession) Close() {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if !s.over {
		s.over = true
		time.AfterFunc(sessionEnds, s.end)
	}
}

// end is the session's end by itself, as when a call in it overran.
func (s *fakeSession) end() {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.over = true
	if i := slices.Index(s.f.sessions, s); i >= 0 {
		s.f.sessions = slices.Delete(s.f.sessions, i, i+1)
		close(s.done)
	}
}
