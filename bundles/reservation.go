package bundles

// A Reservation counts the bytes of a folder in the making against the bounds of its tenant and of
// all, in an account of its own beside that of the bundles kept. One goroutine at a time uses it.
type Reservation struct {
	store  *Store
	tenant string
	size   int64
}

// Reserve begins a reservation of nothing. Who calls it calls Release.
func (s *Store) Reserve(tenant string) *Reservation { return &Reservation{store: s, tenant: tenant} }

// Grow makes it size bytes, if it is less. With ErrTooLarge it stays what it was.
func (r *Reservation) Grow(size int64) error {
	s := r.store
	limit := s.Limit(r.tenant)
	s.mu.Lock()
	defer s.mu.Unlock()
	more := size - r.size
	if more <= 0 {
		return nil
	}
	if s.making[r.tenant]+more > limit || s.reserved+more > s.cfg.Total {
		return ErrTooLarge
	}
	s.making[r.tenant] += more
	s.reserved += more
	r.size = size
	return nil
}

// Release gives all of it back. It may be called again.
func (r *Reservation) Release() {
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= r.size
	if s.making[r.tenant] -= r.size; s.making[r.tenant] <= 0 {
		delete(s.making, r.tenant)
	}
	r.size = 0
}
