package containers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// meterTime bounds one query of the processor time. If the engine takes longer, the processor time counts as not known.
const meterTime = 10 * time.Second

// ErrSilent is wrapped in the cause of a LostError of a call whose agent stopped answering.
var ErrSilent = errors.New("the agent is silent")

// health finds out whether a silent agent is slow or dead.
type health struct {
	link  *link
	calls *calls
}

// watch watches the agent and returns when the link is dead. It fails the link if the agent is dead.
//
//	                  ┌────── a call is past its deadline ──────┐
//	                  │                                         ▼
//	listening ────────┴──Interval──► pinged ──Patience──► examined ──Window, no processor time used──► dead
//	    ▲                              │                   │    │
//	    └────────── any activity ──────┴───────────────────┘    └──Silence, no calls──► dead
//
// An agent answers pings in a thread that does nothing else. If there is no answer, the agent is stopped or it gets next to
// no processor time. In the second case scripts take all processor time or the engine throttles the container, so the
// container uses processor time. In the first case it uses none.
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

// listen waits for d. It returns at once with suspected true if a call is past its deadline, because a working agent ends
// calls before. It returns at once with alive false if the link is dead.
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

// sleep waits for d and returns true. It returns false at once when the link is dead.
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

// examine examines an agent whose last activity was at last. It returns nil when the agent shows activity or the link is
// dead. It returns an error if the agent is to be killed, and the error is the cause.
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

// used returns the processor time of the container. known is false if the process is no Meter or its CPU fails, and on a
// dead link.
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
