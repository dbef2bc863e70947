package bundles

import (
	"cmp"
	"errors"
	"sync"

	"github.com/jsd-project/jsd/quota"
)

var (
	// ErrTooLarge means that a source tree is larger than the bundles of a tenant, or of all tenants, may be.
	ErrTooLarge = errors.New("bundle limit")

	// ErrNotFound means that a tenant does not have a bundle, or does not have it any more.
	ErrNotFound = errors.New("no such bundle")
)

// Config has the bounds of a Store, in bytes of SourceTree.Size. Zero stands for the default.
type Config struct {
	// Tenant returns how much the bundles of a tenant may take, and again its unfinished source trees. Each Put and Grow
	// calls it, and it must not wait. Default: 64 MiB for each tenant.
	Tenant func(tenant string) int64

	Total int64 // of all tenants, in the same way; default 1 GiB
}

func (c Config) withDefaults() Config {
	if c.Tenant == nil {
		c.Tenant = func(string) int64 { return 64 << 20 }
	}
	c.Total = cmp.Or(c.Total, 1<<30)
	return c
}

// A Store keeps bundles by tenant and ID. Its methods may be called from any goroutine and do not wait.
type Store struct {
	cfg Config

	mu     sync.Mutex // guards all below
	stored *quota.Store[string, string, *Bundle]
	making *quota.Account[string] // what is reserved, by tenant
}

// NewStore makes an empty store.
func NewStore(cfg Config) *Store {
	cfg = cfg.withDefaults()
	return &Store{
		cfg:    cfg,
		stored: quota.NewStore[string, string, *Bundle](cfg.Total, quota.ByOwner),
		making: quota.NewAccount[string](cfg.Total),
	}
}

// Limit returns how many bytes the bundles of a tenant may take.
func (s *Store) Limit(tenant string) int64 { return min(s.cfg.Tenant(tenant), s.cfg.Total) }

// Put stores a source tree as a bundle of a tenant and returns its ID. The caller does not add to the source tree after that.
// The error is ErrTooLarge if the source tree alone is over a bound.
func (s *Store) Put(tenant string, f *SourceTree) (id string, err error) {
	size, limit := f.Size(), s.Limit(tenant)
	if size > limit {
		return "", ErrTooLarge
	}
	b := f.bundle() // before the lock, as this is work

	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored.Put(tenant, b.ID, b, size, limit)
	return b.ID, nil
}

// Get returns a bundle of a tenant, which is the most recently used from then on. The error is ErrNotFound if there
// is none.
func (s *Store) Get(tenant, id string) (*Bundle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, found := s.stored.Get(tenant, id)
	if !found {
		return nil, ErrNotFound
	}
	return b, nil
}
