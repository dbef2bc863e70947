package daemon

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

// A driver starts containers of one kind. What plain processes have nothing like is left out of a spec.
type driver struct {
	name        string
	start       func(context.Context, docker.Spec) (containers.Process, error)
	check       func(context.Context, docker.Spec) (imageID string, err error)      // whether it can start these
	imageID     func(ctx context.Context, image string) (imageID string, err error) // nil: there are no images
	sweep       func(context.Context) (int, error)
	stopWaiting func()       // ends waiting for an engine that removes nothing
	close       func() error // waits for what is still being removed, unless given up
}

// openDriver gives the driver that --driver names, or that auto comes to here.
func openDriver(ctx context.Context, c *Settings, log zerolog.Logger) (*driver, error) {
	switch c.Driver {
	case "docker":
		d, err := openDocker(ctx, c, log)
		if errors.Is(err, docker.ErrNoEngine) {
			return nil, needsProcess(err)
		}
		return d, err
	case "process":
		return openProcess(c, log)
	}
	d, err := openDocker(ctx, c, log)
	if err == nil || !errors.Is(err, docker.ErrNoEngine) {
		return d, err
	}
	if !c.unguardedLoopback() || c.Runtime != "" { // who names a runtime counts on what it isolates
		return nil, needsProcess(err)
	}
	log.Warn().Msg("no Docker engine answers: scripts run in plain processes, without isolation. For development only")
	return openProcess(c, log)
}

// needsProcess adds the way out that only commands with --driver have.
func needsProcess(err error) error {
	return fmt.Errorf("%w; for development, --driver process needs no engine, and isolates nothing", err)
}

// has says whether the engine answers, and has the image.
func (d *driver) has(ctx context.Context, image string) bool {
	_, err := d.imageID(ctx, image)
	return err == nil
}

func openDocker(ctx context.Context, c *Settings, log zerolog.Logger) (*driver, error) {
	// Only the default image is jsd's to make; another one is what its owner says.
	if c.Image == docker.DefaultImage {
		build := docker.Build{Tag: c.Image, Files: jsd.Runtime, Progress: os.Stderr}
		if _, err := docker.EnsureImage(ctx, build); err != nil {
			return nil, err
		}
	}
	d, err := docker.New(ctx, docker.Config{Instance: c.Instance, Log: log})
	if err != nil {
		return nil, err
	}
	claim, err := claimInstance(d.Engine(), c.Instance)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &driver{
		name:  "docker",
		start: d.Start, check: d.Check, imageID: d.ImageID, sweep: d.Sweep, stopWaiting: d.StopWaiting,
		close: func() error { return errors.Join(d.Close(), claim.Close()) },
	}, nil
}

// errNeedsDocker is what a policy gets that asks plain processes for what only containers have.
var errNeedsDocker = errors.New("needs the docker driver: plain processes have none")

func openProcess(c *Settings, log zerolog.Logger) (*driver, error) {
	if c.Runtime != "" {
		return nil, fmt.Errorf("--runtime %s %w", c.Runtime, errNeedsDocker)
	}
	agent, err := fs.Sub(jsd.Runtime, "node-agent")
	if err != nil {
		return nil, err
	}
	d, err := process.New(process.Config{Node: c.Node, Agent: agent, Packages: c.Packages, Log: log})
	if err != nil {
		return nil, err
	}
	return &driver{
		name:  "process",
		start: func(ctx context.Context, _ docker.Spec) (containers.Process, error) { return d.Start(ctx) },
		check: func(_ context.Context, s docker.Spec) (string, error) {
			switch {
			case s.Image != c.Image:
				return "", fmt.Errorf("image %s %w", s.Image, errNeedsDocker)
			case s.Runtime != "":
				return "", fmt.Errorf("runtime %s %w", s.Runtime, errNeedsDocker)
			default:
				return "", nil
			}
		},
		// Processes end with the daemon that started them: nothing is left to sweep.
		sweep:       func(context.Context) (int, error) { return 0, nil },
		stopWaiting: func() {},
		close:       d.Close,
	}, nil
}
