package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jsd-project/jsd/call"
)

type (
	ctx    = context.Context
	result = call.Result
	does   = func(ctx context.Context, tenant string, c call.Call) (result, error)
)

// A runner stands for the scheduler: what a script does is a Go function, by its code or, where it
// has none, by what it calls. It keeps to the contract of package containers.
type runner struct {
	scripts map[string]does
	started chan string    // gets the code of each "wait" that runs
	seen    chan call.Call // gets each call that is none of scripts; its value is 1
	ready   error
	refused atomic.Int64 // callbacks beyond the bound

	mu       sync.Mutex // guards all below
	runs     map[string]int
	stopped  []string
	whose    []string // tenants of all runs, and of what was stopped
	sessions []*fakeSession
}

var errSecretPlace = errors.New("no engine at /some/secret/place")

func value(v string) does {
	return func(context.Context, string, call.Call) (result, error) {
		return result{Value: json.RawMessage(v), Console: nil, Time: 3}, nil
	}
}

func fails(err error) does {
	return func(context.Context, string, call.Call) (result, error) { return result{}, err }
}

func newRunner() *runner {
	r := &runner{started: make(chan string, 20000), seen: make(chan call.Call, 100), runs: map[string]int{}}
	r.scripts = map[string]does{
		"1":     value(`1`),
		"null":  value(`null`),
		"none":  value(``),
		"order": value(`{"b":1.0,"a":12345678901234567890,"<":"\u003c"}`),
		"big":   value(`"` + strings.Repeat("x", 1<<20) + `"`),
		"print": func(context.Context, string, call.Call) (result, error) {
			return result{Value: json.RawMessage(`0`), Console: []string{"a<b>&", "\u2028é"}, Time: 1}, nil
		},
		"call": func(_ context.Context, tenant string, c call.Call) (result, error) {
			seen := map[string]any{"tenant": tenant, "timeout": c.Timeout.Milliseconds(), "cpu": c.CPU.Milliseconds(), "call": c.Script}
			b, err := json.Marshal(seen)
			return result{Value: b}, err
		},
		"throw":   fails(&call.Failure{Code: call.Exception, Name: "TypeError", Message: "x", Stack: "at main.js:1"}),
		"overrun": fails(&call.Failure{Code: call.Timeout, Limit: "wall"}),
		"busy":    fails(busyError(1500 * time.Microsecond)),
		"lost":    fails(&call.LostError{Cause: errSecretPlace}),
		"broken":  fails(&call.LostError{Started: true, Cause: errSecretPlace}),
		"odd":     fails(errSecretPlace),
		"wait":    r.wait,
		"stubborn": func(ctx context.Context, _ string, c call.Call) (result, error) {
			r.started <- codeOf(c)
			<-ctx.Done()
			return result{}, &call.Failure{Code: call.Cancelled, Console: []string{"before"}}
		},
	}
	r.addHostScripts()
	return r
}

// wait is a call that waits in the queue, until it is cancelled.
func (r *runner) wait(ctx ctx, _ string, c call.Call) (result, error) {
	r.started <- codeOf(c)
	<-ctx.Done()
	return result{}, ctx.Err()
}

// held is a script that ends when release is closed.
func (r *runner) held(release <-chan struct{}, v string) does {
	return func(ctx ctx, _ string, c call.Call) (result, error) {
		r.started <- codeOf(c)
		select {
		case <-release:
			return result{Value: json.RawMessage(v), Time: 3}, nil
		case <-ctx.Done():
			return result{}, &call.Failure{Code: call.Cancelled}
		}
	}
}

// A cancelFunc is a call.Running.
type cancelFunc func()

func (f cancelFunc) Cancel() { f() }

func (r *runner) Start(tenant string, job *call.Call, done call.Done) call.Running {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		res, err := r.run(ctx, tenant, *job)
		if errors.Is(err, context.Canceled) {
			err = &call.Failure{Code: call.Cancelled}
		}
		done(res, err)
	}()
	return cancelFunc(cancel)
}

func (r *runner) run(ctx context.Context, tenant string, c call.Call) (result, error) {
	if c.Client != nil {
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		h := &fakeHost{Client: c.Client, allowed: c.Callbacks, stream: c.Stream, ended: ctx.Done(), refused: &r.refused}
		c.Client = h
		defer h.asked.Wait()
		defer end()
	}
	code := codeOf(c)
	r.mu.Lock()
	r.runs[code]++
	r.whose = append(r.whose, tenant)
	script, ok := r.scripts[code]
	r.mu.Unlock()
	if ok {
		return script(ctx, tenant, c)
	}
	r.seen <- c
	return result{Value: json.RawMessage(`1`)}, nil
}

