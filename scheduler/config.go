package scheduler

import (
	"cmp"
	"math"
	"time"
)

// Policy is what a tenant may have of the scheduler. Where a default is named, zero stands for it.
type Policy struct {
	Class string // of its containers, what Start gets

	Containers  int // at once, besides those for calls with Once; default 1
	Concurrency int // calls at once in one of them, as long as it lives; default 8
	Weight      int // how often it gets a container, against others that wait for one, too; default 1

	Queue     int           // calls that wait, with those in its sessions, and as many with Once; default 1,000
	QueueTime time.Duration // a call waits no longer; default 30 s

	Rate  float64 // calls that may begin in a second, those in sessions among them; 0: any number
	Burst int     // of them at once, after a pause; default Rate, at least 1

	IdleTimeout time.Duration // a container without calls is closed after this; 0: never
	MaxAge      time.Duration // a container is replaced after this, or up to a tenth earlier; 0: never
	MaxCalls    int           // a container gets no more calls than these; 0: any number; 1: as if all had Once
}

func (p Policy) withDefaults() Policy {
	p.Containers = cmp.Or(p.Containers, 1)
	p.Concurrency = cmp.Or(p.Concurrency, 8)
	p.Weight = cmp.Or(p.Weight, 1)
	p.Queue = cmp.Or(p.Queue, 1000)
	p.QueueTime = cmp.Or(p.QueueTime, 30*time.Second)
	p.Burst = cmp.Or(p.Burst, max(1, int(min(math.Ceil(p.Rate), math.MaxInt32))))
	return p
}

// setCommonLocked asks for what holds where nothing is said of a tenant, and of containers that are nobody's.
func (s *Scheduler) setCommonLocked() {
	s.common = s.cfg.Policy("").withDefaults()
	s.base = s.classLocked(s.common.Class)
}

// applyLocked gives the tenant what its policy says now. It leaves its place in turns to lineUpLocked.
func (s *Scheduler) applyLocked(t *tenant, p Policy) {
	t.policy, t.slots, t.most = p, p.Concurrency, p.Containers
	t.idle = s.idle.line(p.IdleTimeout)
	if once := t.once; once != nil {
		once.policy, once.slots, once.most = p, 1, s.mostOnce(p)
		once.idle = t.idle
	}
}

// mostOnce is how many containers may run calls with Once of a tenant: no more calls than others of its
// might run at once, and not all places, lest it take them from everybody.
func (s *Scheduler) mostOnce(p Policy) int {
	return max(1, min(p.Concurrency*p.Containers, s.cfg.Max-1))
}
