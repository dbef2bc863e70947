package scheduler

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A table holds the tenants and the profiles that there are.
//
//	profile ──┬─ spares: containers that are nobody's yet
//	          └─ waiting: tenants that wait for a container
//	tenant ───┬─ containers ──┬─ pins: one for each session
//	          ├─ waiting      └─ waiting: calls of its sessions
//	          └─ oneShot: the tenant's half for one-shot calls
//
// Scheduler.mu guards it and everything that is reachable from it.
type table struct {
	policy  func(tenant string) Policy
	max     int                // containers
	tenants map[string]*tenant // with a container or a waiting call; other tenants are forgotten
	idle    idleLines

	// A table has few profiles, so any decision may look at each of them.
	profiles []*profile // base and the ones in use
	base     *profile   // the default one
	common   Policy     // of the tenant without a name
}

// A profile is one kind of container, with the tenants that need this kind. The default profile is always in the table. Another
// one is in it while it has a tenant, a container that is not draining, a canary, or a failure to remember.
type profile struct {
	name    string
	tenants int       // in the table
	waiting waitQueue // tenants that wait for a container
	canary  *canary

	spares          list[*container] // ready and nobody's, the longest ready in front
	stale           list[*container] // busy stale containers of its tenants
	starting, owned int              // containers; an owned one is a tenant's

	failures int       // of starts in a row
	startErr error     // of the last start, if it failed
	retryAt  time.Time // no start before, while failures > 0

	meanWait mean // of its tenants, for a container
}

// The back-off of a profile whose starts fail.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// A waitQueue is the order in which the tenants of a profile get containers. A tenant is in it once, however many of its calls
// wait.
type waitQueue struct {
	cold    fair[*tenant] // tenants without a container; they go first
	oneShot fair[*tenant] // tenants without a container that had one for a one-shot call; after a time slice they are cold
	scaleUp fair[*tenant] // tenants that have a container and need one more
}

func (q *waitQueue) length() int { return q.cold.length + q.oneShot.length + q.scaleUp.length }

// without is the number of tenants that have no container.
func (q *waitQueue) without() int { return q.cold.length + q.oneShot.length }

// demand is how many containers the tenants have use for. later is the part of tenants that are not cold.
func (q *waitQueue) demand() int { return q.cold.demand + q.later() }
func (q *waitQueue) later() int  { return q.oneShot.demand + q.scaleUp.demand }

// front is the tenant that gets the next container, nil if none waits.
func (q *waitQueue) front() *position[*tenant] {
	for _, f := range []*fair[*tenant]{&q.cold, &q.oneShot, &q.scaleUp} {
		if f.length > 0 {
			return f.front()
		}
	}
	return nil
}

// A canary is a start of a profile that no tenant has yet. It is over when its first container is ready or has failed.
type canary struct {
	since time.Time
	over  chan struct{} // closed when err is set
	err   error
}

// A tenant is in the table while it has a container or a waiting call. Its one-shot calls belong to a second tenant value,
// which oneShot and parent connect with it, so that they have queues and containers of their own.
type tenant struct {
	name    string
	policy  Policy
	profile *profile
	idle    *idleLine
	oneShot *tenant // nil while there are no one-shot calls
	parent  *tenant // nil but for the half that has the one-shot calls

	slots      int          // of each of its containers
	limit      int          // containers that it may have
	containers []*container // not the draining ones
	stale      int          // containers of these
	pinned     int          // draining containers that sessions pin

	waiting  list[*waiter] // for a slot in any of its containers; first come, first served
	queued   int           // waiting calls, with the ones in its sessions
	opening  int           // waiting calls that open a session
	position position[*tenant]
	served   bool // has had a container for a one-shot call, and not waited for a time slice since
	meanRun  mean
}

func newTenant(name string, parent *tenant, p *profile) *tenant {
	t := &tenant{name: name, parent: parent, profile: p}
	t.position.init(t)
	return t
}

// isNew tells that the tenant has no container. The half with one-shot calls, where each call takes another container, is new
// before the first call, and again when it has waited for a time slice.
func (t *tenant) isNew() bool { return len(t.containers) == 0 && !t.served }

