package main

import (
	"context"
	"fmt"
	"strings"
)

const (
	largeBytes    = 1 << 20
	largeInFlight = 4
)

// A largeRate is the rate of calls with a value of 1 MiB in and out, in calls a second, and the peaks of the daemon's
// memory in the first half of the calls and in the second.
type largeRate struct {
	calls       float64
	first, last float64
}

// texts returns scripts whose value is a global of 1 MiB of JSON: a string, and many small objects.
func texts() []script {
	text := `"` + strings.Repeat("x", largeBytes-2) + `"`
	var records strings.Builder
	records.WriteString("[")
	for n := 0; records.Len() < largeBytes-100; n++ {
		fmt.Fprintf(&records, `{"id":%d,"name":"customer","paid":true,"sum":12.5},`, n)
	}
	rest := largeBytes - records.Len() - len(`""]`)
	fmt.Fprintf(&records, `"%s"]`, strings.Repeat("x", rest))
	var all []script
	for i, value := range []string{text, records.String()} {
		all = append(all, script{
			name:   []string{"a string", "objects"}[i],
			tenant: fmt.Sprint("large-", i),
			params: fmt.Sprintf(`{"code":"function run(cb){ cb(data) }","globals":{"data":%s},"call":"run"`, value),
			value:  value,
		})
	}
	return all
}

func (b *bench) largeSteps() (steps []step) {
	for i, text := range b.texts {
		steps = append(steps, func(ctx context.Context, p plan, r *round) error {
			return b.measureLarge(ctx, p, text, &r.large[i])
		})
	}
	return steps
}

func (b *bench) measureLarge(ctx context.Context, p plan, text script, r *largeRate) error {
	daemon := b.spare.server.process()
	spent := 0.0 // seconds a call
	for _, peak := range []*float64{&r.first, &r.last} {
		if err := daemon.forgetPeak(); err != nil {
			return err
		}
		rate, err := b.spare.flood(ctx, text, text.tenant, p.large/2, largeInFlight)
		if err != nil {
			return err
		}
		spent += 1 / rate / 2
		if *peak, err = daemon.peak(); err != nil {
			return err
		}
	}
	r.calls = 1 / spent
	return nil
}

// largeGrowth bounds the second peak by the first. Memory is bounded if it is the same for twice as many calls. The
// moments at which garbage is collected vary, so some growth is allowed.
const largeGrowth = 1.25

func largeFigures(rounds []round) (figures []figure) {
	for i, text := range texts() {
		of := func(r *round) *largeRate { return &r.large[i] }
		name := fmt.Sprintf("1 MiB in and out, %s, %d in flight", text.name, largeInFlight)
		figures = append(figures,
			figure{name: name, unit: throughput, least: atLeast(40e6), try: atLeast(100e6),
				value: largeBytes * middle(rounds, func(r *round) float64 { return of(r).calls })},
			figure{name: "  daemon's peak of memory meanwhile", unit: megabytes, least: atMost(largeGrowth),
				value:    middle(rounds, func(r *round) float64 { return of(r).last }),
				against:  "first half",
				baseline: middle(rounds, func(r *round) float64 { return of(r).first })})
	}
	return figures
}
