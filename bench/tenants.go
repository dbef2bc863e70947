package main

import (
	"context"
	"strconv"
	"time"
)

// tenantTimes are the times of the first calls of new tenants, and of docker run with an empty script.
type tenantTimes struct{ spare, cold, run []time.Duration }

// newTenants makes first calls of new tenants, with each script in turn.
func (b *bench) newTenants(ctx context.Context, p plan, r *round) error {
	for n := range p.tenants {
		if err := b.newTenant(ctx, b.spare, plain, &r.tenants.spare); err != nil {
			return err
		}
		cold := func() error { return b.newTenant(ctx, b.cold, plain, &r.tenants.cold) }
		run := func() error { return b.dockerRun(ctx, &r.tenants.run) }
		if n%2 == 1 {
			cold, run = run, cold
		}
		for _, start := range []func() error{cold, run} {
			if err := start(); err != nil {
				return err
			}
		}
		if n >= p.kindTenants {
			continue
		}
		for i, kind := range b.kinds {
			if err := b.newTenant(ctx, b.spare, kind, &r.kinds[i].spare); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) newTenant(ctx context.Context, to *peer, s script, took *[]time.Duration) error {
	tenant := b.newName()
	if err := to.put(ctx, &s, tenant); err != nil {
		return err
	}
	if err := pause(ctx, refill); err != nil {
		return err
	}
	one, err := to.call(ctx, s, tenant)
	if err != nil {
		return err
	}
	*took = append(*took, one)
	return nil
}

func (b *bench) newName() string {
	b.tenants++
	return "new-" + strconv.Itoa(b.tenants)
}

// dockerRun measures baseline (c).
func (b *bench) dockerRun(ctx context.Context, took *[]time.Duration) error {
	if err := pause(ctx, refill); err != nil {
		return err
	}
	began := time.Now()
	_, err := docker(ctx, "run", "--rm", "--network", "none", "--entrypoint", "node", b.image, "-e", "")
	*took = append(*took, time.Since(began))
	return err
}

func tenantFigures(rounds []round) []figure {
	spare := collect(rounds, func(r *round) []time.Duration { return r.tenants.spare })
	cold := collect(rounds, func(r *round) []time.Duration { return r.tenants.cold })
	run := collect(rounds, func(r *round) []time.Duration { return r.tenants.run })
	return []figure{
		{name: "new tenant with a spare, median", unit: milliseconds, least: atMost(5e-3), try: atMost(3e-3),
			value: seconds(median(spare))},
		{name: "new tenant with none, median", unit: milliseconds, least: atMost(1.25), try: atMost(1.1),
			value: seconds(median(cold)), against: "(c)", baseline: seconds(median(run))},
	}
}
