package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A plot is the numbers of a picture: a column for its x axis or y axis, and one for each line. scripts/plots draws it.
type plot struct {
	columns []string
	rows    [][]float64
}

// plot measures the values that only the plots need, and writes a file of comma-separated values for each plot.
func (b *bench) plot(ctx context.Context, s settings, rounds []round) error {
	rates, err := b.byWidth(ctx, s.work, rounds)
	if err != nil {
		return err
	}
	costs, err := byTenants(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.plots, 0o755); err != nil {
		return err
	}
	for name, p := range map[string]plot{"latency": latencies(rounds), "throughput": rates, "tenants": costs} {
		if err := p.write(filepath.Join(s.plots, name+".csv")); err != nil {
			return err
		}
	}
	return nil
}

func (p plot) write(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	w := csv.NewWriter(file)
	if err := w.Write(p.columns); err != nil {
		return err
	}
	for _, row := range p.rows {
		texts := make([]string, len(row))
		for i, value := range row {
			texts[i] = strconv.FormatFloat(value, 'g', 6, 64)
		}
		if err := w.Write(texts); err != nil {
			return err
		}
	}
	if w.Flush(); w.Error() != nil {
		return w.Error()
	}
	return file.Close()
}

// latencies has the time in ms within which a percentage of the calls is answered. The slowest call of a thousand is
// left out.
func latencies(rounds []round) plot {
	steady := fmt.Sprintf("steady %d/s", steadyRate)
	p := plot{columns: []string{"% of the calls", "jsd: one at a time", "jsd: " + steady, "(a): one at a time", "(a): " + steady}}
	var lines [][]time.Duration
	for _, of := range []func(*round) []time.Duration{warmJSD, steadyJSD, warmBaseline, steadyBaseline} {
		lines = append(lines, collect(rounds, of))
	}
	for _, share := range shares() {
		row := []float64{100 * share}
		for _, took := range lines {
			row = append(row, 1e3*seconds(quantile(took, share)))
		}
		p.rows = append(p.rows, row)
	}
	return p
}

func shares() (all []float64) {
	for n := 1; n < 200; n++ {
		all = append(all, float64(n)/200)
	}
	return append(all, 0.999)
}

// byWidth has the calls a second that are answered, by the number of calls in flight.
func (b *bench) byWidth(ctx context.Context, work plan, rounds []round) (plot, error) {
	const widest = 256
	p := plot{columns: []string{"calls in flight", "jsd", "(a) one Node process", "(b) floor without a socket"}}
	for width := 1; width <= widest; width *= 2 {
		rate, err := b.rateAt(ctx, work, width)
		if err != nil {
			return p, err
		}
		p.rows = append(p.rows, []float64{float64(width), rate.jsd, rate.baseline, middle(rounds, floorRate)})
	}
	return p, nil
}

// rateAt returns the medians of several passes. Each pass measures both sides.
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

// byTenants has the time in µs that the scheduler takes for a call, by the number of tenants that have a container.
func byTenants(ctx context.Context) (plot, error) {
	p := plot{columns: []string{"tenants with a container", "ten of them call", "all of them call"}}
	for tenants := 10; tenants <= 100_000; tenants *= 10 {
		row := []float64{float64(tenants)}
		for _, callers := range []int{10, tenants} {
			cost, err := decide(ctx, tenants, callers)
			if err != nil {
				return p, err
			}
			row = append(row, 1e6*cost)
		}
		p.rows = append(p.rows, row)
	}
	return p, nil
}
