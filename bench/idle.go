package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idleTime is how long a container has no calls before its memory is read. Meanwhile it collects garbage.
const idleTime = 5 * time.Second

// idleContainers measures the memory of containers of idle tenants: of new tenants that made one call, and of the
// tenant that made all plain calls so far.
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
	if err := pause(ctx, idleTime); err != nil {
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
