package scheduler

import (
	"slices"
	"time"
)

// A fair queue serves its members by weight. A member of weight n is served n times as often as a member of weight 1, if
// each comes back as soon as it was served. Members of equal weight are served in the order in which they came.
//
// This is start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996) with one unit of service each time. A member's finish
// is the virtual time at which it came plus 1/weight. The member with the least finish is served next, and its finish
// becomes the virtual time. Members of equal weight form a lane, in which the finish only grows. So the search for the least
// finish looks at the front of each lane, however many members wait.
type fair[T any] struct {
	lanes   []*lane[T] // one for each weight of a member
	virtual float64
	length  int
	demand  int // the sum of its members' demands
}

type lane[T any] struct {
	weight  int
	members list[*position[T]]
}

// A position is a member's place in at most one fair queue.
type position[T any] struct {
	in     *fair[T] // nil: in none
	lane   *lane[T]
	place  link[*position[T]]
	item   T
	finish float64
	demand int
	joined time.Time // when it joined this queue
	since  time.Time // when its wait began, perhaps in another queue
}

// init makes p a position of item that is in no queue.
func (p *position[T]) init(item T) { p.item, p.place.item = item, p }

// front returns the member that is served next, nil if the queue is empty.
func (f *fair[T]) front() (first *position[T]) {
	for _, l := range f.lanes {
		if p := l.members.front(); first == nil || p.finish < first.finish {
			first = p
		}
	}
	return first
}

// longest returns the member that has been in the queue longest, nil if the queue is empty.
func (f *fair[T]) longest() (longest *position[T]) {
	for _, l := range f.lanes {
		if p := l.members.front(); longest == nil || p.joined.Before(longest.joined) {
			longest = p
		}
	}
	return longest
}

func (f *fair[T]) push(p *position[T], weight int) {
	i := slices.IndexFunc(f.lanes, func(l *lane[T]) bool { return l.weight == weight })
	if i < 0 {
		i = len(f.lanes)
		f.lanes = append(f.lanes, &lane[T]{weight: weight})
	}
	p.in, p.lane, p.joined = f, f.lanes[i], time.Now()
	p.finish = f.virtual + 1/float64(weight)
	p.lane.members.push(&p.place)
	f.length++
}

// serve removes p, which must be at the front, from its queue and advances the virtual time.
func (p *position[T]) serve() {
	p.in.virtual = max(p.in.virtual, p.finish)
	p.remove()
}

// remove takes the member out of its queue. It does nothing if the member is in none.
func (p *position[T]) remove() {
	f := p.in
	if f == nil {
		return
	}
	p.place.remove()
	f.length--
	p.setDemand(0)
	if p.lane.members.length == 0 {
		f.lanes = slices.DeleteFunc(f.lanes, func(l *lane[T]) bool { return l == p.lane })
	}
	p.in, p.lane = nil, nil
}

func (p *position[T]) setDemand(n int) {
	p.in.demand += n - p.demand
	p.demand = n
}
