package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

// quantile returns the smallest value that a share q of the values does not exceed. q is above 0.
func quantile[T cmp.Ordered](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}

// collect returns the values of all rounds.
func collect[T any](rounds []round, of func(*round) []T) (all []T) {
	for i := range rounds {
		all = append(all, of(&rounds[i])...)
	}
	return all
}

// middle returns the median of the rounds' values.
func middle(rounds []round, of func(*round) float64) float64 {
	return median(collect(rounds, func(r *round) []float64 { return []float64{of(r)} }))
}

// sum returns the sum of the rounds' values.
func sum(rounds []round, of func(*round) float64) (total float64) {
	for i := range rounds {
		total += of(&rounds[i])
	}
	return total
}

func seconds(d time.Duration) float64 { return d.Seconds() }
