package scheduler

import "time"

// Stop ends all containers of a tenant, with the calls and sessions in them; a container's Close says
// what becomes of these. Calls that come later, and those that wait, go on in new ones, except the ones
// in a session. It does not wait until the containers are gone. A tenant without any is no error.
func (s *Scheduler) Stop(tenant string) {
	s.mu.Lock()
	defer s.unlock()
	if t := s.tenants[tenant]; t != nil {
		if t.once != nil {
			s.stopLocked(t.once)
		}
		s.stopLocked(t)
	}
	// Those that gave way are in no tenant's table, and may still have calls.
	for k := s.leaving.first; k != nil; k = k.next {
		if c := k.item; !c.ended && c.tenant != nil && c.tenant.name == tenant {
			c.why = whyStopped
			s.endLocked(c)
		}
	}
	s.balanceLocked(time.Now())
}

func (s *Scheduler) stopLocked(t *tenant) {
	for len(t.containers) > 0 {
		s.retireLocked(t.containers[0], whyStopped)
	}
}
