package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A cost is what the daemon's own process spent on calls.
type cost struct {
	calls, allocations float64
	cpu                time.Duration
}

// costOf measures what the daemon spends while work makes calls. Reading the number of allocations allocates, too. So
// costOf reads it twice before the work, and subtracts the difference.
func (b *bench) costOf(ctx context.Context, c *cost, calls int, work func() error) error {
	var read [3]float64
	for i := range 2 {
		var err error
		if read[i], err = b.allocations(ctx); err != nil {
			return err
		}
	}
	daemon := b.spare.server.process()
	before, err := daemon.cpu()
	if err != nil {
		return err
	}
	if err := work(); err != nil {
		return err
	}
	after, err := daemon.cpu()
	if err != nil {
		return err
	}
	if read[2], err = b.allocations(ctx); err != nil {
		return err
	}
	*c = cost{calls: float64(calls), cpu: after - before, allocations: (read[2] - read[1]) - (read[1] - read[0])}
	return nil
}

func costFigures(rounds []round) []figure {
	calls := sum(rounds, func(r *round) float64 { return r.flood.cost.calls })
	return []figure{
		{name: "daemon's own CPU per call", unit: microseconds, least: atMost(150e-6), try: atMost(80e-6),
			value: sum(rounds, func(r *round) float64 { return seconds(r.flood.cost.cpu) }) / calls},
		{name: "daemon's own allocations per call", unit: count, least: atMost(60), try: atMost(30),
			value: sum(rounds, func(r *round) float64 { return r.flood.cost.allocations }) / calls},
	}
}

// allocations returns the number of allocations of the daemon since its start.
func (b *bench) allocations(ctx context.Context) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.spare.server.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return metric(response.Body, "go_memstats_mallocs_total")
}

// metric returns the value of a metric without labels.
func metric(text io.Reader, name string) (float64, error) {
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, errors.Join(fmt.Errorf("no %s among the metrics", name), lines.Err())
}
