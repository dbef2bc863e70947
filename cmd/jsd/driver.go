package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd"
	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/containers/process"
	"github.com/jsd-project/jsd/tenants"
)

// A driver starts containers of one kind. Class is the image of its own that a tenant has; "" stands for
// the one that all others share.
type driver struct {
	name    string
	start   func(ctx context.Context, class string) (containers.Process, error)
	classOf func(tenant string) string
	sweep   func(context.Context) (int, error)
	close   func() error
}

// openDriver gives the driver that --driver names, or that auto comes to here.
func openDriver(ctx context.Context, c *serveCommand, policies *tenants.Policies, log zerolog.Logger) (*driver, error) {
	switch c.Driver {
	case "docker":
		return openDocker(ctx, c, policies, log)
	case "process":
		return openProcess(ctx, c, policies, log)
	}
	d, err := openDocker(ctx, c, policies, log)
	if err == nil || !errors.Is(err, docker.ErrNoEngine) {
		return d, err
	}
	if !c.unguardedLoopback() {
		return nil, fmt.Errorf("%w; start an engine, or choose --driver process, which isolates nothing", err)
	}
	d, processErr := openProcess(ctx, c, policies, log)
	if errors.Is(processErr, errImageWithoutDocker) {
		return nil, fmt.Errorf("%w; %w", processErr, err)
	}
	if processErr != nil {
		return nil, processErr
	}
	log.Warn().Msg("no Docker engine answers: scripts run in plain processes, without isolation. For development only")
	return d, nil
}

func openDocker(ctx context.Context, c *serveCommand, policies *tenants.Policies, log zerolog.Logger) (*driver, error) {
	// Only the default image is jsd's to make; another one is what its owner says.
	if c.Image == docker.DefaultImage {
		build := docker.Build{Tag: c.Image, Files: jsd.Runtime, Progress: os.Stderr}
		if _, err := docker.EnsureImage(ctx, build); err != nil {
			return nil, err
		}
	}
	drivers, err := newImageDrivers(ctx, docker.Config{
		Image: c.Image, Runtime: c.Runtime, Instance: c.Instance,
		Memory: c.Memory, CPUs: c.CPUs, PIDs: c.PIDs, Tmp: c.Tmp, Log: log,
	}, policies)
	if err != nil {
		return nil, err
	}
	return &driver{name: "docker", start: drivers.start, classOf: drivers.classOf, sweep: drivers.sweep, close: drivers.close}, nil
}

// errImageWithoutDocker is what a policy gets that asks plain processes for what only containers have.
var errImageWithoutDocker = errors.New("needs the docker driver: plain processes have none")

func openProcess(ctx context.Context, c *serveCommand, policies *tenants.Policies, log zerolog.Logger) (*driver, error) {
	err := policies.Require(ctx, func(_ context.Context, p *tenants.Policy) error {
		switch {
		case p.Image != c.Image:
			return fmt.Errorf("image %s %w", p.Image, errImageWithoutDocker)
		case p.Runtime != c.Runtime:
			return fmt.Errorf("runtime %s %w", p.Runtime, errImageWithoutDocker)
		default:
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	agent, err := fs.Sub(jsd.Runtime, "node-agent")
	if err != nil {
		return nil, err
	}
	d, err := process.New(process.Config{Node: c.Node, Agent: agent, Packages: c.Packages, Log: log})
	if err != nil {
		return nil, err
	}
	// Processes end with the daemon that started them: nothing is left to sweep.
	sweep := func(context.Context) (int, error) { return 0, nil }
	return &driver{
		name:    "process",
		start:   func(ctx context.Context, _ string) (containers.Process, error) { return d.Start(ctx) },
		classOf: func(string) string { return "" },
		sweep:   sweep, close: d.Close,
	}, nil
}
