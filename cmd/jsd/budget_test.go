package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/scheduler"
)

// A meter is a container, and a session in it, that notes the CPU budget of calls.
type meter struct {
	done chan struct{}
	seen []time.Duration
}

func (m *meter) ID() string            { return "meter" }
func (m *meter) Done() <-chan struct{} { return m.done }
func (m *meter) Execute(_ context.Context, call containers.Call) (containers.Result, error) {
	m.seen = append(m.seen, call.CPU)
	return containers.Result{}, nil
}

func (m *meter) OpenSession(ctx context.Context, call containers.Call) (containers.Session, error) {
	_, err := m.Execute(ctx, call)
	return meterSession{m}, err
}

func (m *meter) Close() error {
	close(m.done)
	return nil
}

type meterSession struct{ *meter }

func (meterSession) Close() {}

func TestEveryCallHasTheCPUBudget(t *testing.T) {
	tests := []struct{ flag, timeout, want time.Duration }{
		{0, 3 * time.Second, 3 * time.Second},
		{time.Second, 3 * time.Second, time.Second},
		{5 * time.Second, 3 * time.Second, 3 * time.Second},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v of %v", test.flag, test.timeout), func(t *testing.T) {
			m := &meter{done: make(chan struct{})}
			s := scheduler.New(scheduler.Config{Start: func(context.Context, string) (scheduler.Container, error) { return m, nil }})
			s.Open()
			b := budget{s, test.flag}
			call := containers.Call{Timeout: test.timeout}
			_, err := b.Run(t.Context(), "a", call)
			if err != nil {
				t.Fatal(err)
			}
			session, _, err := b.OpenSession(t.Context(), "a", call)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := session.Execute(t.Context(), call); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprint([]time.Duration{test.want, test.want, test.want}); fmt.Sprint(m.seen) != want {
				t.Errorf("run, opened and executed with %v, want %v", m.seen, want)
			}
		})
	}
}
