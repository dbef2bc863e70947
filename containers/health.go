package containers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// meterTime bounds one look at the processor time. An engine that needs longer is taken for one that
// does not know.
const meterTime = 10 * time.Second

// ErrSilent is under the cause in a LostError of calls whose agent stopped answering.
var ErrSilent = errors.New("the agent is silent")

// health finds out whether a silent agent is slow or dead.
type health struct {
	link  *link
	calls *calls
}

// watch returns when the link is dead, which it brings about where the agent is.
//
//	                  ┌────── a call is past its deadline ──────┐
//	                  │                                         ▼
//	listening ────────┴──Interval──► pinged ──Patience──► examined ──Window, no processor time used──► dead
//	    ▲                              │                   │    │
//	    └────────── any activity ──────┴───────────────────┘    └──Silence, no calls──► dead
//
// An agent answers a ping from a thread that does nothing else. One that does not is stopped, or gets next
// to no processor time because the scripts beside it take it all, or the engine throttles it. Only
// in the first case does the container use none.
func (h *health) watch() {
	liveness := h.link.limits.Liveness.withDefaults()
	activity := &h.link.activity
	for {
		suspected, alive := h.listen(liveness.Interval - activity.silence())
		if !alive {
			return
		}
		last := activity.last()
		if !suspected && activity.silence() < liveness.Interval {
			continue
		}
		h.link.mu.Lock()
		h.link.pingLocked()
		h.link.unlock()
		if !suspected && !h.sleep(liveness.Patience) {
			return
		}
		if cause := h.examine(liveness, last); cause != nil {
			h.link.fail(cause)
			return
		}
	}
}

// listen returns after d, at once where a call is past its deadline, which an agent that works does not
// let happen, or with alive false where the link is dead.
func (h *health) listen(d time.Duration) (suspected, alive bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false, true
	case <-h.calls.overdue:
		return true, true
	case <-h.link.dead:
		return false, false
	}
}

// sleep returns after d, or with false at once when the link is dead.
func (h *health) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.link.dead:
		return false
	}
}

// examine looks at an agent that has said nothing after last until it speaks, the link is dead, or the agent
// is to be ended for the cause that comes back.
func (h *health) examine(l Liveness, last time.Duration) error {
	activity := &h.link.activity
	for activity.last() == last {
		before, known := h.used()
		if !h.sleep(l.Window) {
			return nil
		}
		after, knownAgain := h.used()
		known = known && knownAgain
		silence := activity.silence().Round(time.Millisecond)
		switch {
		case activity.last() != last:
			return nil
		case known && after == before:
			return fmt.Errorf("%w: no answer in %v, and no processor time used in the last %v", ErrSilent, silence, l.Window)
		case silence >= l.Silence && !h.calls.unstopped():
			return fmt.Errorf("%w: no answer in %v, while no call runs", ErrSilent, silence)
		}
		h.link.log.Debug().Dur("silence", silence).Dur("cpu", after-before).Bool("known", known).Msg("agent is slow to answer")
	}
	return nil
}

// used is the processor time of the container. It is not known where the process does not tell, nor on
// a dead link.
func (h *health) used() (cpu time.Duration, known bool) {
	meter, is := h.link.process.(Meter)
	if !is {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), meterTime)
	defer cancel()
	var err error
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		cpu, err = meter.CPU(ctx)
	}()
	select {
	case <-looked:
	case <-h.link.dead:
		cancel()
		<-looked
	}
	return cpu, err == nil
}
