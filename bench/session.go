package main

import (
	"context"
	"fmt"
	"time"
)

const sessionTenant = "session"

// sessionRates are calls a second in an open session.
type sessionRates struct{ single, many float64 }

// openSession opens a session for all rounds, and warms it up.
func (b *bench) openSession(ctx context.Context, p plan) error {
	r, err := b.spare.request(ctx, "runtime.open", fmt.Sprintf(
		`{"code":"function run(cb){ cb(a + 1) }","globals":{"a":1},"tenant":%q}`, sessionTenant))
	if err != nil {
		return err
	}
	b.session = script{name: "session", params: fmt.Sprintf(`{"session":%q,"call":"run"`, r.session)}
	_, err = b.spare.oneByOne(ctx, b.session, "", p.session)
	return err
}

func (b *bench) sessionSteps() []step {
	return []step{
		func(ctx context.Context, p plan, r *round) error {
			began := time.Now()
			_, err := b.spare.oneByOne(ctx, b.session, "", p.session)
			r.session.single = float64(p.session) / time.Since(began).Seconds()
			return err
		},
		func(ctx context.Context, p plan, r *round) (err error) {
			r.session.many, err = b.spare.flood(ctx, b.session, "", 4*p.session, inFlight)
			return err
		},
	}
}

func sessionFigures(rounds []round) []figure {
	return []figure{
		{name: "calls in a session, one at a time", unit: perSecond, least: atLeast(2000), try: atLeast(4000),
			value: middle(rounds, func(r *round) float64 { return r.session.single })},
		{name: fmt.Sprintf("calls in a session, %d in flight", inFlight), unit: perSecond, least: atLeast(8000), try: atLeast(15000),
			value: middle(rounds, func(r *round) float64 { return r.session.many })},
	}
}
