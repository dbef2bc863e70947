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
)

// A driver starts containers of one kind. Class is the image of its own that a tenant has; "" stands for
// the one that all others share.
type driver struct {
	name    string
	start   func(ctx context.Context, class string) (containers.Process, error)
	classOf func(tenant string) string
	sweep   func(context.Context) (int, error)
	giveUp  func()       // ends waiting for an engine that removes nothing
	close   func() error // waits for what is still being removed, unless given up
}

// openDriver gives the driver that --driver names, or that auto comes to here.
func openDriver(ctx context.Context, c *serveCommand, log zerolog.Logger) (*driver, error) {
	images, err := c.tenantImages()
	if err != nil {
		return nil, err
	}
	switch c.Driver {
	case "docker":
		return openDocker(ctx, c, images, log)
	case "process":
		return openProcess(c, images, log)
	}
	d, err := openDocker(ctx, c, images, log)
	if err == nil || !errors.Is(err, docker.ErrNoEngine) {
		return d, err
	}
	if len(images) > 0 {
		return nil, fmt.Errorf("%w; %w", errTenantImageWithoutDocker, err)
	}
	if !c.unguardedLoopback() {
		return nil, fmt.Errorf("%w; start an engine, or choose --driver process, which isolates nothing", err)
	}
	log.Warn().Msg("no Docker engine answers: scripts run in plain processes, without isolation. For development only")
	return openProcess(c, nil, log)
}

func openDocker(ctx context.Context, c *serveCommand, images map[string]string, log zerolog.Logger) (*driver, error) {
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
	}, images)
	if err != nil {
		return nil, err
	}
	claim, err := claimInstance(drivers.shared.Engine(), c.Instance)
	if err != nil {
		return nil, errors.Join(err, drivers.close())
	}
	return &driver{
		name:  "docker",
		start: drivers.start, classOf: drivers.classOf, sweep: drivers.sweep, giveUp: drivers.giveUp,
		close: func() error { return errors.Join(drivers.close(), claim.Close()) },
	}, nil
}

func openProcess(c *serveCommand, images map[string]string, log zerolog.Logger) (*driver, error) {
	if len(images) > 0 {
		return nil, errTenantImageWithoutDocker
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
