package bundles

// A Reservation counts the bytes of an unfinished source tree against the bounds of its tenant and of all tenants. These
// bytes are counted apart from those of stored bundles. One goroutine at a time uses it.
type Reservation struct {
	store  *Store
	tenant string
	size   int64
}

// Reserve begins a reservation of 0 bytes. The caller calls Release when the source tree is finished or dropped.
func (s *Store) Reserve(tenant string) *Reservation { return &Reservation{store: s, tenant: tenant} }

// Grow raises the reservation to size bytes. It does nothing if the reservation has as many. On ErrTooLarge the
// reservation stays as it was.
func (r *Reservation) Grow(size int64) error {
	if size <= r.size {
		return nil
	}
	limit := r.store.Limit(r.tenant)
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if !r.store.making.Acquire(r.tenant, size-r.size, limit) {
		return ErrTooLarge
	}
	r.size = size
	return nil
}

// Release gives all bytes back. It may be called again.
func (r *Reservation) Release() {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.making.Add(r.tenant, -r.size)
	r.size = 0
}
