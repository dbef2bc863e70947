package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// kindTimes are the times of a script that is compared with the plain one: of warm calls, and of the first calls of
// new tenants with a spare container.
type kindTimes struct{ warm, spare []time.Duration }

func (b *bench) kindSteps() (steps []step) {
	for i, kind := range b.kinds {
		steps = append(steps, func(ctx context.Context, p plan, r *round) (err error) {
			r.kinds[i].warm, err = b.spare.oneByOne(ctx, kind, kind.tenant, p.kindCalls)
			return err
		})
	}
	return steps
}

// printKinds prints the scripts, with their ratios to the plain one.
func printKinds(w io.Writer, kinds []script, rounds []round) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	warm := median(collect(rounds, warmJSD))
	spare := median(collect(rounds, func(r *round) []time.Duration { return r.tenants.spare }))
	line := func(name string, ofWarm, ofSpare time.Duration) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", name, milliseconds.show(seconds(ofWarm)), times.show(seconds(ofWarm)/seconds(warm)),
			milliseconds.show(seconds(ofSpare)), times.show(seconds(ofSpare)/seconds(spare)))
	}
	fmt.Fprintln(table, "median of a call, one at a time\twarm\tto plain\tnew tenant with a spare\tto plain")
	line(plain.name, warm, spare)
	for i, kind := range kinds {
		line(kind.name, median(collect(rounds, func(r *round) []time.Duration { return r.kinds[i].warm })),
			median(collect(rounds, func(r *round) []time.Duration { return r.kinds[i].spare })))
	}
	_ = table.Flush()
}
