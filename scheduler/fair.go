package scheduler

import (
	"cmp"
	"slices"
	"time"
)

// turns is the order in which tenants of a class that wait for a container get one. Each is in it once,
// however many of its calls wait.
type turns struct {
	bare  fair // they come with nothing, and go first
	again fair // nor have these a container, but they had one for a call with Once; after a turn they are bare
	more  fair // they want one more
}

func (q *turns) length() int { return q.bare.length + q.again.length + q.more.length }

// without is how many of the tenants have no container.
func (q *turns) without() int { return q.bare.length + q.again.length }

// wants is how many containers the tenants have use for, all together; later is that of those that are not bare.
func (q *turns) wants() int { return q.bare.wants + q.later() }
func (q *turns) later() int { return q.again.wants + q.more.wants }

func (q *turns) front() *tenant { return cmp.Or(q.bare.front(), q.again.front(), q.more.front()) }

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
}

type lane struct {
	weight int
	line   list[*tenant]
}

// A turn is a tenant's place in a line.
type turn struct {
	in     *fair // nil: it is in none
	lane   *lane
	place  link[*tenant]
	finish float64
	wants  int
	joined time.Time
	since  time.Time // when it began to wait, also if it has changed lines meanwhile
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

// longest is the tenant that has been in the line longest, nil in an empty one.
func (f *fair) longest() (longest *tenant) {
	for _, l := range f.lanes {
		if t := l.line.front(); longest == nil || t.turn.joined.Before(longest.turn.joined) {
			longest = t
		}
	}
	return longest
}

func (f *fair) join(t *tenant) {
	i := slices.IndexFunc(f.lanes, func(l *lane) bool { return l.weight == t.policy.Weight })
	if i < 0 {
		i = len(f.lanes)
		f.lanes = append(f.lanes, &lane{weight: t.policy.Weight})
	}
	t.turn.in, t.turn.lane, t.turn.joined = f, f.lanes[i], time.Now()
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
	u.want(0)
	if u.lane.line.length == 0 {
		f.lanes = slices.DeleteFunc(f.lanes, func(l *lane) bool { return l == u.lane })
	}
	u.in, u.lane = nil, nil
}

// want says how many containers the tenant has use for.
func (u *turn) want(n int) {
	u.in.wants += n - u.wants
	u.wants = n
}

// lineUpLocked puts the tenant in the line it belongs in, or in none. It is called after each change of its waiters, its
// containers, or its class.
func (s *Scheduler) lineUpLocked(t *tenant) {
	has, wants := len(t.containers), (t.waiting.length+t.slots-1)/t.slots
	var in *fair
	switch wants = max(min(wants, t.most-has), min(t.worn, 1)); {
	case wants <= 0:
	case has > 0:
		in = &t.class.turns.more
	case t.served:
		in = &t.class.turns.again
	default:
		in, wants = &t.class.turns.bare, 1 // the first one, and then more
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
		if in == &t.class.turns.again {
			s.alarmLocked(t.turn.joined.Add(s.cfg.Turn))
		}
	}
	if in != nil {
		t.turn.want(wants)
	}
}

// isNew says that the tenant comes with nothing. One with calls for Once, where each takes another container, does so
// before the first of them, and when it has waited for a turn.
func (t *tenant) isNew() bool { return len(t.containers) == 0 && !t.served }

// renewLocked lets tenants that have waited for their next call with Once for a turn stand among those that come with
// nothing. Else they would wait for ever where there are always some of these, as there are with more busy tenants than places.
func (s *Scheduler) renewLocked(now time.Time) {
	for _, k := range s.classes {
		for t := k.turns.again.longest(); t != nil && !t.turn.joined.Add(s.cfg.Turn).After(now); t = k.turns.again.longest() {
			t.served = false
			s.lineUpLocked(t)
		}
	}
}
