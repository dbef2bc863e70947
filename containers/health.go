package containers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Liveness says when a silent agent is given up. Zero values stand for the defaults.
type Liveness struct {
	Interval time.Duration // without a word, after which the agent is asked for one; default 10 s
	Patience time.Duration // for the answer, before the container's processor time is looked at; default 10 s
	Window   time.Duration // in which a container that is not dead uses some of it; default 5 s
	Silence  time.Duration // that ends a container without calls, however much it uses; default 60 s
}

// meterTime bounds one look at the processor time. An engine that needs longer is taken for one that
// does not know.
const meterTime = 10 * time.Second

// pingFrame is always the same.
const pingFrame = "\x00\x00\x00\x02\x0f{}"

// ErrSilent is under the cause in a LostError of calls whose agent stopped answering.
var ErrSilent = errors.New("the agent is silent")

func (l Liveness) withDefaults() Liveness {
	return Liveness{
		Interval: cmp.Or(l.Interval, 10*time.Second),
		Patience: cmp.Or(l.Patience, 10*time.Second),
		Window:   cmp.Or(l.Window, 5*time.Second),
		Silence:  cmp.Or(l.Silence, time.Minute),
	}
}

// words is what an agent says, with the time of the last of it.
type words struct {
	from  io.Reader
	begun time.Time
	at    atomic.Int64 // ns after begun
}

func (w *words) Read(b []byte) (int, error) {
	n, err := w.from.Read(b)
	if n > 0 {
		w.at.Store(int64(w.now()))
	}
	return n, err
}

// last says when something was read last. No two reads that an interval lies between have the same.
func (w *words) last() time.Duration { return time.Duration(w.at.Load()) }

func (w *words) now() time.Duration     { return time.Since(w.begun) }
func (w *words) silence() time.Duration { return w.now() - w.last() }

// watch returns when the link is dead, which it brings about where the agent is.
//
//	                  ┌────── a call is past its deadline ──────┐
//	                  │                                         ▼
//	listening ────────┴──Interval──► asked ──Patience──► examined ──Window, no processor time used──► dead
//	    ▲                              │                   │    │
//	    └────────── any word ──────────┴───────────────────┘    └──Silence, no calls──► dead
//
// An agent answers from a thread that does nothing else, so one that does not is stopped, or gets next
// to no processor time because the scripts beside it take it all, or the engine throttles them. Only
// in the first case does the container use none.
func (c *Container) watch() {
	l := c.limits.Liveness.withDefaults()
	for {
		suspected, alive := c.listen(l.Interval - c.words.silence())
		if !alive {
			return
		}
		last := c.words.last()
		if !suspected && c.words.silence() < l.Interval {
			continue
		}
		c.mu.Lock()
		c.pingLocked()
		c.mu.Unlock()
		if !suspected && !c.sleep(l.Patience) {
			return
		}
		if cause := c.examine(l, last); cause != nil {
			c.end(cause)
			return
		}
	}
}

// examine looks at an agent that has said nothing after last until it speaks, the link is dead, or it
// is to be given up for the cause that comes back.
func (c *Container) examine(l Liveness, last time.Duration) error {
	for c.words.last() == last {
		before, known := c.used()
		if !c.sleep(l.Window) {
			return nil
		}
		after, knownAgain := c.used()
		silence := c.words.silence().Round(time.Millisecond)
		switch {
		case c.words.last() != last:
			return nil
		case known && knownAgain && after == before:
			return fmt.Errorf("%w: no answer in %v, and no processor time used in the last %v", ErrSilent, silence, l.Window)
		case silence >= l.Silence && !c.calling():
			return fmt.Errorf("%w: no answer in %v, while no call runs", ErrSilent, silence)
		}
		c.log.Debug().Dur("silence", silence).Dur("cpu", after-before).Bool("known", known && knownAgain).Msg("agent is slow to answer")
	}
	return nil
}

// listen returns after d, at once where a call is past its deadline, which an agent that works does not
// let happen, or with alive false where the link is dead.
func (c *Container) listen(d time.Duration) (suspected, alive bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false, true
	case <-c.overdue:
		return true, true
	case <-c.dead:
		return false, false
	}
}

// sleep returns after d, or with false at once when the link is dead.
func (c *Container) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.dead:
		return false
	}
}

// used is the processor time of the container. It is not known where the process does not tell, nor on
// a dead link.
func (c *Container) used() (cpu time.Duration, known bool) {
	meter, is := c.process.(Meter)
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
	case <-c.dead:
		cancel()
		<-looked
	}
	return cpu, err == nil
}

// calling reports whether a call waits for the agent that was not abandoned. Each is, in the end.
func (c *Container) calling() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pending {
		if !p.stopped {
			return true
		}
	}
	return false
}

// pingLocked asks the agent for a word, unless it still owes one.
func (c *Container) pingLocked() {
	if !c.pinged {
		c.pinged = true
		c.postLocked(outgoing{frame: []byte(pingFrame)})
	}
}

func (c *Container) handlePong(f frame) error {
	if err := decodeSmall(f, c.limits, &struct{}{}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pinged {
		return fmt.Errorf("%w: a pong without a ping", errProtocol)
	}
	c.pinged = false
	return nil
}
