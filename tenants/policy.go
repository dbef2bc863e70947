package tenants

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jsd-project/jsd/egress"
)

// The values of Policy.Reuse: who may use a container again.
const (
	ReuseTenant = "tenant" // calls of the same tenant
	ReuseCall   = "call"   // nobody: it serves one call
)

// Policy has every limit of one tenant. A policy that comes from Policies must not be changed.
type Policy struct {
	Image   string
	Runtime string // OCI runtime; empty: the engine's own
	Memory  int    // MiB of a container
	Heap    int    // MiB of one worker in it
	CPUs    float64
	PIDs    int
	Tmp     int      // MiB
	Modules []string // that scripts may load; nil: the default list

	Hosts    []egress.Host  // that scripts may connect to
	Networks []netip.Prefix // where these may be, besides public addresses

	Concurrency int // calls at once in a container
	Containers  int // at once, besides those that serve one call
	Weight      int // in waiting for containers
	Languages   []string
	Reuse       string // ReuseTenant or ReuseCall

	Timeout    time.Duration // of a call that names none
	MaxTimeout time.Duration
	CPUBudget  time.Duration // of a call; 0: its timeout

	Queue     int // calls that wait
	QueueTime time.Duration
	Rate      float64 // calls a second; 0: unbounded
	Burst     int     // calls at once that Rate allows; 0: as many as Rate, at least 1

	Result       int // bytes of a value
	ConsoleLines int
	ConsoleBytes int

	Sessions    int // at once
	SessionIdle time.Duration
	Bundles     int // MiB kept
	Keep        int // MiB of outcomes kept
	KeepTime    time.Duration

	IdleTimeout time.Duration // of a container; 0: never
	MaxAge      time.Duration // of a container; 0: never
	MaxCalls    int           // of a container; 0: unbounded

	Connections int   // at once
	InFlight    int   // calls of one connection
	Frame       int64 // bytes of a request
}

// A conflict is a limit that contradicts another one, or is over a bound.
type conflict struct {
	key, other string // as in the file; other may be empty
	text       string
}

func (c *conflict) Error() string { return c.text }

// Check returns an error if two limits contradict each other. name returns how the error calls a limit, from its key
// in the file.
func (p *Policy) Check(name func(key string) string) error {
	if c := p.conflict(name); c != nil {
		return c
	}
	return nil
}

func (p *Policy) conflict(name func(key string) string) *conflict {
	above := func(key string, value any, other string, bound any) *conflict {
		return &conflict{key, other, fmt.Sprintf("%s %v is more than %s %v", name(key), value, name(other), bound)}
	}
	switch {
	case p.Timeout > p.MaxTimeout:
		return above("timeout", p.Timeout, "maxTimeout", p.MaxTimeout)
	case p.Heap > p.Memory:
		return above("heap", p.Heap, "memory", p.Memory)
	case p.Burst > 0 && p.Rate == 0:
		return &conflict{"burst", "rate", fmt.Sprintf("%s needs a %s", name("burst"), name("rate"))}
	default:
		return nil
	}
}

// Bounds are the limits of all tenants together. No tenant may have more. Zero means that there is no bound.
type Bounds struct {
	Bundles     int // MiB
	Keep        int // MiB
	Connections int
	InFlight    int
	Frame       int64
}

func (b *Bounds) conflict(p *Policy) *conflict {
	for _, limit := range []struct {
		key         string
		value, most int64
	}{
		{"bundles", int64(p.Bundles), int64(b.Bundles)},
		{"keep", int64(p.Keep), int64(b.Keep)},
		{"connections", int64(p.Connections), int64(b.Connections)},
		{"inFlight", int64(p.InFlight), int64(b.InFlight)},
		{"frame", p.Frame, b.Frame},
	} {
		if limit.most > 0 && limit.value > limit.most {
			return &conflict{key: limit.key, text: fmt.Sprintf("%s %d is more than the daemon's own %d", limit.key, limit.value, limit.most)}
		}
	}
	return nil
}

// completed sets the limits that follow from others.
func (p Policy) completed() Policy {
	if p.Rate > 0 && p.Burst == 0 {
		p.Burst = int(max(1, math.Ceil(min(p.Rate, maxCount))))
	}
	return p
}

// CheckLanguages returns an error unless there is a name, and each name is one of known.
func CheckLanguages(names, known []string) error {
	if len(names) == 0 {
		return fmt.Errorf("has to name one of %s, at least", strings.Join(known, ", "))
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("has to be of %s, and %.100q is none", strings.Join(known, ", "), name)
		}
	}
	return nil
}
