package scheduler

import (
	"slices"
	"time"
)

// turns is the order in which tenants of a class that wait for a container get one. Each is in it once,
// however many of its calls wait. Those that come with nothing go before those that want one more, or, of those
// with calls for Once, the next one.
type turns struct {
	bare, more fair
}

func (q *turns) length() int { return q.bare.length + q.more.length }

// wants is how many containers the tenants have use for, all together.
func (q *turns) wants() int { return q.bare.wants + q.more.wants }

func (q *turns) front() *tenant {
	if t := q.bare.front(); t != nil {
		return t
	}
	return q.more.front()
}

// fair is a line in which a tenant of weight n comes n times as often as one of weight 1, if both join again
// as soon as they were served; among tenants of one weight it is first come, first served.
//
// It is start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996) with one unit of service to each turn:
// a tenant's finish is the virtual time at which it joined and a weight's part of a unit, the least comes
// first, and the virtual time is the finish of the one served last. So finishes only grow along the lane
// of a weight, and finding the least costs a look at each weight in use, however many tenants wait.
type fair struct {
	lanes   []*lane // not empty ones
	virtual float64
	length  int
	wants   int // containers that the tenants in it have use for, all together
	without int // tenants in it that have none
}

type lane struct {
	weight int
	line   list[*tenant]
}

// A turn is a tenant's place in a line.
type turn struct {
	in      *fair // nil: it is in none
	lane    *lane
	place   link[*tenant]
	finish  float64
	wants   int
	without bool      // the tenant has no container
	since   time.Time // when it began to wait, also if it has changed lines meanwhile
}

// front is the tenant whose turn it is, nil in an empty line.
func (f *fair) front() (first *tenant) {
	for _, l := range f.lanes {
		if t := l.line.front(); first == nil || t.turn.finish < first.turn.finish {
			first = t
		}
	}
	return first
}

func (f *fair) join(t *tenant) {
	i := slices.IndexFunc(f.lanes, func(l *lane) bool { return l.weight == t.policy.Weight })
	if i < 0 {
		i = len(f.lanes)
		f.lanes = append(f.lanes, &lane{weight: t.policy.Weight})
	}
	t.turn.in, t.turn.lane = f, f.lanes[i]
	t.turn.finish = f.virtual + 1/float64(t.policy.Weight)
	t.turn.lane.line.push(&t.turn.place)
	f.length++
}

// serve takes the tenant whose turn it is out of the line.
func (f *fair) serve(t *tenant) {
	f.virtual = max(f.virtual, t.turn.finish)
	t.turn.leave()
}

// leave takes the tenant out of the line it is in, if any.
func (u *turn) leave() {
	f := u.in
	if f == nil {
		return
	}
	u.place.leave()
	f.length--
	u.want(0, false)
	if u.lane.line.length == 0 {
		f.lanes = slices.DeleteFunc(f.lanes, func(l *lane) bool { return l == u.lane })
	}
	u.in, u.lane = nil, nil
}

// want says how many containers the tenant has use for, and whether it has none.
func (u *turn) want(n int, without bool) {
	u.in.wants += n - u.wants
	u.wants = n
	switch {
	case without && !u.without:
		u.in.without++
	case !without && u.without:
		u.in.without--
	}
	u.without = without
}

// lineUpLocked puts the tenant in the line it belongs in, or in none. It is called after each change of its waiters, its
// containers, or its class.
func (s *Scheduler) lineUpLocked(t *tenant) {
	has, wants := len(t.containers), (t.waiting.length+t.slots-1)/t.slots
	var in *fair
	switch wants = max(min(wants, t.most-has), min(t.worn, 1)); {
	case wants <= 0:
	case t.isNew():
		in, wants = &t.class.turns.bare, 1 // the first one, and then more
	default:
		in = &t.class.turns.more
	}
	if in == nil {
		wants = 0
	}
	if wants < t.turn.wants {
		s.alarmLocked(time.Now()) // what it wants no more may be had by others: keep balances
	}
	if in != t.turn.in {
		if t.turn.in == nil {
			t.turn.since = time.Now()
		}
		t.turn.leave()
		if in != nil {
			in.join(t)
		}
	}
	if in != nil {
		t.turn.want(wants, has == 0)
	}
}

// isNew says that the tenant has no container. One with calls for Once, where each takes another, is new only
// before the first of them.
func (t *tenant) isNew() bool { return len(t.containers) == 0 && !t.served }
