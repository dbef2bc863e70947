package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/jsd-project/jsd/call"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errEngine = errors.New("engine is down")
	errKilled = errors.New("killed")
)

// A world is an engine with fake containers. It checks by itself what no container may ever see:
// too many of its kind, two tenants, a tenant of another class, too many calls at oneShot, another call
// beside one with Once, two calls at oneShot in a session, and an end while it has calls or sessions.
type world struct {
	t           *testing.T
	s           *Scheduler // may be nil
	max         int
	concurrency int
	takes       func() time.Duration // to start
	closing     time.Duration

	mu          sync.Mutex
	broken      map[string]error // what starts fail with, by kind of class
	stuck       map[string]bool  // starts do not end by themselves, by kind of class
	generations map[string]int   // by kind of class
	alive       int              // being started, ready, or being closed
	starts      int
	tries       []time.Time
	began       []string // the classes of starts
	all         []*fake  // that came up
}

func newWorld(t *testing.T, cfg Config, takes time.Duration) *world {
	concurrency := Policy{}.withDefaults().Concurrency
	if cfg.Policy != nil {
		concurrency = cfg.Policy("").withDefaults().Concurrency
	}
	return &world{
		t: t, max: max(cfg.Max, 1), concurrency: concurrency, closing: 80 * time.Millisecond,
		takes:  func() time.Duration { return takes },
		broken: map[string]error{}, stuck: map[string]bool{}, generations: map[string]int{},
	}
}

// classOf makes "gpu:a" a tenant of class gpu, and "a" one of the default class.
func classOf(tenant string) string {
	if class, _, ok := strings.Cut(tenant, ":"); ok {
		return class
	}
	return ""
}

// all gives every tenant one policy.
func all(p Policy) func(string) Policy { return func(string) Policy { return p } }

// classed adds the classes that the names of tenants tell, in their generation of now.
func (w *world) classed(policy func(string) Policy) func(string) Policy {
	return func(tenant string) (p Policy) {
		if policy != nil {
			p = policy(tenant)
		}
		p.Profile = w.generation(classOf(tenant))
		return p
	}
}

// generation is the name of a kind's class in its generation of now, such as gpu, and later gpu@1.
func (w *world) generation(kind string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.generations[kind]; n > 0 {
		return fmt.Sprint(kind, "@", n)
	}
	return kind
}

// kindOf is what the generations of a class have in common.
func kindOf(class string) string {
	kind, _, _ := strings.Cut(class, "@")
	return kind
}

// roll begins the next generation of a kind; Update has to be told.
func (w *world) roll(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.generations[kind]++
}

func (w *world) start(ctx context.Context, class string) (Container, error) {
	w.mu.Lock()
	w.starts++
	w.tries = append(w.tries, time.Now())
	w.began = append(w.began, class)
	w.alive++
	if w.alive > w.max {
		w.t.Errorf("%d containers, at most %d are allowed", w.alive, w.max)
	}
	takes, stuck := w.takes(), w.stuck[kindOf(class)]
	f := &fake{w: w, id: fmt.Sprintf("c%d", w.starts), class: class, done: make(chan struct{})}
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
		err = w.broken[kindOf(class)]
	}
	if err != nil {
		w.alive--
		return nil, err
	}
	w.all = append(w.all, f)
	return f, nil
}