// ran is how often a script was.
func (r *runner) ran(code string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runs[code]
}

func (r *runner) tenants() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.whose)
}

func (r *runner) Stop(tenant string) {
	r.mu.Lock()
	r.stopped = append(r.stopped, tenant)
	r.whose = append(r.whose, tenant)
	r.mu.Unlock()
}

// codeOf is the code of a call, which says here what the runner does.
func codeOf(c call.Call) string {
	var script struct{ Code, Call string }
	if err := json.Unmarshal(c.Script, &script); err != nil {
		return err.Error()
	}
	if script.Code == "" {
		return script.Call
	}
	return script.Code
}

func (r *runner) Ready() error { return r.ready }

func busyError(after time.Duration) error {
	return &call.BusyError{Reason: "queue full", RetryAfter: after}
}

// What package containers sees to for every call.
const (
	maxAsked    = 1_000
	maxAnswered = 1 << 20 // bytes; there it is more
)

// A fakeHost is what stands between a script and the Host of its call.
type fakeHost struct {
	call.Client
	allowed []string
	stream  bool
	ended   <-chan struct{}
	asked   sync.WaitGroup

	refused *atomic.Int64

	mu      sync.Mutex
	waiting int
}

func (h *fakeHost) Print(level, text string) {
	if h.stream {
		h.Client.Print(level, text)
	}
}

func (h *fakeHost) Callback(ctx ctx, name string, args json.RawMessage) (json.RawMessage, error) {
	if !slices.Contains(h.allowed, name) {
		return nil, &call.CallbackError{Message: "host." + name + " is not allowed: it is not in callbacks"}
	}
	if !h.count(1) {
		h.refused.Add(1)
		return nil, &call.CallbackError{Message: "too many callbacks"}
	}
	type answer struct {
		value json.RawMessage
		err   error
	}
	answered := make(chan answer, 1)
	h.asked.Go(func() {
		defer h.count(-1)
		value, err := h.Client.Callback(ctx, name, args)
		answered <- answer{value, err}
	})
	select {
	case a := <-answered:
		if len(a.value) > maxAnswered {
			return nil, &call.CallbackError{Message: "too large"}
		}
		return a.value, a.err
	case <-h.ended:
		return nil, context.Canceled
	}
}

func (h *fakeHost) count(more int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting+more > maxAsked {
		return false
	}
	h.waiting += more
	return true
}

// A fakeSession runs scripts of its runner, and keeps a number between them.
type fakeSession struct {
	r      *runner
	tenant string
	turn   chan struct{} // holds one
	done   chan struct{}
	end    sync.Once

	mu sync.Mutex
	x  int
}

func (r *runner) OpenSession(tenant string, job *call.Call, done func(call.Session, result, error)) call.Running {
	return r.Start(tenant, job, func(res result, err error) {
		if err != nil {
			done(nil, res, err)
			return
		}
		s := &fakeSession{r: r, tenant: tenant, turn: make(chan struct{}, 1), done: make(chan struct{}), x: 2}
		r.mu.Lock()
		r.sessions = append(r.sessions, s)
		r.mu.Unlock()
		done(s, res, nil)
	})
}

func (s *fakeSession) Done() <-chan struct{} { return s.done }
func (s *fakeSession) Close()                { s.end.Do(func() { close(s.done) }) }

// Start panics where a call runs already: the order of a session's calls is for rpc to keep.
func (s *fakeSession) Start(job *call.Call, done call.Done) call.Running {
	select {
	case s.turn <- struct{}{}:
	default:
		panic("two calls at once in a session")
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		res, err := s.execute(ctx, *job)
		<-s.turn
		done(res, err)
	}()
	return cancelFunc(cancel)
}

func (s *fakeSession) execute(ctx ctx, c call.Call) (result, error) {
	select {
	case <-s.done:
		return result{}, call.ErrNoSession
	default:
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, s.Close)() // a call that is cancelled while it runs
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	res, err := s.r.run(context.WithValue(ctx, sessionKey{}, s), s.tenant, c)
	var failure *call.Failure
	if errors.Is(err, context.Canceled) {
		err = &call.Failure{Code: call.Cancelled}
	}
	if errors.As(err, &failure) && (failure.Code == call.Timeout || failure.Code == call.Cancelled) {
		s.Close()
	}
	return res, err
}

type sessionKey struct{}
