package wire

import (
	"sync"

	"github.com/jsd-project/jsd/quota"
)

// Unnoticed is how many bytes a connection may hold without being counted. Most connections hold less, and then take no lock that
// all connections share.
const Unnoticed = 16 << 10

// A Budget bounds the bytes that all connections together hold of unfinished frames and unsent replies. Each connection has bounds
// of its own, but ten thousand times these would be far too much. Where there is no room, the connection that holds most is evicted,
// so a client that wants everything loses first. Its methods may be called from any goroutine.
type Budget struct {
	mu     sync.Mutex // guards shares, and over of each Share
	shares *quota.Account[*Share]
}

// NewBudget makes a Budget of most bytes.
func NewBudget(most int64) *Budget { return &Budget{shares: quota.NewAccount[*Share](most)} }

// Held returns the number of bytes that all connections hold.
func (b *Budget) Held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shares.Held()
}

// A Share is what one connection holds of a Budget.
type Share struct {
	budget *Budget
	evict  func(held int64)
	over   bool // the connection was evicted or released: it counts for nothing any more
}

// Share makes the share of a connection, which holds nothing yet. evict has to end the connection without waiting. It is called at
// most once, with the bytes that the connection held.
func (b *Budget) Share(evict func(held int64)) *Share { return &Share{budget: b, evict: evict} }

// Change notes that the connection holds n bytes more, or fewer if n is negative. It may evict any connection.
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
	b.shares.Add(s, n)
	for b.shares.Over() {
		largest, held := b.shares.Largest()
		evicted = append(evicted, eviction{largest, held})
		b.removeLocked(largest)
	}
	return evicted
}

func (b *Budget) removeLocked(s *Share) {
	b.shares.Add(s, -b.shares.Of(s))
	s.over = true
}

// Release gives back what the connection still holds. It is called when the connection has closed.
func (s *Share) Release() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if !s.over {
		s.budget.removeLocked(s)
	}
}
