package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// rest is how long a container is left alone before its memory is read, for what it does in idle moments.
const rest = 5 * time.Second

// idleContainers says what memory the containers of idle tenants take: of new ones that made one call, and of the one
// that made all plain calls so far.
func (b *bench) idleContainers(ctx context.Context, p plan) ([]figure, error) {
	var fresh []container
	for range p.idle {
		c, err := b.containerOf(ctx, b.newName())
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, c)
	}
	used, err := b.containerOf(ctx, warmTenant)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, rest); err != nil {
		return nil, err
	}
	var memory []float64
	workers := 0
	for _, c := range fresh {
		bytes, err := c.memory()
		if err != nil {
			return nil, err
		}
		running, err := c.running("worker.js")
		if err != nil {
			return nil, err
		}
		memory, workers = append(memory, bytes), max(workers, len(running))
	}
	bytes, err := used.memory()
	if err != nil {
		return nil, err
	}
	if workers == 0 {
		return nil, errors.New("an idle container has no workers")
	}
	return []figure{
		{name: fmt.Sprintf("an idle tenant's container, %d workers", workers), unit: megabytes, value: median(memory),
			least: atMost(45e6), try: atMost(30e6)},
		{name: "the same behind all warm calls above", unit: megabytes, value: bytes},
	}, nil
}
