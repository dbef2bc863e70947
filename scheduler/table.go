package scheduler

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A table holds the tenants and the profiles.
//
//	profile ──┬─ spares: containers that have no tenant yet
//	          └─ waiting: tenants that wait for a container
//	tenant ───┬─ containers ──┬─ pins: one for each session
//	          ├─ waiting      └─ waiting: calls of its sessions
//	          └─ oneShot: a second tenant value for one-shot calls
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

// A profile is one kind of container, with the tenants that need this kind. The default profile is always in the table.
// Another profile is in the table while it has a tenant, a container that is not draining, a canary, or a failure to
// remember.
type profile struct {
	name    string
	tenants int       // in the table
	waiting waitQueue // tenants that wait for a container
	canary  *canary

	spares          list[*container] // the one that has been ready longest is in front
	stale           list[*container] // busy stale containers of its tenants
	starting, owned int              // containers; an owned one has a tenant

	failures int       // of starts in a row
	startErr error     // of the last start, if it failed
	retryAt  time.Time // earliest time of the next start, while failures > 0

	meanWait mean // of its tenants for a container
}

// The back-off of a profile whose starts fail.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// A waitQueue is the order in which the tenants of a profile get containers. A tenant is in it once, whatever the number of
// its waiting calls.
type waitQueue struct {
	cold    fair[*tenant] // tenants without a container; they go first
	oneShot fair[*tenant] // tenants without a container whose last one ran a one-shot call; after a time slice they are cold
	scaleUp fair[*tenant] // tenants that have a container and need one more
}

func (q *waitQueue) length() int { return q.cold.length + q.oneShot.length + q.scaleUp.length }

// without returns the number of tenants that have no container.
func (q *waitQueue) without() int { return q.cold.length + q.oneShot.length }

// demand returns how many containers the tenants need. later returns the share of the tenants that are not cold.
func (q *waitQueue) demand() int { return q.cold.demand + q.later() }
func (q *waitQueue) later() int  { return q.oneShot.demand + q.scaleUp.demand }

// front returns the tenant that gets the next container, nil if none waits.
func (q *waitQueue) front() *position[*tenant] {
	for _, f := range []*fair[*tenant]{&q.cold, &q.oneShot, &q.scaleUp} {
		if f.length > 0 {
			return f.front()
		}
	}
	return nil
}

// A canary is the first start of a profile that no tenant has yet. It is over when the container is ready or the start has
// failed.
type canary struct {
	since time.Time
	over  chan struct{} // closed when err is set
	err   error
}

// A tenant is in the table while it has a container or a waiting call. A second tenant value, which is its oneShot, has the
// queue and the containers of its one-shot calls. parent is the way back.
type tenant struct {
	name    string
	policy  Policy
	profile *profile
	idle    *idleLine
	oneShot *tenant // nil while there are no one-shot calls
	parent  *tenant // nil but for a tenant value for one-shot calls

	slots      int          // of each of its containers
	limit      int          // containers that it may have
	containers []*container // not the draining ones
	stale      int          // stale containers among these
	pinned     int          // draining containers that sessions pin

	waiting  list[*waiter] // for a slot in any of its containers; first come, first served
	queued   int           // waiting calls, including calls in its sessions
	opening  int           // waiting calls that open a session
	position position[*tenant]
	served   bool // its last container ran a one-shot call, and it has not waited for a time slice since
	meanRun  mean
}

func newTenant(name string, parent *tenant, p *profile) *tenant {
	t := &tenant{name: name, parent: parent, profile: p}
	t.position.init(t)
	return t
}

// isNew reports whether the tenant has no container and is not served. Each one-shot call needs a new container, so the
// tenant value for one-shot calls is new only before its first call and after it has waited for a time slice.
func (t *tenant) isNew() bool { return len(t.containers) == 0 && !t.served }

// freest returns the tenant's container with most free slots, nil if no slot is free. If in is not nil, only containers in
// that list count. A stale container is returned only if no other has a free slot.
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

// A kind is what a call needs besides a slot.
type kind int

const (
	plain   kind = iota
	oneShot      // needs a container for itself
	opens        // opens a session, which pins the container
)

// A request is a call, or a call that opens a session.
type request struct {
	kind kind
	job  *call.Call
	done call.Done

	// start starts the request in a container in which it has a slot. waited is how long it waited for the slot. If start is
	// nil, Container.Start is called.
	start func(c *container, waited time.Duration) call.Running
}

