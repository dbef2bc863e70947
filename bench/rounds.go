package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	inFlight   = 64
	warmTenant = "warm"

	// refill is how long a spare container may take to be replaced. It passes before whatever would
	// meet that work otherwise.
	refill = 2 * time.Second
)

// A bench holds what is measured: a daemon with spare containers, one without, and the baselines.
type bench struct {
	servers               []*server
	clients               []*client
	spare, cold, baseline *client
	node, floor           string
	tenants               int // names used so far
}

func start(ctx context.Context, jsd, node, baselines string) (_ *bench, err error) {
	b := &bench{node: node, floor: filepath.Join(baselines, "floor.js")}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	// The instances keep their names, so that a run that was killed is swept by the next one.
	serve := func(instance string, more ...string) *exec.Cmd {
		return exec.Command(jsd, append([]string{"serve", "--driver", "docker", "--listen", "127.0.0.1:0",
			"--cpus", "2", "--instance", instance}, more...)...)
	}
	if b.spare, err = b.connect(ctx, "jsd", serve("bench-spare")); err != nil {
		return nil, err
	}
	if b.cold, err = b.connect(ctx, "jsd without spares",
		serve("bench-cold", "--spare", "0", "--min-containers", "0")); err != nil {
		return nil, err
	}
	b.baseline, err = b.connect(ctx, "baseline", exec.Command(node, filepath.Join(baselines, "baseline.js")))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// connect starts a server and a connection to it; close ends both.
func (b *bench) connect(ctx context.Context, name string, cmd *exec.Cmd) (*client, error) {
	server, err := startServer(ctx, name, cmd)
	if err != nil {
		return nil, err
	}
	b.servers = append(b.servers, server)
	client, err := dial(ctx, server.url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b.clients = append(b.clients, client)
	return client, nil
}

func (b *bench) close() {
	for _, client := range b.clients {
		client.close()
	}
	for _, server := range b.servers {
		server.stop()
	}
}

// A round holds what one round measured.
type round struct {
	jsd, baseline                []time.Duration // warm calls, 1 in flight
	jsdRate, baseRate, floorRate float64         // calls a second, 64 in flight
	floorProcesses               int
	spare, cold                  []time.Duration // first calls of new tenants
	steal                        float64
}

// rounds measures until there are as many unspoiled rounds as planned, or twice as many in all.
func (b *bench) rounds(ctx context.Context, p plan) (*figures, error) {
	for _, c := range []*client{b.spare, b.baseline} {
		if _, err := c.oneByOne(ctx, warmTenant, p.calls); err != nil {
			return nil, fmt.Errorf("warming up: %w", err)
		}
	}
	var good, bad []round
	for n := 0; len(good) < p.rounds && n < 2*p.rounds; n++ {
		r, err := b.round(ctx, p, n)
		if err != nil {
			return nil, err
		}
		if r.steal > spoiled {
			bad = append(bad, r)
		} else {
			good = append(good, r)
		}
		fmt.Fprintf(os.Stderr, "round %d: jsd %v, baseline %v, steal %.1f %%\n", n+1,
			median(r.jsd), median(r.baseline), 100*r.steal)
	}
	if len(good) == 0 {
		return newFigures(bad, 0), nil
	}
	return newFigures(good, len(bad)), nil
}

// round takes every figure once; every other round turns the order, so that no side always comes first.
func (b *bench) round(ctx context.Context, p plan, n int) (r round, err error) {
	before, err := readCPUTime()
	if err != nil {
		return r, err
	}
	steps := []func() error{
		func() (err error) { r.jsd, err = b.spare.oneByOne(ctx, warmTenant, p.calls); return err },
		func() (err error) { r.baseline, err = b.baseline.oneByOne(ctx, warmTenant, p.calls); return err },
		func() (err error) { r.jsdRate, err = b.spare.flood(ctx, warmTenant, p.flood, inFlight); return err },
		func() (err error) { r.baseRate, err = b.baseline.flood(ctx, warmTenant, p.flood, inFlight); return err },
		func() (err error) { r.floorRate, r.floorProcesses, err = b.runFloor(ctx, p.floor); return err },
	}
	if n%2 == 1 {
		slices.Reverse(steps)
	}
	steps = append(steps,
		func() (err error) { r.spare, err = b.newTenants(ctx, b.spare, p.tenants); return err },
		func() (err error) { r.cold, err = b.newTenants(ctx, b.cold, p.tenants); return err },
		func() error { return pause(ctx, refill) },
	)
	for _, step := range steps {
		if err := step(); err != nil {
			return r, err
		}
	}
	after, err := readCPUTime()
	if err != nil {
		return r, err
	}
	r.steal = after.stealSince(before)
	return r, nil
}

// newTenants makes the first calls of tenants that were never seen.
func (b *bench) newTenants(ctx context.Context, c *client, count int) ([]time.Duration, error) {
	var times []time.Duration
	for range count {
		if err := pause(ctx, refill); err != nil {
			return nil, err
		}
		b.tenants++
		took, err := c.call(ctx, "new-"+strconv.Itoa(b.tenants))
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	return times, nil
}

func (b *bench) runFloor(ctx context.Context, span time.Duration) (perSecond float64, processes int, err error) {
	cmd := exec.CommandContext(ctx, b.node, b.floor, strconv.FormatInt(span.Milliseconds(), 10))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	text, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("floor: %w", errors.Join(err, ctx.Err()))
	}
	var floor struct {
		Processes int     `json:"processes"`
		PerSecond float64 `json:"perSecond"`
	}
	if err := json.Unmarshal(text, &floor); err != nil {
		return 0, 0, fmt.Errorf("floor: %w", err)
	}
	return floor.PerSecond, floor.Processes, nil
}

func pause(ctx context.Context, span time.Duration) error {
	select {
	case <-time.After(span):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
