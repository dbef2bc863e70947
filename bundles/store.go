package bundles

import (
	"cmp"
	"container/list"
	"errors"
	"sync"
)

var (
	// ErrTooLarge says that something is beyond what a tenant, or all tenants, may have in a store.
	ErrTooLarge = errors.New("bundle limit")

	// ErrNotFound says that a tenant has no such bundle, or no longer.
	ErrNotFound = errors.New("no such bundle")
)

// Config bounds a Store, in bytes of Folder.Size. Zero stands for the default.
type Config struct {
	// Tenant is asked with each Put and Grow, and must not wait: what one tenant's bundles may take, and
	// again its folders in the making. Default: 64 MiB each.
	Tenant func(tenant string) int64

	Total int64 // likewise of all tenants; default 1 GiB
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

	mu       sync.Mutex         // guards all below, and what hangs on it
	tenants  map[string]*tenant // those that have bundles
	recent   *list.List         // the same tenants, least recently seen first
	size     int64
	making   map[string]int64 // bytes reserved, by tenant
	reserved int64            // of all
}

type tenant struct {
	name    string
	place   *list.Element            // in Store.recent
	bundles map[string]*list.Element // in recent, by ID
	recent  *list.List               // of *kept, least recently used first
	size    int64
}

type kept struct {
	*Bundle
	size int64
}

// NewStore makes an empty store.
func NewStore(cfg Config) *Store {
	return &Store{
		cfg:     cfg.withDefaults(),
		tenants: map[string]*tenant{},
		recent:  list.New(),
		making:  map[string]int64{},
	}
}

// Limit is what a tenant may have, in bytes.
func (s *Store) Limit(tenant string) int64 { return min(s.cfg.Tenant(tenant), s.cfg.Total) }

// Put keeps a folder as a bundle of the tenant's and gives its ID. The folder is not to be added to
// after that. ErrTooLarge: it is too large to be kept at all.
func (s *Store) Put(tenantName string, f *Folder) (id string, err error) {
	size, limit := f.Size(), s.Limit(tenantName)
	if size > limit {
		return "", ErrTooLarge
	}
	b := f.bundle() // before the lock, as this is work

	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.seeLocked(tenantName)
	if there := t.bundles[b.ID]; there != nil {
		t.recent.MoveToBack(there)
	} else {
		t.bundles[b.ID] = t.recent.PushBack(&kept{b, size})
		t.size += size
		s.size += size
	}
	for t.size > limit {
		s.dropOldestLocked(t)
	}
	for s.size > s.cfg.Total {
		s.dropOldestLocked(s.recent.Front().Value.(*tenant))
	}
	return b.ID, nil
}

// Get gives a bundle of the tenant's, which thereby is the last to go out; else ErrNotFound.
func (s *Store) Get(tenantName, id string) (*Bundle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenantName]
	if t == nil || t.bundles[id] == nil {
		return nil, ErrNotFound
	}
	s.recent.MoveToBack(t.place)
	t.recent.MoveToBack(t.bundles[id])
	return t.bundles[id].Value.(*kept).Bundle, nil
}

// seeLocked gives a tenant, which is the most recent then.
func (s *Store) seeLocked(name string) *tenant {
	t := s.tenants[name]
	if t == nil {
		t = &tenant{name: name, bundles: map[string]*list.Element{}, recent: list.New()}
		t.place = s.recent.PushBack(t)
		s.tenants[name] = t
		return t
	}
	s.recent.MoveToBack(t.place)
	return t
}

// dropOldestLocked takes out the tenant's bundle least recently used, and with its last the tenant.
func (s *Store) dropOldestLocked(t *tenant) {
	oldest := t.recent.Remove(t.recent.Front()).(*kept)
	delete(t.bundles, oldest.ID)
	t.size -= oldest.size
	s.size -= oldest.size
	if t.recent.Len() == 0 {
		s.recent.Remove(t.place)
		delete(s.tenants, t.name)
	}
}