// A waiter is a request that waits for a slot. It is in its tenant's queue, or in the queue of its session's container,
// until it is granted a slot, refused or cancelled. The first of these that happens under the mutex counts.
type waiter struct {
	request
	tenant *tenant
	pin    *pin          // of the session in which it is a call, or nil
	since  time.Time     // when it joined the queue
	waited time.Duration // in all queues
	moved  bool          // it had a slot in a dead container before
	place  link[*waiter]
	timer  *time.Timer // for its queue time, if it had to wait

	container *container // where it was granted a slot
	err       error      // or why there is none
	cancelled atomic.Bool
	running   call.Running // nil until it was started
}

func newWaiter(t *tenant, r request) *waiter {
	w := &waiter{request: r, tenant: t, since: time.Now()}
	w.place.item = w
	return w
}

// waits reports whether the waiter is in a queue, so that nothing is decided.
func (w *waiter) waits() bool { return w.place.in != nil }

// A container is a Container that Config.Start returned, with its place in the table.
type container struct {
	Container
	profile *profile
	place   link[*container]
	tenant  *tenant // nil for a spare; set once
	slots   int     // 0 until it has a tenant
	born    time.Time
	since   time.Time // when it joined its list
	used    atomic.Bool

	running int           // calls
	calls   int           // calls that were given a slot so far
	opening int           // running calls that open a session
	pins    list[*pin]    // of open sessions
	waiting list[*waiter] // calls of sessions

	age        *time.Timer // makes it stale at its maximum age
	failures   int         // of starts in a row before this one
	stale      string      // why it is to be replaced, empty if it is not
	stalePlace link[*container]

	draining bool          // it gets no new calls, except calls in its sessions
	why      string        // why it drains
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

// A pin keeps a container for a session. The session has at most one call in flight.
type pin struct {
	session   call.Session // the container's
	container *container
	place     link[*pin]
	inFlight  bool    // a call waits for a slot or has one
	waiting   *waiter // the call that waits, or nil
	closed    bool    // the session gets no new calls
}

// An idleLine holds the idle containers of tenants that have the same idle timeout. The container that has been idle longest
// is in front and is recycled first.
type idleLine struct {
	list[*container]
	timeout time.Duration // 0: never
}

// idleLines has a line for each idle timeout in use. There are few of them.
type idleLines []*idleLine

// line returns the line for a timeout, which it adds if there is none.
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

// longest returns the container that has been idle longest, nil if none is idle.
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

// sort moves each container into the line of its tenant, after the tenant's timeout has changed. It drops the lines that are
// not in use.
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

// setCommon sets the policy of the tenant without a name, which holds for spares, and the default profile.
func (t *table) setCommon() {
	t.common = t.policy("").withDefaults()
	t.base = t.profile(t.common.Profile)
}

// tenant returns the tenant with the name, and adds it if there is none. For a one-shot call it returns the tenant value for
// one-shot calls. A plain call is a one-shot call if the policy allows one call in each container.
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

// apply sets the tenant's policy and the limits that follow from it. The caller then calls queue.placeTenant.
func (t *table) apply(to *tenant, p Policy) {
	to.policy, to.slots, to.limit = p, p.Concurrency, p.Containers
	to.idle = t.idle.line(p.IdleTimeout)
	if half := to.oneShot; half != nil {
		// No more one-shot calls run at once than plain calls might. They do not get all places, because other tenants need
		// one.
		half.policy, half.slots, half.limit = p, 1, max(1, min(p.Concurrency*p.Containers, t.max-1))
		half.idle = to.idle
	}
}

// forget removes a tenant that has neither containers nor waiting calls. It does nothing for other tenants.
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

// profile returns the profile with the name, and adds it if there is none. The next forgetProfiles drops an added profile
// that got neither a tenant nor a container nor a canary.
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
		t.profiles = slices.DeleteFunc(slices.Clone(t.profiles), gone) // a caller may be iterating over the old slice
	}
}

// unused reports whether the table can forget the profile.
func (p *profile) unused(now time.Time) bool {
	return p.tenants == 0 && p.canary == nil && p.spares.length+p.starting+p.owned == 0 && !p.remembered().After(now)
}

// remembered returns until when the profile is kept for its failures. That is some time after its next start was due. The
// start does not happen if nobody waits then, and the back-off must still hold for calls that come soon after.
func (p *profile) remembered() time.Time {
	if p.failures == 0 {
		return time.Time{}
	}
	return p.retryAt.Add(lastBackoff)
}

// A total has the sums over all profiles.
type total struct {
	starting, spares, owned int // containers
	waiting                 int // tenants that wait for a container
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
