package wire

import "sync"

// Unnoticed is how many bytes a connection may hold without being counted. Most hold less, and then no lock is taken that
// all connections share.
const Unnoticed = 16 << 10

// A Budget bounds what all connections hold of frames that have not come wholly, and of replies that have not gone yet.
// Each connection has bounds of its own, but ten thousand of them together would be far too much. Where there is no room, the
// connection that holds most has to go, so whoever wants it all gets it last.
type Budget struct {
	max int64 // bytes

	mu     sync.Mutex // guards what follows, and what hangs on it
	held   int64
	shares map[*Share]struct{} // those that hold something
}

// NewBudget makes a Budget of so many bytes.
func NewBudget(most int64) *Budget { return &Budget{max: most, shares: map[*Share]struct{}{}} }

// Held is the number of bytes that all connections hold.
func (b *Budget) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// A Share is what one connection holds of a Budget.
type Share struct {
	budget *Budget
	evict  func(held int64)

	held int64 // guarded, like over, by budget.mu
	over bool  // it counts for nothing any more
}

// Share gives a connection its share. evict ends the connection without waiting; it is called at most once, with the bytes
// that the connection held.
func (b *Budget) Share(evict func(held int64)) *Share { return &Share{budget: b, evict: evict} }

// Change notes that the connection holds n bytes more, or fewer. It may evict any connection.
func (s *Share) Change(n int64) {
	if n == 0 {
		return
	}
	for _, e := range s.budget.change(s, n) {
		e.share.evict(e.held)
	}
}

// An eviction is of a share that held so many bytes.
type eviction struct {
	share *Share
	held  int64
}

func (b *Budget) change(s *Share, n int64) (evicted []eviction) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.over {
		return nil
	}
	b.held += n
	if s.held += n; s.held == 0 {
		delete(b.shares, s)
	} else {
		b.shares[s] = struct{}{}
	}
	for b.held > b.max {
		largest := b.largestLocked()
		evicted = append(evicted, eviction{largest, largest.held})
		b.removeLocked(largest)
	}
	return evicted
}

func (b *Budget) largestLocked() (largest *Share) {
	for s := range b.shares {
		if largest == nil || s.held > largest.held {
			largest = s
		}
	}
	return largest
}

func (b *Budget) removeLocked(s *Share) {
	b.held -= s.held
	s.over = true
	delete(b.shares, s)
}

// Release is for a connection that is gone, whatever it still held.
func (s *Share) Release() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if !s.over {
		s.budget.removeLocked(s)
	}
}

// A Quota bounds what the requests in flight of all connections take, and those of each tenant by a quarter of that, so
// that no tenant takes it from all others.
type Quota struct {
	max int64 // bytes

	mu   sync.Mutex // guards what follows
	held int64
	of   map[string]int64 // by tenant
}

// NewQuota makes a Quota of so many bytes.
func NewQuota(most int64) *Quota { return &Quota{max: most, of: map[string]int64{}} }

// Acquire takes n bytes for a request of the tenant, or reports false where there is no room. Who gets them releases them.
func (q *Quota) Acquire(tenant string, n int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	// The only request of a tenant always has its quarter: a frame may be longer than that is.
	if q.held+n > q.max || q.of[tenant] > 0 && q.of[tenant]+n > q.max/4 {
		return false
	}
	q.held += n
	q.of[tenant] += n
	return true
}

// Release gives back what Acquire took.
func (q *Quota) Release(tenant string, n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held -= n
	if q.of[tenant] -= n; q.of[tenant] == 0 {
		delete(q.of, tenant)
	}
}

// Held is the number of bytes that all requests take.
func (q *Quota) Held() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}
