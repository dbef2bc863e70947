package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

// quantile is the smallest of the values that a share q (above 0) of them do not exceed.
func quantile[T cmp.Ordered](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}

// collect puts together what all rounds have of something.
func collect[T any](rounds []round, of func(*round) []T) (all []T) {
	for i := range rounds {
		all = append(all, of(&rounds[i])...)
	}
	return all
}

// middle is what the middle round has of something.
func middle(rounds []round, of func(*round) float64) float64 {
	return median(collect(rounds, func(r *round) []float64 { return []float64{of(r)} }))
}

// sum is what all rounds have of something together.
func sum(rounds []round, of func(*round) float64) (total float64) {
	for i := range rounds {
		total += of(&rounds[i])
	}
	return total
}

func seconds(d time.Duration) float64 { return d.Seconds() }
