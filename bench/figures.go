package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// The figures are what all rounds came to.
type figures struct {
	jsd, baseline, spare, cold   []time.Duration // of all rounds together
	jsdRate, baseRate, floorRate float64         // of the middle round
	floorProcesses               int
	kinds                        []kindTimes // of all rounds together
	rounds, repeated             int
	steal                        float64 // of the worst round
}

func newFigures(rounds []round, repeated int) *figures {
	f := &figures{rounds: len(rounds), repeated: repeated, floorProcesses: rounds[0].floorProcesses,
		kinds: make([]kindTimes, len(rounds[0].kinds))}
	var jsd, base, floor []float64
	for _, r := range rounds {
		f.jsd = append(f.jsd, r.jsd...)
		f.baseline = append(f.baseline, r.baseline...)
		f.spare = append(f.spare, r.spare...)
		f.cold = append(f.cold, r.cold...)
		for i, times := range r.kinds {
			f.kinds[i].warm = append(f.kinds[i].warm, times.warm...)
			f.kinds[i].spare = append(f.kinds[i].spare, times.spare...)
		}
		jsd, base, floor = append(jsd, r.jsdRate), append(base, r.baseRate), append(floor, r.floorRate)
		f.steal = max(f.steal, r.steal)
	}
	f.jsdRate, f.baseRate, f.floorRate = median(jsd), median(base), median(floor)
	return f
}

func median[T time.Duration | float64](values []T) T { return quantile(values, 0.5) }

// quantile is the smallest of the values that a share q (above 0) of them do not exceed.
func quantile[T time.Duration | float64](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}

// floorTime is what one run costs where nothing else is done: one process has 1/processes of the rate.
func (f *figures) floorTime() time.Duration {
	return time.Duration(float64(f.floorProcesses) / f.floorRate * float64(time.Second))
}

const (
	warmTarget  = 5 * time.Millisecond
	spareTarget = 50 * time.Millisecond
)

// print writes the tables; kinds are the scripts that were set against the plain one.
func (f *figures) print(w io.Writer, kinds []script) {
	f.printBaselines(w)
	fmt.Fprintln(w)
	f.printKinds(w, kinds)
	fmt.Fprintf(w, "\nClient, daemon, containers and baselines share the cores. In the upper table new tenants are set\n"+
		"against a warm call of (a); times against one run of (b). %d rounds, steal at most %.1f %%", f.rounds, 100*f.steal)
	if f.repeated > 0 {
		fmt.Fprintf(w, ", %d spoiled by steal and repeated", f.repeated)
	}
	if f.steal > spoiled {
		fmt.Fprint(w, ": SPOILED, do not quote these figures")
	}
	fmt.Fprintln(w, ".")
}

func (f *figures) printBaselines(w io.Writer) {
	base, floor := median(f.baseline), f.floorTime()
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	line := func(format string, values ...any) { fmt.Fprintf(table, format+"\n", values...) }
	span := func(name string, took, of time.Duration, target string) {
		line("%s\t%s\t%.2f\t%.2f\t%s", name, inMilliseconds(took), ratio(took, of), ratio(took, floor), target)
	}
	line("\tjsd\tto (a)\tto (b)\ttarget")
	span("warm call, 1 in flight, median", median(f.jsd), base, judge(median(f.jsd), warmTarget))
	span("warm call, 1 in flight, p99", quantile(f.jsd, 0.99), quantile(f.baseline, 0.99), "")
	line("warm calls, %d in flight\t%.0f/s\t%.2f\t%.2f\t", inFlight, f.jsdRate, f.jsdRate/f.baseRate, f.jsdRate/f.floorRate)
	span("new tenant with a spare, median", median(f.spare), base, judge(median(f.spare), spareTarget))
	span("new tenant without, median", median(f.cold), base, "")
	line("\t\t\t\t")
	line("(a) one Node process: median\t%s\t\t\t", inMilliseconds(base))
	line("(a) p99\t%s\t\t\t", inMilliseconds(quantile(f.baseline, 0.99)))
	line("(a) %d in flight\t%.0f/s\t\t\t", inFlight, f.baseRate)
	line("(b) floor, %d processes\t%.0f/s\t\t\t", f.floorProcesses, f.floorRate)
	line("(b) one run\t%s\t\t\t", inMilliseconds(floor))
	_ = table.Flush()
}

// printKinds sets warm calls against plain warm ones, and new tenants against plain new ones.
func (f *figures) printKinds(w io.Writer, kinds []script) {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	warm, spare := median(f.jsd), median(f.spare)
	line := func(name string, times kindTimes) {
		fmt.Fprintf(table, "%s\t%s\t%.2f\t%s\t%.2f\n", name, inMilliseconds(median(times.warm)), ratio(median(times.warm), warm),
			inMilliseconds(median(times.spare)), ratio(median(times.spare), spare))
	}
	fmt.Fprintln(table, "median of a call, 1 in flight\twarm\tto plain\tnew tenant with a spare\tto plain")
	line(plain.name, kindTimes{warm: f.jsd, spare: f.spare})
	for i, kind := range kinds {
		line(kind.name, f.kinds[i])
	}
	_ = table.Flush()
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func inMilliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

func judge(took, target time.Duration) string {
	if took < target {
		return fmt.Sprintf("< %v: met", target)
	}
	return fmt.Sprintf("< %v: MISSED", target)
}
