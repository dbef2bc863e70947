package scheduler

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// A class is one kind of container, with the tenants that can do with no other kind. The default one is
// always in the table, the others while they have a tenant, a container that is not retired, a trial, or a
// failure to remember. There are few: what is decided may look at each.
type class struct {
	name    string
	tenants int   // in the table
	turns   turns // those of them that wait for a container
	trial   *trial

	spares          list[*container] // ready and nobody's, with the longest there in front
	worn            list[*container] // busy ones of its tenants
	starting, owned int              // containers; owned are tenants'

	failures int       // starts that failed in a row
	startErr error     // of the last start, if it failed
	retryAt  time.Time // no start before, while failures > 0

	meanTurn mean // how long its tenants wait for a container
}

// classLocked gives the class of that name, which is forgotten again unless something of it follows.
func (s *Scheduler) classLocked(name string) *class {
	for _, k := range s.classes {
		if k.name == name {
			return k
		}
	}
	k := &class{name: name}
	s.classes = append(s.classes, k)
	return k
}

func (s *Scheduler) forgetClassesLocked(now time.Time) {
	gone := func(k *class) bool { return k != s.base && k.unused(now) }
	if slices.ContainsFunc(s.classes, gone) {
		s.classes = slices.DeleteFunc(slices.Clone(s.classes), gone) // somebody may be walking through them
	}
}

// unused says that nothing would be lost with the class.
func (k *class) unused(now time.Time) bool {
	return k.tenants == 0 && k.trial == nil && k.spares.length+k.starting+k.owned == 0 && !k.remembered().After(now)
}

// remembered is until when the class is kept for its failures: for a while after the next try was due,
// since where nobody waits at that moment there is none, and those who come soon must not begin anew.
func (k *class) remembered() time.Time {
	if k.failures == 0 {
		return time.Time{}
	}
	return k.retryAt.Add(lastBackoff)
}

// A total is what all classes have together.
type total struct {
	starting, spares, owned int // containers
	waiting                 int // tenants in turns
	trials                  int
}

func (t total) all() int { return t.starting + t.spares + t.owned }

func (s *Scheduler) totalLocked() (sum total) {
	for _, k := range s.classes {
		sum.starting += k.starting
		sum.spares += k.spares.length
		sum.owned += k.owned
		sum.waiting += k.turns.length()
		if k.trial != nil {
			sum.trials++
		}
	}
	return sum
}

// need is how many starts more than those under way its waiting tenants and its trial have use for now. While
// its starts fail they begin one at a time, to find out.
func (k *class) need(now time.Time) int {
	need := k.turns.wants()
	if k.trial != nil {
		need++
	}
	need = max(0, need-k.spares.length-k.starting)
	if k.failures == 0 {
		return need
	}
	if k.starting > 0 || k.backsOff(now) {
		return 0
	}
	return min(need, 1)
}

// before says whether k comes before another class when one of them may start a container, which both need.
func (k *class) before(other *class) bool {
	if bare := k.bare(); bare != other.bare() {
		return bare
	}
	return k.waitsSince().Before(other.waitsSince())
}

// bare says whether the class is waited for by who has no container at all: tenants, or a trial.
func (k *class) bare() bool { return k.turns.bare.length > 0 || k.trial != nil }

func (k *class) waitsSince() time.Time {
	t := k.turns.front()
	if t == nil || k.trial != nil && k.trial.since.Before(t.turn.since) {
		return k.trial.since
	}
	return t.turn.since
}

func (k *class) backsOff(now time.Time) bool { return k.failures > 0 && now.Before(k.retryAt) }

// failedLocked puts off the class's next start, longer with each failure in a row. Starts that were
// under way together and fail together count as one.
func (s *Scheduler) failedLocked(k *class, err error) {
	s.count.failed++
	k.startErr = err
	now := time.Now()
	if k.backsOff(now) {
		return
	}
	delay := min(firstBackoff<<min(k.failures, 10), lastBackoff)
	delay -= rand.N(delay / 4) // jitter, so that daemons that share an engine do not keep step
	k.failures++
	k.retryAt = now.Add(delay)
	s.alarmLocked(k.retryAt)
}
