package main

import (
	"context"
	"fmt"
	"time"
)

const steadyRate = 200 // calls a second

// steadyTimes are the times of calls at a steady rate, each from the moment at which it was meant to start.
type steadyTimes struct{ jsd, baseline []time.Duration }

func (b *bench) steadySteps() []step {
	every := time.Second / steadyRate
	return []step{
		func(ctx context.Context, p plan, r *round) (err error) {
			r.steady.jsd, err = b.spare.steady(ctx, plain, warmTenant, p.steady, every)
			return err
		},
		func(ctx context.Context, p plan, r *round) (err error) {
			r.steady.baseline, err = b.baseline.steady(ctx, plain, warmTenant, p.steady, every)
			return err
		},
	}
}

func steadyJSD(r *round) []time.Duration      { return r.steady.jsd }
func steadyBaseline(r *round) []time.Duration { return r.steady.baseline }

func steadyFigures(rounds []round) []figure {
	jsd, base := collect(rounds, steadyJSD), collect(rounds, steadyBaseline)
	name := fmt.Sprintf("warm calls at a steady %d/s, ", steadyRate)
	return []figure{
		against(base, jsd, 0.5, figure{name: name + "median", least: atMost(0.4), try: atMost(0.25)}),
		against(base, jsd, 0.99, figure{name: name + "p99", least: atMost(1.2), try: atMost(0.8)}),
	}
}