// mayEnd says whether the container was ended by Stop or Close, so that calls and sessions end with it.
func (w *world) mayEnd(f *fake) bool {
	if w.s == nil {
		return true
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	for k := w.s.alloc.pool.draining.first; k != nil; k = k.next {
		if k.item.Container == f && k.item.why == whyStopped {
			return true
		}
	}
	return w.s.alloc.state == closed
}

// breakDown lets starts of the default class fail, nil lets them succeed again.
func (w *world) breakDown(err error) { w.breakClass("", err) }

func (w *world) breakClass(class string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken[class] = err
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

func (w *world) setStuck(stuck bool) { w.stickClass("", stuck) }

func (w *world) stickClass(class string, stuck bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stuck[class] = stuck
}

// in runs a test in a bubble with a faked clock, around an open scheduler with all spares ready. At
// the end every container must be closed, and a goroutine left over fails the bubble.
func in(t *testing.T, cfg Config, test func(t *testing.T, w *world, s *Scheduler)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cfg, 300*time.Millisecond)
		cfg.Start, cfg.Policy = w.start, w.classed(cfg.Policy)
		s := New(cfg)
		w.s = s
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
	return begin(ctx, s, tenant, call.Call{Timeout: length})
}

// sendOnce is send for a call that wants a container for itself.
func sendOnce(ctx context.Context, s *Scheduler, tenant string, length time.Duration) <-chan outcome {
	return begin(ctx, s, tenant, call.Call{Timeout: length, OneShot: true})
}

func begin(ctx context.Context, s *Scheduler, tenant string, job call.Call) <-chan outcome {
	job.Script = []byte(tenant)
	return inBackground(func() (call.Result, error) { return execute(ctx, s, tenant, job) })
}

// execute runs a call, which is cancelled when ctx ends.
func execute(ctx context.Context, s *Scheduler, tenant string, job call.Call) (call.Result, error) {
	_, res, err := until(ctx, func(done func(call.Session, call.Result, error)) call.Running {
		return s.Start(tenant, &job, func(res call.Result, err error) { done(nil, res, err) })
	})
	return res, err
}

// until waits for what a call comes to, which is cancelled when ctx ends.
func until(ctx context.Context, start func(done func(call.Session, call.Result, error)) call.Running) (ss call.Session, res call.Result, err error) {
	over := make(chan struct{})
	running := start(func(given call.Session, r call.Result, e error) {
		ss, res, err = given, r, e
		close(over)
	})
	defer context.AfterFunc(ctx, running.Cancel)()
	<-over
	return ss, res, err
}

func wasCancelled(err error) bool {
	var failed *call.Failure
	return errors.As(err, &failed) && failed.Code == call.Cancelled
}

func inBackground(job func() (call.Result, error)) <-chan outcome {
	ch := make(chan outcome, 1)
	began := time.Now()
	go func() {
		res, err := job()
		ch <- outcome{container: res.Container, queue: res.Queue, cold: res.Cold, took: time.Since(began), err: err}
	}()
	synctest.Wait()
	return ch
}

// openSession opens a session, which must succeed.
func openSession(t *testing.T, s *Scheduler, tenant string) *session {
	t.Helper()
	ss, _, err := tryOpen(t.Context(), s, tenant, call.Call{})
	if err != nil {
		t.Fatal(err)
	}
	return ss.(*session)
}

func tryOpen(ctx context.Context, s *Scheduler, tenant string, job call.Call) (call.Session, call.Result, error) {
	job.Script = []byte(tenant)
	return until(ctx, func(done func(call.Session, call.Result, error)) call.Running {
		return s.OpenSession(tenant, &job, done)
	})
}

// opening opens a session in the background, which takes that long.
func opening(ctx context.Context, s *Scheduler, tenant string, length time.Duration) <-chan outcome {
	return inBackground(func() (call.Result, error) {
		_, res, err := tryOpen(ctx, s, tenant, call.Call{Timeout: length})
		return res, err
	})
}

// sendIn runs a call in a session in the background, when those before it are done.
func sendIn(ctx context.Context, ss *session, length time.Duration) <-chan outcome {
	return inBackground(func() (call.Result, error) {
		return executeIn(ctx, ss, call.Call{Script: []byte(ss.container.tenant.name), Timeout: length}, func() {})
	})
}

// executeIn keeps the order of a session's calls, as rpc does. It says when the call goes to the scheduler.
func executeIn(ctx context.Context, ss *session, job call.Call, begins func()) (call.Result, error) {
	mine, came := make(chan struct{}), time.Now()
	before := ss.session.(*fakeSession).follow(mine)
	if before != nil {
		select {
		case <-before:
		case <-ctx.Done():
			go func() { <-before; close(mine) }()
			return call.Result{}, &call.Failure{Code: call.Cancelled}
		}
	}
	defer close(mine)
	begins()
	waited := time.Since(came)
	_, res, err := until(ctx, func(done func(call.Session, call.Result, error)) call.Running {
		return ss.Start(&job, func(res call.Result, err error) { done(nil, res, err) })
	})
	res.Queue += waited
	return res, err
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
func well(t *testing.T, job <-chan outcome) outcome {
	t.Helper()
	o := <-job
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

// hold takes a slot that is free, for a call that the test itself plays; free gives it back.
func hold(t *testing.T, s *Scheduler, tenant string, k kind) *container {
	t.Helper()
	s.mu.Lock()
	defer s.unlock()
	c := s.alloc.acquire(s.alloc.table.tenant(tenant, k), k)
	if c == nil {
		t.Fatal("no slot is free")
	}
	return c
}

// waiting gives a call that waits, for a test to grant it a slot; what it comes to goes to the channel.
func waiting(t *testing.T, s *Scheduler, tenant string, k kind) (*waiter, <-chan outcome) {
	t.Helper()
	ch := make(chan outcome, 1)
	r, began := request{kind: k, job: &call.Call{Script: []byte(tenant), OneShot: k == oneShot}}, time.Now()
	r.done = func(res call.Result, err error) {
		ch <- outcome{container: res.Container, queue: res.Queue, cold: res.Cold, took: time.Since(began), err: err}
	}
	if k == opens {
		r.begin = func(c *container, waited time.Duration) call.Running {
			return s.openIn(c, r.job, waited, func(_ call.Session, res call.Result, err error) { r.done(res, err) })
		}
	}
	s.mu.Lock()
	defer s.unlock()
	w, err := s.alloc.enqueue(s.alloc.table.tenant(tenant, k), r)
	if err != nil {
		t.Fatal(err)
	}
	return w, ch
}

// cancelBetween cancels a waiter in the moment between the grant of a slot, which give makes, and the start.
func cancelBetween(s *Scheduler, w *waiter, give func()) {
	s.mu.Lock()
	give()
	decided := s.alloc.queue.decided
	s.alloc.queue.decided = nil
	s.mu.Unlock()
	s.cancelWaiter(w)
	for _, w := range decided {
		s.proceed(w)
	}
}

// waitingIn is waiting for a call in a session.
func waitingIn(t *testing.T, ss *session) (*waiter, <-chan outcome) {
	t.Helper()
	ch := make(chan outcome, 1)
	r := request{job: &call.Call{Script: []byte(ss.container.tenant.name)}}
	r.done = func(res call.Result, err error) { ch <- outcome{container: res.Container, err: err} }
	w, err := ss.scheduler.acquirePinned(ss.pin, r)
	if w == nil || err != nil {
		t.Fatalf("got %v, %v", w, err)
	}
	return w, ch
}

// moved plays a call of that length that finds its container dead after it was given a slot in it.
func moved(s *Scheduler, dead *container, k kind, length time.Duration) <-chan outcome {
	ch := make(chan outcome, 1)
	name, began := dead.tenant.name, time.Now()
	r := request{kind: k, job: &call.Call{Script: []byte(name), Timeout: length, OneShot: k == oneShot}}
	r.done = func(res call.Result, err error) {
		ch <- outcome{container: res.Container, queue: res.Queue, cold: res.Cold, took: time.Since(began), err: err}
	}
	if k == opens {
		r.begin = func(c *container, waited time.Duration) call.Running {
			return s.openIn(c, r.job, waited, func(_ call.Session, res call.Result, err error) { r.done(res, err) })
		}
	}
	s.moveWaiter(newWaiter(dead.tenant, r), dead)
	return ch
}

// startNow runs a call in a session as it is, whatever else is in it, and gives its error.
func startNow(ss *session) error {
	ch := make(chan error, 1)
	ss.Start(&call.Call{Script: []byte(ss.container.tenant.name)}, func(_ call.Result, err error) { ch <- err })
	return <-ch
}
