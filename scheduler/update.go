package scheduler

import (
	"context"
	"slices"
	"time"
)

// Canary finds out whether containers of a profile start, before any tenant has the profile. It returns nil when the first
// container is ready; the container is then a spare of the profile. Otherwise it returns the error of the start, ErrClosed,
// or ctx's error, also if there was no place for the start. It may not run twice at a time for one profile.
func (s *Scheduler) Canary(ctx context.Context, name string) error {
	s.mu.Lock()
	if s.alloc.state != open {
		s.mu.Unlock()
		return ErrClosed
	}
	p := s.alloc.table.profile(name)
	if p.spares.length+p.owned > 0 {
		s.mu.Unlock()
		return nil
	}
	mine := &canary{since: time.Now(), over: make(chan struct{})}
	p.canary = mine
	s.alloc.balance(mine.since)
	s.unlock()
	select {
	case <-mine.over:
		return mine.err
	case <-ctx.Done():
	case <-s.quit:
	}
	s.mu.Lock()
	defer s.unlock()
	if s.alloc.state == closed {
		p.endCanary(ErrClosed)
	} else {
		p.endCanary(ctx.Err())
		s.alloc.balance(time.Now()) // the canary's place is free now
	}
	return mine.err
}

// Update calls Config.Policy again for every tenant in the table and for the default profile. A container drains if its
// tenant no longer has its profile. Its calls go on until the tenant has a new container, and its sessions until they end.
// Update takes one pass over all tenants, so it is for changes of the configuration only.
func (s *Scheduler) Update() {
	s.mu.Lock()
	defer s.unlock()
	a, now := s.alloc, time.Now()
	a.table.setCommon()
	inUse := map[*idleLine]bool{}
	for _, t := range a.table.tenants {
		a.updateTenant(t)
		inUse[t.idle] = true
	}
	a.table.idle.sort(func(l *idleLine) bool { return inUse[l] })
	for _, p := range a.table.profiles {
		for p != a.table.base && p.tenants == 0 && p.canary == nil && p.spares.length > 0 {
			a.pool.drain(p.spares.front(), whyReplaced)
		}
		for l := p.spares.first; l != nil; l = l.next {
			a.pool.setAge(l.item, a.table.common.MaxAge)
		}
	}
	a.balance(now)
	a.scheduleNext(now)
}

// updateTenant applies the present policy to a tenant.
func (a *allocator) updateTenant(t *tenant) {
	policy := a.cfg.Policy(t.name).withDefaults()
	a.table.apply(t, policy)
	changed := policy.Profile != t.profile.name
	if changed {
		t.profile.tenants--
		t.profile = a.table.profile(policy.Profile)
		t.profile.tenants++
	}
	for len(t.containers) > t.limit {
		a.pool.drain(t.containers[t.limit], whySurplus)
	}
	for _, t := range []*tenant{t, t.oneShot} {
		if t == nil {
			continue
		}
		if changed {
			t.position.remove() // placeTenant puts it at the end of the queue of its new profile
			if t.parent != nil {
				t.profile = t.parent.profile
			}
		}
		for _, c := range slices.Clone(t.containers) {
			a.pool.setAge(c, policy.MaxAge)
			if c.profile != t.profile {
				a.pool.makeStale(c, whyReplaced)
			}
			a.pool.placeStale(c) // the list is that of its tenant's profile
		}
		a.queue.placeTenant(t)
	}
}

// Stop ends all containers of a tenant, with the calls and sessions in them; a container's Close says what becomes of these.
// Waiting calls and new calls run in new containers, except calls in the ended sessions. Stop does not wait until the
// containers are gone. It does nothing for a tenant without containers.
func (s *Scheduler) Stop(tenant string) {
	s.mu.Lock()
	defer s.unlock()
	a := s.alloc
	if t := a.table.tenants[tenant]; t != nil {
		if t.oneShot != nil {
			a.stop(t.oneShot)
		}
		a.stop(t)
	}
	// Draining containers are in no tenant's list, and may still have calls.
	for l := a.pool.draining.first; l != nil; l = l.next {
		if c := l.item; !c.closing && c.tenant != nil && c.tenant.name == tenant {
			c.why = whyStopped
			a.pool.close(c)
		}
	}
	a.balance(time.Now())
}

func (a *allocator) stop(t *tenant) {
	for len(t.containers) > 0 {
		a.pool.drain(t.containers[0], whyStopped)
	}
}
