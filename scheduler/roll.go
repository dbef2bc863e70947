package scheduler

import (
	"context"
	"slices"
	"time"
)

// A trial is a class that is wanted by nobody yet, until its first container is ready or has failed.
type trial struct {
	since time.Time
	over  chan struct{} // closed when err is set
	err   error
}

func (k *class) trialOverLocked(err error) {
	if k.trial != nil {
		k.trial.err = err
		close(k.trial.over)
		k.trial = nil
	}
}

// Try finds out whether containers of a class start. It returns nil when one has said hello, which is then a
// spare of its class; the error of the start; ctx's, as when there is no place for it; or ErrClosed. One
// goroutine at a time may try a class.
func (s *Scheduler) Try(ctx context.Context, class string) error {
	s.mu.Lock()
	if s.state != open {
		s.mu.Unlock()
		return ErrClosed
	}
	k := s.classLocked(class)
	if k.spares.length+k.owned > 0 {
		s.mu.Unlock()
		return nil
	}
	try := &trial{since: time.Now(), over: make(chan struct{})}
	k.trial = try
	s.balanceLocked(try.since)
	s.unlock()
	select {
	case <-try.over:
		return try.err
	case <-ctx.Done():
	case <-s.quit:
	}
	s.mu.Lock()
	defer s.unlock()
	if s.state == closed {
		k.trialOverLocked(ErrClosed)
	} else {
		k.trialOverLocked(ctx.Err())
		s.balanceLocked(time.Now()) // its place is for others now
	}
	return try.err
}

// Update asks Policy anew for every tenant in the table, and for the default class. Containers of classes that
// their tenants have no more are drained: each goes on with its calls until its tenant has a new one, and
// with its sessions until they end. It costs a look at each tenant, so it is for changes that people make.
func (s *Scheduler) Update() {
	s.mu.Lock()
	defer s.unlock()
	now := time.Now()
	s.setCommonLocked()
	for _, t := range s.tenants {
		s.updateLocked(t)
	}
	used := map[*idleLine]bool{}
	for _, t := range s.tenants {
		used[t.idle] = true
	}
	s.idle.sort(func(l *idleLine) bool { return used[l] })
	for _, k := range s.classes {
		for k != s.base && k.tenants == 0 && k.trial == nil && k.spares.length > 0 {
			s.retireLocked(k.spares.front(), whyReplaced)
		}
		for l := k.spares.first; l != nil; l = l.next {
			s.setAgeLocked(l.item, s.common.MaxAge)
		}
	}
	s.balanceLocked(now)
	s.alarmLocked(s.nextLocked(now))
}

// updateLocked gives a tenant the policy it has now.
func (s *Scheduler) updateLocked(t *tenant) {
	p := s.cfg.Policy(t.name).withDefaults()
	s.applyLocked(t, p)
	changed := p.Class != t.class.name
	if changed {
		t.class.tenants--
		t.class = s.classLocked(p.Class)
		t.class.tenants++
	}
	for len(t.containers) > t.most {
		s.retireLocked(t.containers[t.most], whySurplus)
	}
	for _, t := range []*tenant{t, t.once} {
		if t == nil {
			continue
		}
		if changed {
			t.turn.leave() // it joins at the end, among strangers
			if t.of != nil {
				t.class = t.of.class
			}
		}
		for _, c := range slices.Clone(t.containers) {
			s.setAgeLocked(c, p.MaxAge)
			if c.class != t.class {
				s.wearLocked(c, whyReplaced)
			}
			s.listWornLocked(c) // in the class that its tenant has now
		}
		s.lineUpLocked(t)
	}
}
