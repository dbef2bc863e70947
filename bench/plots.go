package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// plot measures what only the plots need, and writes them.
func (b *bench) plot(ctx context.Context, s settings, rounds []round) error {
	rates, err := b.byWidth(ctx, s.work, rounds)
	if err != nil {
		return err
	}
	costs, err := byTenants(ctx)
	if err != nil {
		return err
	}
	for name, chart := range map[string]*chart{"latency": latencies(rounds), "throughput": rates, "tenants": costs} {
		if err := os.WriteFile(filepath.Join(s.plots, name+".svg"), []byte(chart.svg()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// latencies is the share of calls that are over by a time.
func latencies(rounds []round) *chart {
	c := &chart{title: "How long a warm call takes",
		x: axis{label: "ms until the answer is there", log: true},
		y: axis{label: "% of the calls", ticks: []float64{0, 25, 50, 75, 100}},
		series: []series{
			{"jsd, one at a time", "jsd", shares(collect(rounds, warmJSD))},
			{fmt.Sprintf("jsd, steady %d/s", steadyRate), "jsd dashed", shares(collect(rounds, steadyJSD))},
			{"(a), one at a time", "base", shares(collect(rounds, warmBaseline))},
			{fmt.Sprintf("(a), steady %d/s", steadyRate), "base dashed", shares(collect(rounds, steadyBaseline))},
		}}
	low, high := c.series[0].points[0].x, 0.0
	for _, s := range c.series {
		low, high = min(low, s.points[0].x), max(high, s.points[len(s.points)-1].x)
	}
	c.x.ticks = logTicks(low, high)
	return c
}

// shares are the points of a distribution: ms, and the percentage of the times that are no longer. The slowest in
// a thousand are left out.
func shares(took []time.Duration) (points []point) {
	for percent := 0.5; percent < 100; percent += 0.5 {
		points = append(points, point{1e3 * seconds(quantile(took, percent/100)), percent})
	}
	return append(points, point{1e3 * seconds(quantile(took, 0.999)), 99.9})
}

// byWidth is how many calls a second are answered with so many in flight.
func (b *bench) byWidth(ctx context.Context, p plan, rounds []round) (*chart, error) {
	const widest = 256
	c := &chart{title: "Warm calls of one tenant", x: axis{label: "calls in flight", log: true}, y: axis{label: "calls a second"}}
	jsd, base, floor := series{name: "jsd", look: "jsd"}, series{name: "(a) one Node process", look: "base"},
		series{name: "(b) floor, no socket", look: "floor dashed"}
	top := middle(rounds, floorRate)
	for width := 1; width <= widest; width *= 2 {
		c.x.ticks = append(c.x.ticks, float64(width))
		rate, err := b.rateAt(ctx, p, width)
		if err != nil {
			return nil, err
		}
		jsd.points = append(jsd.points, point{float64(width), rate.jsd})
		base.points = append(base.points, point{float64(width), rate.baseline})
		floor.points = append(floor.points, point{float64(width), middle(rounds, floorRate)})
		top = max(top, rate.jsd, rate.baseline)
	}
	c.y.ticks = evenTicks(top)
	c.series = []series{jsd, base, floor}
	return c, nil
}

// rateAt is the middle of several passes, each with both sides.
func (b *bench) rateAt(ctx context.Context, p plan, width int) (floods, error) {
	var jsd, base []float64
	for range p.passes {
		for _, side := range []struct {
			to    *peer
			rates *[]float64
		}{{b.spare, &jsd}, {b.baseline, &base}} {
			rate, err := side.to.flood(ctx, plain, warmTenant, p.calls+2*width, width)
			if err != nil {
				return floods{}, err
			}
			*side.rates = append(*side.rates, rate)
		}
	}
	return floods{jsd: median(jsd), baseline: median(base)}, nil
}

// byTenants is the cost of a decision of the scheduler's by how many tenants have a container.
func byTenants(ctx context.Context) (*chart, error) {
	c := &chart{title: "What a call costs in the scheduler", x: axis{label: "tenants with a container", log: true},
		y: axis{label: "µs a call"}}
	ten, all := series{name: "ten of them call", look: "jsd"}, series{name: "all of them call", look: "jsd dashed"}
	top := 0.0
	for tenants := 10; tenants <= 100_000; tenants *= 10 {
		c.x.ticks = append(c.x.ticks, float64(tenants))
		for _, who := range []struct {
			callers int
			line    *series
		}{{10, &ten}, {tenants, &all}} {
			cost, err := decide(ctx, tenants, who.callers)
			if err != nil {
				return nil, err
			}
			who.line.points = append(who.line.points, point{float64(tenants), 1e6 * cost})
			top = max(top, 1e6*cost)
		}
	}
	c.y.ticks = evenTicks(top)
	c.series = []series{ten, all}
	return c, nil
}
