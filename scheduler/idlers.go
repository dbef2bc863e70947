package scheduler

import (
	"slices"
	"time"
)

// idlers are tenants' containers without calls, in a line for each idle timeout in use, so that in each
// the longest idle, in front, is the first to be recycled. There are few timeouts.
type idlers struct {
	lines []*idleLine
}

type idleLine struct {
	list[*container]
	timeout time.Duration // 0: never
}

// line is that of a timeout.
func (q *idlers) line(timeout time.Duration) *idleLine {
	for _, l := range q.lines {
		if l.timeout == timeout {
			return l
		}
	}
	l := &idleLine{timeout: timeout}
	q.lines = append(q.lines, l)
	return l
}

// longest is the container idle longest, nil if none is.
func (q *idlers) longest() (c *container) {
	for _, l := range q.lines {
		if f := l.front(); f != nil && (c == nil || f.since.Before(c.since)) {
			c = f
		}
	}
	return c
}

func (q *idlers) length() (n int) {
	for _, l := range q.lines {
		n += l.length
	}
	return n
}

// sort puts each container into the line that its tenant has now, and drops lines that nobody has.
func (q *idlers) sort(inUse func(*idleLine) bool) {
	var all []*container
	for _, l := range q.lines {
		for c := l.front(); c != nil; c = l.front() {
			c.place.leave()
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b *container) int { return a.since.Compare(b.since) })
	for _, c := range all {
		c.tenant.idle.push(&c.place)
	}
	q.lines = slices.DeleteFunc(q.lines, func(l *idleLine) bool { return !inUse(l) })
}
