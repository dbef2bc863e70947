package main

import (
	"context"
	"time"
)

// warmTimes are the times of calls with one in flight.
type warmTimes struct{ jsd, baseline []time.Duration }

func (b *bench) warmSteps() []step {
	return []step{
		func(ctx context.Context, p plan, r *round) (err error) {
			r.warm.jsd, err = b.spare.oneByOne(ctx, plain, warmTenant, p.calls)
			return err
		},
		func(ctx context.Context, p plan, r *round) (err error) {
			r.warm.baseline, err = b.baseline.oneByOne(ctx, plain, warmTenant, p.calls)
			return err
		},
	}
}

func warmJSD(r *round) []time.Duration      { return r.warm.jsd }
func warmBaseline(r *round) []time.Duration { return r.warm.baseline }

func warmFigures(rounds []round) []figure {
	jsd, base := collect(rounds, warmJSD), collect(rounds, warmBaseline)
	return []figure{
		against(base, jsd, 0.5, figure{name: "warm call, one at a time, median", least: atMost(0.55), try: atMost(0.4)}),
		against(base, jsd, 0.99, figure{name: "warm call, one at a time, p99", least: atMost(1.3)}),
	}
}

// against completes a figure that compares a quantile of times with that of baseline (a).
func against(baseline, jsd []time.Duration, q float64, f figure) figure {
	f.unit, f.against = milliseconds, "(a)"
	f.value, f.baseline = seconds(quantile(jsd, q)), seconds(quantile(baseline, q))
	return f
}
