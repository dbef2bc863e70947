package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A group is some of the tenants, by how hot they are.
type group int

const (
	hottest  group = iota // the first 10
	middle                // the next 1,000
	tail                  // the rest
	flooders              // the one that floods
	nobody                // whose spares are
	groups
)

func (g group) String() string {
	return [...]string{"hottest 10", "next 1,000", "tail", "flooding", "nobody"}[g]
}

func groupOf(rank int) group {
	switch {
	case rank == flooding:
		return flooders
	case rank < 10:
		return hottest
	case rank < 1010:
		return middle
	default:
		return tail
	}
}

// A result is what a simulation came to.
type result struct {
	calls  []*simCall // of the demand
	flood  []*simCall
	lasted time.Duration
	stats  Stats   // at the end
	seen   []Stats // now and then
	ended  [groups]map[string]int
}

func waitsOf(calls []*simCall) []time.Duration {
	waits := make([]time.Duration, len(calls))
	for i, c := range calls {
		waits[i] = c.wait()
	}
	slices.Sort(waits)
	return waits
}

// of are the calls of the groups, those of the flood too.
func (r *result) of(g ...group) []*simCall {
	return slices.DeleteFunc(slices.Concat(r.calls, r.flood), func(c *simCall) bool {
		return !slices.Contains(g, groupOf(c.tenant))
	})
}

// at is the value that the given part of them do not exceed, of waits in order.
func at(waits []time.Duration, part float64) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	return waits[min(int(part*float64(len(waits))), len(waits)-1)]
}

const heading = "  %-11s %8s %8s │ %9s %9s %9s │ %6s %6s %6s %6s %5s %6s │ %8s %6s %6s\n"

// table is a line for each group of tenants: its calls, how long they waited, what they met with in percent
// of them, and how containers of the group ended.
func (r *result) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, heading, "tenants", "active", "calls", "wait p50", "p99", "max",
		"warm", "spare", "start", "queue", "lost", "1006", "evicted", "sliced", "deaths")
	for g := hottest; g < groups; g++ {
		calls := r.of(g)
		if len(calls) == 0 && len(r.ended[g]) == 0 {
			continue
		}
		active := map[int]bool{}
		var met [founds]int
		for _, c := range calls {
			active[c.tenant] = true
			met[c.found]++
		}
		row := []any{g, len(active), len(calls)}
		waits := waitsOf(calls)
		for _, part := range []float64{0.5, 0.99, 1} {
			row = append(row, at(waits, part).Round(time.Millisecond))
		}
		for _, n := range met {
			row = append(row, percent(n, len(calls)))
		}
		row = append(row, r.ended[g][whyEvicted], r.ended[g][whySliced], r.ended[g][whyDied])
		b.WriteString(fmt.Sprintf(strings.ReplaceAll(heading, "%-11s", "%-11v"), texts(row)...))
	}
	st := r.stats
	fmt.Fprintf(&b, "  %v; starts %d, evictions %d, deaths %d, refused %d; in the mean %.1f spares, %.1f idle, %.1f busy\n",
		r.lasted.Round(time.Second), st.Starts, st.Evictions, st.Deaths, st.Refused, r.mean(func(st Stats) int { return st.Spare }),
		r.mean(func(st Stats) int { return st.Idle }), r.mean(func(st Stats) int { return st.Busy }))
	return b.String()
}

func (r *result) mean(of func(Stats) int) float64 {
	sum := 0
	for _, st := range r.seen {
		sum += of(st)
	}
	return float64(sum) / float64(len(r.seen))
}

func texts(row []any) []any {
	for i, v := range row {
		row[i] = fmt.Sprint(v)
	}
	return row
}

func percent(n, of int) string {
	if n == 0 || of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", 100*float64(n)/float64(of))
}

// changes are how much longer each call of the demand waited than the same call in another run, in order.
func (r *result) changes(from *result) []time.Duration {
	by := make([]time.Duration, len(r.calls))
	for i, c := range r.calls {
		by[i] = c.wait() - from.calls[i].wait()
	}
	slices.Sort(by)
	return by
}
