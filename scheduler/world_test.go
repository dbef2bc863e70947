package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/jsd-project/jsd/containers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errEngine = errors.New("engine is down")
	errKilled = errors.New("killed")
)

// A world is an engine with fake containers. It checks by itself what no container may ever see:
// too many of its kind, two tenants, too many calls at once, another call beside one with Once.
type world struct {
	t           *testing.T
	max         int
	concurrency int
	takes       func() time.Duration // to start
	closing     time.Duration

	mu     sync.Mutex
	broken error // what starts fail with
	stuck  bool  // starts do not end by themselves
	alive  int   // being started, ready, or being closed
	starts int
	tries  []time.Time
	all    []*fake // that came up
}

// A fake container sleeps for a call's Timeout, and takes its Script for the tenant's name.
type fake struct {
	w    *world
	id   string
	done chan struct{}

	mu      sync.Mutex
	tenant  string
	running int
	calls   int
	once    bool // has got a call with Once
	dead    bool
	closed  bool
}

func (w *world) start(ctx context.Context) (Container, error) {
	w.mu.Lock()
	w.starts++
	w.tries = append(w.tries, time.Now())
	w.alive++
	if w.alive > w.max {
		w.t.Errorf("%d containers, at most %d are allowed", w.alive, w.max)
	}
	takes, stuck := w.takes(), w.stuck
	f := &fake{w: w, id: fmt.Sprintf("c%d", w.starts), done: make(chan struct{})}
	w.mu.Unlock()

	var err error
	if stuck {
		<-ctx.Done()
		err = ctx.Err()
	} else {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		err = w.broken
	}
	if err != nil {
		w.alive--
		return nil, err
	}
	w.all = append(w.all, f)
	return f, nil
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

func (w *world) breakDown(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
}

// containers are those that came up, in that order.
func (w *world) containers() []*fake {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// count gives the starts so far, and the containers that exist now, in whatever state.
func (w *world) count() (starts, alive int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.starts, w.alive
}

func (f *fake) owner() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tenant
}

func (w *world) setStuck(stuck bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stuck = stuck
}

// in runs a test in a bubble with a faked clock, around an open scheduler with all spares ready. At
// the end every container must be closed, and a goroutine left over fails the bubble.
func in(t *testing.T, cfg Config, test func(t *testing.T, w *world, s *Scheduler)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, max: max(cfg.Max, 1), concurrency: cfg.Concurrency, closing: 80 * time.Millisecond,
			takes: func() time.Duration { return 300 * time.Millisecond },
		}
		if w.concurrency == 0 {
			w.concurrency = 8
		}
		cfg.Start = w.start
		s := New(cfg)
		s.Open()
		defer func() {
			over, cancel := context.WithCancel(context.Background())
			cancel()
			if err := s.Close(over); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("Close: %v", err)
			}
			if _, alive := w.count(); alive != 0 {
				t.Errorf("%d containers left", alive)
			}
		}()
		time.Sleep(startsToReady)
		synctest.Wait()
		test(t, w, s)
	})
}

// startsToReady is enough for the first containers of any test here.
const startsToReady = 3 * time.Second

// An outcome is what a call came to.
type outcome struct {
	container string // also beside an error that came from one
	queue     time.Duration
	cold      bool
	took      time.Duration
	err       error
}

// send runs a call of that length in the background.
func send(ctx context.Context, s *Scheduler, tenant string, length time.Duration) <-chan outcome {
	return begin(ctx, s, tenant, containers.Call{Timeout: length})
}

// sendOnce is send for a call that wants a container for itself.
func sendOnce(ctx context.Context, s *Scheduler, tenant string, length time.Duration) <-chan outcome {
	return begin(ctx, s, tenant, containers.Call{Timeout: length, Once: true})
}

func begin(ctx context.Context, s *Scheduler, tenant string, call containers.Call) <-chan outcome {
	ch := make(chan outcome, 1)
	began := time.Now()
	call.Script = []byte(tenant)
	go func() {
		res, err := s.Run(ctx, tenant, call)
		ch <- outcome{container: res.Container, queue: res.Queue, cold: res.Cold, took: time.Since(began), err: err}
	}()
	synctest.Wait()
	return ch
}

// run runs a call that must succeed.
func run(t *testing.T, s *Scheduler, tenant string, length time.Duration) outcome {
	t.Helper()
	return well(t, send(t.Context(), s, tenant, length))
}

func runOnce(t *testing.T, s *Scheduler, tenant string, length time.Duration) outcome {
	t.Helper()
	return well(t, sendOnce(t.Context(), s, tenant, length))
}

// well waits for a call that must succeed.
func well(t *testing.T, call <-chan outcome) outcome {
	t.Helper()
	o := <-call
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o
}

func wantStats(t *testing.T, s *Scheduler, what string, got func(Stats) int, want int) {
	t.Helper()
	synctest.Wait()
	if st := s.Stats(); got(st) != want {
		t.Errorf("%s: %d, want %d: %+v", what, got(st), want, st)
	}
}

func spares(st Stats) int { return st.Spare }
func ready(st Stats) int  { return st.Spare + st.Idle + st.Busy }
