package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/scheduler"
)

// An answerer is a container whose calls end at once. So the time of a call is that of the scheduler.
type answerer struct{ done chan struct{} }

func (answerer) ID() string              { return "answerer" }
func (a answerer) Done() <-chan struct{} { return a.done }
func (answerer) Close() error            { return nil }
func (answerer) Cancel()                 {}
func (answerer) Start(_ *call.Call, done call.Done) call.Running {
	done(call.Result{}, nil)
	return answerer{}
}
func (answerer) OpenSession(_ *call.Call, done func(call.Session, call.Result, error)) call.Running {
	done(nil, call.Result{}, call.ErrNoSession)
	return answerer{}
}

const (
	stretch   = 1 << 11 // calls that are timed together
	stretches = 32
)

// execute makes a call and waits for its end.
func execute(s *scheduler.Scheduler, tenant string) error {
	ended := make(chan error, 1)
	s.Start(tenant, &call.Call{}, func(_ call.Result, err error) { ended <- err })
	return <-ended
}

// decide returns the seconds that the scheduler takes for a call. tenants is the number of tenants with a container,
// and callers the number of those that make calls. The result is the median of many short stretches: most of them end
// before another process gets the processor.
func decide(ctx context.Context, tenants, callers int) (cost float64, err error) {
	s := scheduler.New(scheduler.Config{
		Start:  func(context.Context, string) (scheduler.Container, error) { return answerer{make(chan struct{})}, nil },
		Max:    tenants,
		Starts: 8,
		Policy: func(string) scheduler.Policy { return scheduler.Policy{IdleTimeout: time.Hour} },
	})
	s.Open()
	defer s.Close(ctx)
	names := make([]string, tenants)
	for i := range names {
		names[i] = fmt.Sprint("tenant-", i)
		if err := execute(s, names[i]); err != nil {
			return 0, err
		}
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:min(callers, tenants)]
	var took []float64
	for range stretches {
		began := time.Now()
		for range stretch {
			if err := execute(s, names[rand.IntN(len(names))]); err != nil {
				return 0, err
			}
		}
		took = append(took, seconds(time.Since(began))/stretch)
	}
	return median(took), nil
}
