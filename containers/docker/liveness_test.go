package docker

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/containers"
)

// openHasty gives a container whose agent has a patience that tests can wait for.
func openHasty(t *testing.T, p containers.Process, l containers.Liveness) *containers.Container {
	t.Helper()
	bounds := limits
	bounds.Concurrency = 8
	bounds.Liveness = l
	c, err := containers.Open(t.Context(), p, bounds, zerolog.New(zerolog.NewTestWriter(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestPausedContainerIsGivenUp(t *testing.T) {
	d, engine := needDriver(t)
	patience := containers.Liveness{
		Interval: 100 * time.Millisecond, Patience: 100 * time.Millisecond, Window: 500 * time.Millisecond, Silence: time.Hour,
	}
	for name, calls := range map[string]int{"idle": 0, "under calls": 2} {
		t.Run(name, func(t *testing.T) {
			p := start(t, d)
			c := openHasty(t, p, patience)
			begun := make(begun, calls)
			answers := make(chan error, calls)
			for range calls {
				go func() {
					_, err := c.Execute(t.Context(), call.Call{
						Script: []byte(`{"code":"console.log(1); for (;;);"}`), Timeout: time.Hour, CPU: time.Hour, Stream: true, Client: begun,
					})
					answers <- err
				}()
			}
			for range calls {
				<-begun
			}
			freeze(t, engine, p.ID())
			select {
			case <-c.Done():
			case <-time.After(30 * time.Second):
				t.Fatal("the container was not given up")
			}
			var lost *call.LostError
			for range calls {
				if err := <-answers; !errors.As(err, &lost) || !lost.Started || !errors.Is(err, containers.ErrSilent) {
					t.Errorf("got %v", err)
				}
			}
			if _, err := c.Execute(t.Context(), call.Call{}); !errors.Is(err, containers.ErrSilent) {
				t.Errorf("a later call got %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := engine.ContainerInspect(t.Context(), p.ID(), client.ContainerInspectOptions{}); !errdefs.IsNotFound(err) {
				t.Errorf("after the end the engine says %v", err)
			}
		})
	}
}

// With so little processor time an agent beside endless loops says nothing for many intervals.
func TestThrottledContainerIsNotGivenUp(t *testing.T) {
	d, engine := needDriver(t)
	p := start(t, d)
	spy := &meterSpy{Process: p, meter: p.(containers.Meter)}
	c := openHasty(t, spy, containers.Liveness{
		Interval: 10 * time.Millisecond, Patience: 10 * time.Millisecond, Window: 110 * time.Millisecond, Silence: time.Minute,
	})
	const calls = 6
	throttle := func(cpus float64) {
		t.Helper()
		resources := &container.Resources{NanoCPUs: int64(cpus * 1e9)}
		if _, err := engine.ContainerUpdate(t.Context(), p.ID(), client.ContainerUpdateOptions{Resources: resources}); err != nil {
			t.Fatal(err)
		}
	}
	begun := make(begun, calls)
	answers := make(chan error, calls)
	for range calls {
		go func() {
			_, err := c.Execute(t.Context(), call.Call{
				Script: []byte(`{"code":"console.log(1); for (;;);"}`), Timeout: 5 * time.Second, CPU: time.Hour, Stream: true, Client: begun,
			})
			answers <- err
		}()
	}
	for range calls {
		<-begun
	}
	throttle(0.05)
	before := spy.looks.Load()
	for range calls {
		var failure *call.Failure
		if err := <-answers; !errors.As(err, &failure) || failure.Code != call.Timeout {
			t.Errorf("got %v", err)
		}
	}
	if looks := spy.looks.Load() - before; looks == 0 {
		t.Error("the agent always answered at once: nothing was tested")
	}
	throttle(1)
	if _, err := c.Execute(t.Context(), call.Call{Script: []byte(`{"code":"1"}`), Timeout: time.Minute, CPU: time.Minute}); err != nil {
		t.Error(err)
	}
}

func TestCPUOfAContainer(t *testing.T) {
	d, _ := needDriver(t)
	p := start(t, d)
	c := openHasty(t, p, containers.Liveness{})
	used := func() time.Duration {
		t.Helper()
		cpu, err := p.(containers.Meter).CPU(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return cpu
	}
	before := used()
	_, err := c.Execute(t.Context(), call.Call{Script: []byte(`{"code":"for (;;);"}`), Timeout: 20 * time.Second, CPU: 300 * time.Millisecond})
	var failure *call.Failure
	if !errors.As(err, &failure) || failure.Limit != "cpu" {
		t.Fatalf("got %v", err)
	}
	if after := used(); before <= 0 || after < before+300*time.Millisecond || after > before+3*time.Minute {
		t.Errorf("used %v, then %v", before, after)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if cpu, err := p.(containers.Meter).CPU(t.Context()); err == nil {
		t.Errorf("of a container that is gone: %v", cpu)
	}
}

// meterSpy counts how often it is asked.
type meterSpy struct {
	containers.Process
	meter containers.Meter
	looks atomic.Int64
}

func (s *meterSpy) CPU(ctx context.Context) (time.Duration, error) {
	s.looks.Add(1)
	return s.meter.CPU(ctx)
}

// begun is told when a script has printed something.
type begun chan string

func (b begun) Print(_, text string) { b <- text }

func (b begun) Callback(context.Context, string, json.RawMessage) (json.RawMessage, error) {
	return nil, errors.New("none")
}
