package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	inFlight   = 64
	warmTenant = "warm"

	// refill is how long a spare container may take to be replaced. It passes before whatever would
	// meet that work otherwise.
	refill = 2 * time.Second
)

// A round holds what one round measured.
type round struct {
	jsd, baseline                []time.Duration // warm calls, 1 in flight
	jsdRate, baseRate, floorRate float64         // calls a second, 64 in flight
	floorProcesses               int
	spare, cold                  []time.Duration // first calls of new tenants
	kinds                        []kindTimes     // in the order of the bench
	steal                        float64
}

// kindTimes are those of a script that is set against the plain one: warm calls, and first calls of new
// tenants with a spare container.
type kindTimes struct{ warm, spare []time.Duration }

// rounds measures until there are as many unspoiled rounds as planned, or twice as many in all.
func (b *bench) rounds(ctx context.Context, p plan) (*figures, error) {
	if err := b.warmUp(ctx, p); err != nil {
		return nil, fmt.Errorf("warming up: %w", err)
	}
	var good, bad []round
	for n := 0; len(good) < p.rounds && n < 2*p.rounds; n++ {
		r, err := b.round(ctx, p, n)
		if err != nil {
			return nil, err
		}
		if r.steal > spoiled {
			bad = append(bad, r)
		} else {
			good = append(good, r)
		}
		fmt.Fprintf(os.Stderr, "round %d: jsd %v, baseline %v, steal %.1f %%\n", n+1,
			median(r.jsd), median(r.baseline), 100*r.steal)
	}
	if len(good) == 0 {
		return newFigures(bad, 0), nil
	}
	return newFigures(good, len(bad)), nil
}

func (b *bench) warmUp(ctx context.Context, p plan) error {
	for _, c := range []*client{b.spare, b.baseline} {
		if _, err := c.oneByOne(ctx, plain, warmTenant, p.calls); err != nil {
			return err
		}
	}
	for i := range b.kinds {
		if err := b.spare.put(ctx, &b.kinds[i], b.kinds[i].tenant); err != nil {
			return err
		}
		if _, err := b.spare.oneByOne(ctx, b.kinds[i], b.kinds[i].tenant, p.kindCalls); err != nil {
			return err
		}
	}
	return nil
}

// round takes every figure once; every other round turns the order, so that no side always comes first.
func (b *bench) round(ctx context.Context, p plan, n int) (r round, err error) {
	before, err := readCPUTime()
	if err != nil {
		return r, err
	}
	r.kinds = make([]kindTimes, len(b.kinds))
	var steps []func() error
	for i, kind := range b.kinds {
		steps = append(steps, func() (err error) {
			r.kinds[i].warm, err = b.spare.oneByOne(ctx, kind, kind.tenant, p.kindCalls)
			return err
		})
	}
	steps = append(steps,
		func() (err error) { r.jsd, err = b.spare.oneByOne(ctx, plain, warmTenant, p.calls); return err },
		func() (err error) { r.baseline, err = b.baseline.oneByOne(ctx, plain, warmTenant, p.calls); return err },
		func() (err error) {
			r.jsdRate, err = b.spare.flood(ctx, plain, warmTenant, p.flood, inFlight)
			return err
		},
		func() (err error) {
			r.baseRate, err = b.baseline.flood(ctx, plain, warmTenant, p.flood, inFlight)
			return err
		},
		func() (err error) { r.floorRate, r.floorProcesses, err = b.runFloor(ctx, p.floor); return err },
	)
	if n%2 == 1 {
		slices.Reverse(steps)
	}
	steps = append(steps,
		func() error { return b.newTenants(ctx, p, &r) },
		func() error { return pause(ctx, refill) },
	)
	for _, step := range steps {
		if err := step(); err != nil {
			return r, err
		}
	}
	after, err := readCPUTime()
	if err != nil {
		return r, err
	}
	r.steal = after.stealSince(before)
	return r, nil
}

// newTenants makes the first calls of tenants that were never seen.
func (b *bench) newTenants(ctx context.Context, p plan, r *round) error {
	for n := range p.tenants {
		if err := b.newTenant(ctx, b.spare, plain, &r.spare); err != nil {
			return err
		}
		if err := b.newTenant(ctx, b.cold, plain, &r.cold); err != nil {
			return err
		}
		if n >= p.kindTenants {
			continue
		}
		for i, kind := range b.kinds {
			if err := b.newTenant(ctx, b.spare, kind, &r.kinds[i].spare); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) newTenant(ctx context.Context, c *client, s script, times *[]time.Duration) error {
	b.tenants++
	tenant := "new-" + strconv.Itoa(b.tenants)
	if err := c.put(ctx, &s, tenant); err != nil {
		return err
	}
	if err := pause(ctx, refill); err != nil {
		return err
	}
	took, err := c.call(ctx, s, tenant)
	if err != nil {
		return err
	}
	*times = append(*times, took)
	return nil
}

func (b *bench) runFloor(ctx context.Context, span time.Duration) (perSecond float64, processes int, err error) {
	cmd := exec.CommandContext(ctx, b.node, b.floor, strconv.FormatInt(span.Milliseconds(), 10))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	text, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("floor: %w", errors.Join(err, ctx.Err()))
	}
	var floor struct {
		Processes int     `json:"processes"`
		PerSecond float64 `json:"perSecond"`
	}
	if err := json.Unmarshal(text, &floor); err != nil {
		return 0, 0, fmt.Errorf("floor: %w", err)
	}
	return floor.PerSecond, floor.Processes, nil
}

func pause(ctx context.Context, span time.Duration) error {
	select {
	case <-time.After(span):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
