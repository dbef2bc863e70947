package rpc

import (
	"sync"
)

// unnoticed is how much a connection may hold without being counted: most hold less, and then no lock is
// taken that all connections share.
const unnoticed = 16 << 10

// Buffers bound what all connections hold of frames that have not come wholly, and of replies that have not
// gone yet. Each has bounds of its own, but ten thousand of them together would be far too much. Where there
// is no room, the connection that holds most has to go, so who wants it all gets it last.
type buffers struct {
	max int64 // bytes

	mu   sync.Mutex // guards what follows, and what hangs on it
	held int64
	of   map[*buffer]struct{} // those that hold something
}

// A buffer is what one connection holds.
type buffer struct {
	all   *buffers
	evict func(held int64) // ends the connection without waiting; called at most once

	held    int64 // guarded, like gone, by all.mu
	evicted bool  // it counts for nothing any more
}

func newBuffers(most int64) *buffers { return &buffers{max: most, of: map[*buffer]struct{}{}} }

// change notes that the connection holds n bytes more, or fewer.
func (b *buffer) change(n int64) {
	if n == 0 {
		return
	}
	for _, most := range b.all.change(b, n) {
		most.b.evict(most.held)
	}
}

// An eviction is of a buffer that held this much.
type eviction struct {
	b    *buffer
	held int64
}

func (a *buffers) change(b *buffer, n int64) (evicted []eviction) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.evicted {
		return nil
	}
	a.held += n
	if b.held += n; b.held == 0 {
		delete(a.of, b)
	} else {
		a.of[b] = struct{}{}
	}
	for a.held > a.max {
		var most *buffer
		for b := range a.of {
			if most == nil || b.held > most.held {
				most = b
			}
		}
		evicted = append(evicted, eviction{most, most.held})
		a.held -= most.held
		most.evicted = true
		delete(a.of, most)
	}
	return evicted
}

// leave is for a connection that is gone, whatever it still held.
func (b *buffer) leave() {
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	if !b.evicted {
		b.all.held -= b.held
		b.evicted = true
		delete(b.all.of, b)
	}
}

// requestCost is about what a request in flight takes beside its script, in bytes.
const requestCost = 8 << 10

// cost is what a request counts for while it is in flight: the frame that it came in, what is made of that
// for the agent, and a goroutine.
func (r *request) cost() int64 { return requestCost + 2*int64(r.size) }

// A load bounds what the requests in flight of all connections take, and those of each tenant by a quarter
// of that, so that no tenant takes it from all others.
type load struct {
	max int64 // bytes

	mu   sync.Mutex // guards what follows
	held int64
	of   map[string]int64 // by tenant
}

func newLoad(most int64) *load { return &load{max: most, of: map[string]int64{}} }

func (l *load) take(tenant string, n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The only request of a tenant always has its quarter: a frame may be longer than that is.
	if l.held+n > l.max || l.of[tenant] > 0 && l.of[tenant]+n > l.max/4 {
		return false
	}
	l.held += n
	l.of[tenant] += n
	return true
}

func (l *load) give(tenant string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held -= n
	if l.of[tenant] -= n; l.of[tenant] == 0 {
		delete(l.of, tenant)
	}
}
