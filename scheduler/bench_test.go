package scheduler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jsd-project/jsd/call"
)

// idler is a container whose calls end at oneShot.
type idler struct{ done chan struct{} }

func (idler) ID() string              { return "idler" }
func (c idler) Done() <-chan struct{} { return c.done }
func (idler) Close() error            { return nil }
func (idler) Start(_ *call.Call, done call.Done) call.Running {
	done(call.Result{}, nil)
	return over{}
}
func (idler) OpenSession(_ *call.Call, done func(call.Session, call.Result, error)) call.Running {
	done(nil, call.Result{}, call.ErrNoSession)
	return over{}
}

func startIdler(context.Context, string) (Container, error) { return idler{make(chan struct{})}, nil }

func eachSize(b *testing.B, bench func(b *testing.B, tenants int)) {
	for _, tenants := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			b.ReportAllocs()
			bench(b, tenants)
		})
	}
}

func names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("tenant-", i)
	}
	return names
}

// BenchmarkWarmCall is a call of a random tenant among those that have a container.
func BenchmarkWarmCall(b *testing.B) {
	eachSize(b, func(b *testing.B, tenants int) {
		s := New(Config{Start: startIdler, Max: tenants, Starts: 8, Policy: all(Policy{IdleTimeout: time.Hour})})
		s.Open()
		defer s.Close(b.Context())
		names := names(tenants)
		run := func(name string) {
			s.Start(name, &nothing, func(_ call.Result, err error) {
				if err != nil {
					b.Error(err)
				}
			})
		}
		for _, name := range names {
			if _, err := execute(b.Context(), s, name, nothing); err != nil {
				b.Fatal(err)
			}
		}
		rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		i := 0
		for b.Loop() {
			run(names[i])
			if i++; i == len(names) {
				i = 0
			}
		}
	})
}

func ignore(call.Result, error) {}

// BenchmarkTurn is one place changing hands: a tenant's only call ends, its idle container gives
// way, the next one is given to the first of all waiting tenants, and the old one waits again.
func BenchmarkTurn(b *testing.B) {
	eachSize(b, func(b *testing.B, tenants int) {
		s := New(Config{Max: 1, QueueAll: tenants + 1, Policy: all(Policy{IdleTimeout: time.Hour})})
		s.alloc.state = open
		s.alloc.table.base.starting = 1 // no real starts: the loop plays the part of the container's goroutine
		for _, name := range names(tenants) {
			if _, err := s.alloc.enqueue(s.alloc.table.tenant(name, plain), request{done: ignore}); err != nil {
				b.Fatal(err)
			}
		}
		for b.Loop() {
			c := s.started(s.alloc.table.base, idler{}) // which runs the call
			name := c.tenant.name
			s.mu.Lock()
			c.place.remove()
			s.alloc.pool.closing--
			s.alloc.table.base.starting = 1
			_, err := s.alloc.enqueue(s.alloc.table.tenant(name, plain), request{done: ignore})
			s.mu.Unlock()
			if err != nil || s.alloc.table.base.waiting.length() != tenants || !c.draining {
				b.Fatalf("%v, %d in turns", err, s.alloc.table.base.waiting.length())
			}
		}
	})
}
