package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

const (
	inFlight   = 64
	warmTenant = "warm"

	// refill is how long a daemon may take to replace a spare container. The bench waits for it, so that this work
	// does not disturb the next measurement.
	refill = 2 * time.Second
)

// A round has the measured values of one round.
type round struct {
	warm    warmTimes
	flood   floods
	steady  steadyTimes
	session sessionRates
	large   []largeRate // in the order of the bench's texts
	tenants tenantTimes
	kinds   []kindTimes // in the order of the bench
	steal   float64
}

// A step measures some values of a round.
type step func(ctx context.Context, p plan, r *round) error

// measure takes all rounds, and after them the figures that are measured once.
func (b *bench) measure(ctx context.Context, s settings) (*results, error) {
	if err := b.warmUp(ctx, s.work); err != nil {
		return nil, fmt.Errorf("warming up: %w", err)
	}
	found, err := b.rounds(ctx, s.work)
	if err != nil {
		return nil, err
	}
	if s.plots != "" {
		if err := b.plot(ctx, s, found.rounds); err != nil {
			return nil, fmt.Errorf("plots: %w", err)
		}
	}
	for _, once := range []func(context.Context, plan) ([]figure, error){b.idleContainers, b.idleConnections, b.longRun} {
		figures, err := once(ctx, s.work)
		if err != nil {
			return nil, err
		}
		found.figures = append(found.figures, figures...)
	}
	return found, nil
}

// rounds takes rounds until there are as many good ones as planned, or until there are twice as many in all.
func (b *bench) rounds(ctx context.Context, p plan) (*results, error) {
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
			median(r.warm.jsd), median(r.warm.baseline), 100*r.steal)
	}
	if len(good) == 0 {
		return newResults(bad, 0, b.kinds, p), nil
	}
	return newResults(good, len(bad), b.kinds, p), nil
}

func newResults(rounds []round, repeated int, kinds []script, p plan) *results {
	r := &results{rounds: rounds, repeated: repeated, kinds: kinds, long: p.long}
	for i := range rounds {
		r.steal = max(r.steal, rounds[i].steal)
	}
	for _, figures := range []func([]round) []figure{
		warmFigures, floodFigures, steadyFigures, sessionFigures, costFigures, tenantFigures, largeFigures,
	} {
		r.figures = append(r.figures, figures(rounds)...)
	}
	return r
}

func (b *bench) warmUp(ctx context.Context, p plan) error {
	for _, to := range []*peer{b.spare, b.baseline} {
		if _, err := to.oneByOne(ctx, plain, warmTenant, p.calls); err != nil {
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
	for _, text := range b.texts {
		if _, err := b.spare.flood(ctx, text, text.tenant, p.large/2, largeInFlight); err != nil {
			return err
		}
	}
	return b.openSession(ctx, p)
}

// round takes every figure once. Every second round reverses the order, so that neither side always comes first.
func (b *bench) round(ctx context.Context, p plan, n int) (r round, err error) {
	before, err := readCPUTime()
	if err != nil {
		return r, err
	}
	steps := slices.Concat(b.kindSteps(), b.warmSteps(), b.floodSteps(), b.steadySteps(), b.sessionSteps(), b.largeSteps())
	if n%2 == 1 {
		slices.Reverse(steps)
	}
	r.kinds, r.large = make([]kindTimes, len(b.kinds)), make([]largeRate, len(b.texts))
	for _, step := range append(steps, b.newTenants) {
		if err := step(ctx, p, &r); err != nil {
			return r, err
		}
	}
	if err := pause(ctx, refill); err != nil {
		return r, err
	}
	after, err := readCPUTime()
	if err != nil {
		return r, err
	}
	r.steal = after.stealSince(before)
	return r, nil
}

func pause(ctx context.Context, span time.Duration) error {
	select {
	case <-time.After(span):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
