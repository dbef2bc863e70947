package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

const (
	longTenant  = "long"
	longSamples = 100

	// Memory goes up and down with garbage. Memory that grows with each call would be far above this in the end.
	noGrowth = 1.05

	longEnough = 50_000 // calls; with fewer, the second tenth is still part of the warm-up, and there is no target
)

// A footprint has the memory of a process or container over a long run, one sample for each hundredth of the run.
type footprint struct {
	name    string
	read    func() (float64, error)
	samples []float64
}

// longRun measures memory over many calls of one tenant.
func (b *bench) longRun(ctx context.Context, p plan) ([]figure, error) {
	watched, err := b.longWatched(ctx)
	if err != nil {
		return nil, err
	}
	calls := max(p.long/longSamples, 1)
	for n := range longSamples {
		if _, err := b.spare.flood(ctx, plain, longTenant, calls, inFlight); err != nil {
			return nil, err
		}
		for _, w := range watched {
			sample, err := w.read()
			if err != nil {
				return nil, fmt.Errorf("memory of %s: %w", w.name, err)
			}
			w.samples = append(w.samples, sample)
		}
		if (n+1)%(longSamples/10) == 0 {
			fmt.Fprintf(os.Stderr, "%d calls of one tenant\n", (n+1)*calls)
		}
	}
	var figures []figure
	for _, w := range watched {
		figures = append(figures, w.figure(longSamples*calls))
	}
	return figures, nil
}

func (b *bench) longWatched(ctx context.Context) ([]*footprint, error) {
	inside, err := b.containerOf(ctx, longTenant)
	if err != nil {
		return nil, err
	}
	agents, err := inside.running("agent.js")
	if err != nil {
		return nil, err
	}
	if len(agents) != 1 {
		return nil, errors.New("a container does not have one agent")
	}
	return []*footprint{
		{name: "jsd", read: b.spare.server.process().resident},
		{name: "agent", read: agents[0].resident},
		{name: "container, with its workers", read: inside.memory},
	}, nil
}

// figure compares the last tenth with the second one. The first tenth is the warm-up.
func (w *footprint) figure(calls int) figure {
	tenth := len(w.samples) / 10
	f := figure{name: fmt.Sprintf("%d calls of one tenant: %s", calls, w.name), unit: megabytes,
		value:   median(w.samples[len(w.samples)-tenth:]),
		against: "after 10 %", baseline: median(w.samples[tenth : 2*tenth])}
	if calls >= longEnough {
		f.least = atMost(noGrowth)
	}
	return f
}