// freest is the tenant's container with most free slots, of the ones in one list if that is not nil. A stale one is
// chosen only where no other has a free slot.
func (t *tenant) freest(in *list[*container]) (best *container) {
	for _, c := range t.containers {
		switch {
		case in != nil && c.place.in != in || c.running >= c.slots || c.dead():
		case best == nil, best.stale != "" && c.stale == "":
			best = c
		case (best.stale == "") == (c.stale == "") && c.slots-c.running > best.slots-best.running:
			best = c
		}
	}
	return best
}

// A kind tells what a call needs besides a slot.
type kind int

const (
	plain   kind = iota
	oneShot      // a container for itself
	opens        // a session, which pins the container
)

// A request is what a caller asks for: a call, or a call that opens a session.
type request struct {
	kind kind
	job  *call.Call
	done call.Done

	// start starts the request in a container where it has a slot, after it has waited for that long. nil: Container.Start.
	start func(c *container, waited time.Duration) call.Running
}

// A waiter is a request that waits for a slot. It is in its tenant's queue, or a session's call in the queue of its container,
// until it is granted a slot, refused or cancelled: what comes first under the mutex is what happens.
type waiter struct {
	request
	tenant *tenant
	pin    *pin          // of the session that it is a call in, or nil
	since  time.Time     // it is in the queue
	waited time.Duration // in all
	moved  bool          // it was given a slot in a dead container before
	place  link[*waiter]
	timer  *time.Timer // for its queue time, if it had to wait

	container *container // where it was granted a slot
	err       error      // or why there is none
	cancelled atomic.Bool
	running   call.Running // since it was started
}

func newWaiter(t *tenant, r request) *waiter {
	w := &waiter{request: r, tenant: t, since: time.Now()}
	w.place.item = w
	return w
}

// waits tells whether nothing was decided yet.
func (w *waiter) waits() bool { return w.place.in != nil }

// A container is one that Start gave, with its place in the table.
type container struct {
	Container
	profile *profile
	place   link[*container]
	tenant  *tenant // nil for a spare; set once
	slots   int     // since it has a tenant
	born    time.Time
	since   time.Time // it is in the list that it is in
	used    atomic.Bool

	running int           // calls
	calls   int           // that were given a slot so far
	opening int           // running calls that open a session
	pins    list[*pin]    // of open sessions
	waiting list[*waiter] // calls of sessions

	age        *time.Timer // makes it stale
	failures   int         // of starts in a row before this one
	stale      string      // why it is to be replaced; empty: it is not
	stalePlace link[*container]

	draining bool          // it gets no calls any more, except from its sessions
	why      string        // it drains
	pinned   bool          // it drains, and sessions pin it
	closing  bool          // end is closed
	end      chan struct{} // closed when its goroutine should close it
}

func (c *container) dead() bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// A pin is a session's hold on its container. It has one call in flight, which waits for a slot or has one.
type pin struct {
	session   call.Session // the container's
	container *container
	place     link[*pin]
	inFlight  bool    // a call waits or has a slot
	waiting   *waiter // the call that waits, or nil
	closed    bool    // takes no calls any more
}

// An idleLine holds the idle containers of tenants with one idle timeout, the longest idle in front: it is recycled first.
type idleLine struct {
	list[*container]
	timeout time.Duration // 0: never
}

// idleLines has a line for each idle timeout in use. There are few.
type idleLines []*idleLine

// line is the one with a timeout.
func (q *idleLines) line(timeout time.Duration) *idleLine {
	for _, l := range *q {
		if l.timeout == timeout {
			return l
		}
	}
	l := &idleLine{timeout: timeout}
	*q = append(*q, l)
	return l
}

// longest is the container that has been idle longest, nil if none is idle.
func (q idleLines) longest() (c *container) {
	for _, l := range q {
		if f := l.front(); f != nil && (c == nil || f.since.Before(c.since)) {
			c = f
		}
	}
	return c
}

func (q idleLines) length() (n int) {
	for _, l := range q {
		n += l.length
	}
	return n
}

