package scheduler

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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
// too many of its kind, two tenants, a tenant of another profile, too many calls at once, another call
// beside a one-shot call, two calls at once in a session, and an end while it has calls or sessions.
type world struct {
	t           *testing.T
	s           *Scheduler // may be nil
	max         int
	concurrency int
	takes       func() time.Duration // to start
	closing     time.Duration

	mu          sync.Mutex
	broken      map[string]error // what starts fail with, by kind of profile
	stuck       map[string]bool  // starts do not end by themselves, by kind of profile
	generations map[string]int   // by kind of profile
	alive       int              // being started, ready, or being closed
	starts      int
	tries       []time.Time
	began       []string // the profiles of starts
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

// kindOfTenant makes "gpu:a" a tenant of profile gpu, and "a" one of the default profile.
func kindOfTenant(tenant string) string {
	if profile, _, ok := strings.Cut(tenant, ":"); ok {
		return profile
	}
	return ""
}

// all gives every tenant one policy.
func all(p Policy) func(string) Policy { return func(string) Policy { return p } }

// profiled adds the profiles that the names of tenants tell, in their generation of now.
func (w *world) profiled(policy func(string) Policy) func(string) Policy {
	return func(tenant string) (p Policy) {
		if policy != nil {
			p = policy(tenant)
		}
		p.Profile = w.generation(kindOfTenant(tenant))
		return p
	}
}

// generation is the name of a kind's profile in its generation of now, such as gpu, and later gpu@1.
func (w *world) generation(kind string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.generations[kind]; n > 0 {
		return fmt.Sprint(kind, "@", n)
	}
	return kind
}

// kindOf is what the generations of a profile have in common.
func kindOf(profile string) string {
	kind, _, _ := strings.Cut(profile, "@")
	return kind
}

// roll begins the next generation of a kind; Update has to be told.
func (w *world) roll(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.generations[kind]++
}

func (w *world) start(ctx context.Context, profile string) (Container, error) {
	w.mu.Lock()
	w.starts++
	w.tries = append(w.tries, time.Now())
	w.began = append(w.began, profile)
	w.alive++
	if w.alive > w.max {
		w.t.Errorf("%d containers, at most %d are allowed", w.alive, w.max)
	}
	takes, stuck := w.takes(), w.stuck[kindOf(profile)]
	f := &fake{w: w, id: fmt.Sprintf("c%d", w.starts), profile: profile, done: make(chan struct{})}
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
		err = w.broken[kindOf(profile)]
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
	for l := w.s.alloc.pool.draining.first; l != nil; l = l.next {
		if l.item.Container == f && l.item.why == whyStopped {
			return true
		}
	}
	return w.s.alloc.state == closed
}

// breakStarts lets starts of a kind of profile fail, nil lets them succeed again.
func (w *world) breakStarts(kind string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken[kind] = err
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

// stickStarts lets starts of a kind of profile hang, or end again.
func (w *world) stickStarts(kind string, stuck bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stuck[kind] = stuck
}

// in runs a test in a bubble with a faked clock, around an open scheduler with all spares ready. At
// the end every container must be closed, and a goroutine left over fails the bubble.
func in(t *testing.T, cfg Config, test func(t *testing.T, w *world, s *Scheduler)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cfg, 300*time.Millisecond)
		cfg.Start, cfg.Policy = w.start, w.profiled(cfg.Policy)
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

// watch starts something, which is cancelled when ctx ends, and gives what it comes to.
func watch(ctx context.Context, start func(call.Done) call.Running) <-chan outcome {
	ch, began := make(chan outcome, 1), time.Now()
	running := start(func(res call.Result, err error) {
		ch <- outcome{container: res.Container, queue: res.Queue, cold: res.Cold, took: time.Since(began), err: err}
	})
	context.AfterFunc(ctx, running.Cancel)
	return ch
}

// begin starts a call of a tenant.
func begin(ctx context.Context, s *Scheduler, tenant string, job call.Call) <-chan outcome {
	job.Script = []byte(tenant)
	return watch(ctx, func(done call.Done) call.Running { return s.Start(tenant, &job, done) })
}

// settled gives what was started, when nothing moves any more.
func settled(job <-chan outcome) <-chan outcome {
	synctest.Wait()
	return job
}

// send starts a call of that length.
func send(ctx context.Context, s *Scheduler, tenant string, length time.Duration) <-chan outcome {
	return settled(begin(ctx, s, tenant, call.Call{Timeout: length}))
}

// sendOneShot is send for a one-shot call.
func sendOneShot(ctx context.Context, s *Scheduler, tenant string, length time.Duration) <-chan outcome {
	return settled(begin(ctx, s, tenant, call.Call{Timeout: length, OneShot: true}))
}

// sendFor sends a call and cancels it after a time, if it is not done by then.
func sendFor(t *testing.T, s *Scheduler, tenant string, patience time.Duration) outcome {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return <-begin(ctx, s, tenant, call.Call{})
}

// opening opens a session, which takes that long.
func opening(ctx context.Context, s *Scheduler, tenant string, length time.Duration) <-chan outcome {
	return settled(openWith(ctx, s, &call.Call{Script: []byte(tenant), Timeout: length}, func(call.Session) {}))
}

func openWith(ctx context.Context, s *Scheduler, job *call.Call, given func(call.Session)) <-chan outcome {
	return watch(ctx, func(done call.Done) call.Running {
		return s.OpenSession(string(job.Script), job, func(ss call.Session, res call.Result, err error) {
			if err == nil {
				given(ss)
			}
			done(res, err)
		})
	})
}

// openSession opens a session, which must succeed.
func openSession(t *testing.T, s *Scheduler, tenant string) (ss *session) {
	t.Helper()
	well(t, openWith(t.Context(), s, &call.Call{Script: []byte(tenant)}, func(given call.Session) { ss = given.(*session) }))
	return ss
}

// sendIn runs a call in a session, when the calls before it are done.
func sendIn(ctx context.Context, ss *session, length time.Duration) <-chan outcome {
	ch := make(chan outcome, 1)
	go func() { ch <- executeIn(ctx, ss, length, func() {}) }()
	return settled(ch)
}

// executeIn keeps the order of a session's calls, as rpc does. It tells when the call goes to the scheduler.
func executeIn(ctx context.Context, ss *session, length time.Duration, goes func()) outcome {
	mine, came := make(chan struct{}), time.Now()
	defer close(mine)
	if before := ss.session.(*fakeSession).follow(mine); before != nil {
		<-before
	}
	goes()
	waited := time.Since(came)
	o := <-watchIn(ctx, ss, length)
	o.queue, o.took = o.queue+waited, o.took+waited
	return o
}

// watchIn starts a call in a session as it is, whatever else is in it.
func watchIn(ctx context.Context, ss *session, length time.Duration) <-chan outcome {
	job := &call.Call{Script: []byte(ss.container.tenant.name), Timeout: length}
	return watch(ctx, func(done call.Done) call.Running { return ss.Start(job, done) })
}

// run runs a call that must succeed.
func run(t *testing.T, s *Scheduler, tenant string, length time.Duration) outcome {
	t.Helper()
	return well(t, send(t.Context(), s, tenant, length))
}

func runOneShot(t *testing.T, s *Scheduler, tenant string, length time.Duration) outcome {
	t.Helper()
	return well(t, sendOneShot(t.Context(), s, tenant, length))
}

// well waits for a call that must succeed, and its caller may want to know what it came to.
func well(t *testing.T, job <-chan outcome) outcome {
	t.Helper()
	o := <-job
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o
}

func allWell(t *testing.T, jobs []<-chan outcome) {
	t.Helper()
	for _, job := range jobs {
		well(t, job)
	}
}

// wellAfter is well for a call that must take exactly that long.
func wellAfter(t *testing.T, job <-chan outcome, want time.Duration) outcome {
	t.Helper()
	o := well(t, job)
	if o.took != want {
		t.Errorf("took %v, want %v", o.took, want)
	}
	return o
}

// wantLost waits for a call whose container must die under it.
func wantLost(t *testing.T, job <-chan outcome) outcome {
	t.Helper()
	o := <-job
	if lost := new(call.LostError); !errors.As(o.err, &lost) || !lost.Started {
		t.Errorf("%v after %v, want it lost", o.err, o.took)
	}
	return o
}

// wantBusy waits for a call that must be refused for that reason, after exactly that time.
func wantBusy(t *testing.T, job <-chan outcome, reason string, after time.Duration) *call.BusyError {
	t.Helper()
	o, busy := <-job, new(call.BusyError)
	if !errors.As(o.err, &busy) || busy.Reason != reason || o.took != after {
		t.Errorf("%v after %v, want %q after %v", o.err, o.took, reason, after)
	}
	return busy
}

// wantCancelled waits for a call that must end because it was cancelled, after exactly that time.
func wantCancelled(t *testing.T, job <-chan outcome, after time.Duration) outcome {
	t.Helper()
	o, failed := <-job, new(call.Failure)
	if !errors.As(o.err, &failed) || failed.Code != call.Cancelled || o.took != after {
		t.Errorf("%v after %v, want it cancelled after %v", o.err, o.took, after)
	}
	return o
}

func wantError(t *testing.T, job <-chan outcome, want error) outcome {
	t.Helper()
	o := <-job
	if !errors.Is(o.err, want) {
		t.Errorf("%v, want %v", o.err, want)
	}
	return o
}

// want checks one number of Stats by the name of its field. Ready is the sum of Spare, Idle and Busy.
func want(t *testing.T, s *Scheduler, field string, want int) {
	t.Helper()
	synctest.Wait()
	st := s.Stats()
	got := st.Spare + st.Idle + st.Busy
	if field != "Ready" {
		if v := reflect.ValueOf(st).FieldByName(field); v.CanInt() {
			got = int(v.Int())
		} else {
			got = int(v.Uint())
		}
	}
	if got != want {
		t.Errorf("%s: %d, want %d: %+v", field, got, want, st)
	}
}

func wantAll(t *testing.T, s *Scheduler, want Stats) {
	t.Helper()
	synctest.Wait()
	if st := s.Stats(); st != want {
		t.Errorf("got %+v\nwant %+v", st, want)
	}
}

// flow makes calls of that length, one after the other, until stopped; each has to succeed. It gives how many ran in each container.
func flow(t *testing.T, s *Scheduler, tenant string, length time.Duration) (stop func() map[string]int) {
	ended, quit, in := make(chan struct{}), make(chan struct{}), map[string]int{}
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			default:
			}
			o := <-begin(t.Context(), s, tenant, call.Call{Timeout: length})
			if o.err != nil {
				t.Errorf("call of %s: %v", tenant, o.err)
				return
			}
			in[o.container]++
		}
	}()
	return func() map[string]int {
		close(quit)
		<-ended
		return in
	}
}