// sort puts each container into the line that its tenant has now, and drops the lines that no tenant has.
func (q *idleLines) sort(inUse func(*idleLine) bool) {
	var all []*container
	for _, l := range *q {
		for c := l.front(); c != nil; c = l.front() {
			c.place.remove()
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b *container) int { return a.since.Compare(b.since) })
	for _, c := range all {
		c.tenant.idle.push(&c.place)
	}
	*q = slices.DeleteFunc(*q, func(l *idleLine) bool { return !inUse(l) })
}

// setCommon asks what holds where nothing is said of a tenant, and for containers that are nobody's.
func (t *table) setCommon() {
	t.common = t.policy("").withDefaults()
	t.base = t.profile(t.common.Profile)
}

// tenant finds the tenant with the name, or adds it. For a one-shot call, and for a plain call where the policy gives each
// container one call, it is the half for one-shot calls.
func (t *table) tenant(name string, k kind) *tenant {
	found := t.tenants[name]
	if found == nil {
		p := t.policy(name).withDefaults()
		found = newTenant(name, nil, t.profile(p.Profile))
		t.apply(found, p)
		found.profile.tenants++
		t.tenants[name] = found
	}
	if k != oneShot && (k != plain || found.policy.MaxCalls != 1) {
		return found
	}
	if found.oneShot == nil {
		found.oneShot = newTenant(name, found, found.profile)
		t.apply(found, found.policy)
	}
	return found.oneShot
}

// apply gives the tenant what its policy says now. queue.place follows.
func (t *table) apply(to *tenant, p Policy) {
	to.policy, to.slots, to.limit = p, p.Concurrency, p.Containers
	to.idle = t.idle.line(p.IdleTimeout)
	if half := to.oneShot; half != nil {
		// No more one-shot calls than plain calls might run at once, and not in all places, lest they take them from everybody.
		half.policy, half.slots, half.limit = p, 1, max(1, min(p.Concurrency*p.Containers, t.max-1))
		half.idle = to.idle
	}
}

// forget removes a tenant that has nothing any more.
func (t *table) forget(old *tenant) {
	switch {
	case len(old.containers) > 0 || old.pinned > 0 || old.queued > 0 || old.oneShot != nil:
	case old.parent != nil && old.parent.oneShot == old:
		old.parent.oneShot = nil
		t.forget(old.parent)
	case t.tenants[old.name] == old:
		delete(t.tenants, old.name)
		old.profile.tenants--
		t.forgetProfiles(time.Now())
	}
}

// profile finds the profile with the name, or adds it. It is forgotten again unless something of it follows.
func (t *table) profile(name string) *profile {
	for _, p := range t.profiles {
		if p.name == name {
			return p
		}
	}
	p := &profile{name: name}
	t.profiles = append(t.profiles, p)
	return p
}

func (t *table) forgetProfiles(now time.Time) {
	gone := func(p *profile) bool { return p != t.base && p.unused(now) }
	if slices.ContainsFunc(t.profiles, gone) {
		t.profiles = slices.DeleteFunc(slices.Clone(t.profiles), gone) // a caller may be walking through them
	}
}

// unused tells that nothing would be lost with the profile.
func (p *profile) unused(now time.Time) bool {
	return p.tenants == 0 && p.canary == nil && p.spares.length+p.starting+p.owned == 0 && !p.remembered().After(now)
}

// remembered is until when the profile is kept for its failures. It is kept for a while after the next start was due: where
// nobody waits at that moment there is no start, and calls that come soon after must not begin with a short back-off again.
func (p *profile) remembered() time.Time {
	if p.failures == 0 {
		return time.Time{}
	}
	return p.retryAt.Add(lastBackoff)
}

// A total is what all profiles have together.
type total struct {
	starting, spares, owned int // containers
	waiting                 int // tenants, for a container
	canaries                int
}

func (t total) all() int { return t.starting + t.spares + t.owned }

func (t *table) total() (sum total) {
	for _, p := range t.profiles {
		sum.starting += p.starting
		sum.spares += p.spares.length
		sum.owned += p.owned
		sum.waiting += p.waiting.length()
		if p.canary != nil {
			sum.canaries++
		}
	}
	return sum
}