// hold takes a slot that is free, for a call that the test itself plays.
func hold(t *testing.T, s *Scheduler, tenant string, k kind) *container {
	t.Helper()
	s.mu.Lock()
	defer s.unlock()
	c := s.alloc.acquire(s.alloc.table.tenant(tenant, k), k, time.Now())
	if c == nil {
		t.Fatal("no slot is free")
	}
	return c
}

// asked makes the request of a call that a test plays a part of.
func asked(s *Scheduler, tenant string, k kind, length time.Duration) (request, <-chan outcome) {
	ch, began := make(chan outcome, 1), time.Now()
	r := request{kind: k, job: &call.Call{Script: []byte(tenant), Timeout: length, OneShot: k == oneShot}}
	r.done = func(res call.Result, err error) {
		ch <- outcome{container: res.Container, queue: res.Queue, cold: res.Cold, took: time.Since(began), err: err}
	}
	if k == opens {
		r.start = func(c *container, waited time.Duration) call.Running {
			return s.openIn(c, r.job, waited, func(_ call.Session, res call.Result, err error) { r.done(res, err) })
		}
	}
	return r, ch
}

// waiting gives a call that waits, and what it comes to.
func waiting(t *testing.T, s *Scheduler, tenant string, k kind) (*waiter, <-chan outcome) {
	t.Helper()
	r, end := asked(s, tenant, k, 0)
	s.mu.Lock()
	defer s.unlock()
	w, err := s.alloc.enqueue(s.alloc.table.tenant(tenant, k), r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return w, end
}

// waitingIn is waiting for a call in a session.
func waitingIn(t *testing.T, ss *session) (*waiter, <-chan outcome) {
	t.Helper()
	r, end := asked(ss.scheduler, ss.container.tenant.name, plain, 0)
	w, err := ss.scheduler.acquirePinned(ss.pin, r)
	if w == nil || err != nil {
		t.Fatalf("got %v, %v", w, err)
	}
	return w, end
}

// moved plays a call that finds its container dead after it was given a slot in it.
func moved(s *Scheduler, dead *container, k kind, length time.Duration) <-chan outcome {
	r, end := asked(s, dead.tenant.name, k, length)
	s.moveWaiter(newWaiter(dead.tenant, r), dead)
	return end
}

// cancelBetween cancels a waiter in the moment between the grant of a slot, which give makes, and the start.
func cancelBetween(s *Scheduler, w *waiter, give func()) {
	afterGrant(s, give, func() { s.cancelWaiter(w) })
}

// afterGrant lets something happen in the moment between the grant of a slot, which give makes, and the start.
func afterGrant(s *Scheduler, give, happen func()) {
	s.mu.Lock()
	give()
	decided := s.alloc.queue.decided
	s.alloc.queue.decided = nil
	s.mu.Unlock()
	happen()
	for _, w := range decided {
		s.proceed(w)
	}
}

// btoi counts one thing, or none.
func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
