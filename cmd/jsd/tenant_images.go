package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/tenants"
)

// imageDrivers start containers of several images on one engine, with the same limits and instance.
type imageDrivers struct {
	config   docker.Config
	policies *tenants.Policies
	shared   *docker.Driver // for tenants without an image of their own

	mu  sync.Mutex                // guards own
	own map[string]*docker.Driver // by image
}

// newImageDrivers takes the shared image from the config, and has tenants' own ones there with every
// policy from then on. Tenants may have one of their own together.
func newImageDrivers(ctx context.Context, config docker.Config, policies *tenants.Policies) (*imageDrivers, error) {
	shared, err := docker.New(ctx, config)
	if err != nil {
		return nil, err
	}
	d := &imageDrivers{config: config, policies: policies, shared: shared, own: map[string]*docker.Driver{}}
	if err := policies.Require(ctx, d.prepare); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// prepare makes a driver for the image of a policy, if there is none.
func (d *imageDrivers) prepare(ctx context.Context, p *tenants.Policy) error {
	if p.Image == d.config.Image || d.driver(p.Image) != nil {
		return nil
	}
	config := d.config
	config.Image = p.Image
	driver, err := docker.New(ctx, config)
	if errors.Is(err, docker.ErrNoImage) {
		err = fmt.Errorf("%w on the engine: build or pull it", docker.ErrNoImage) // what New says of --image would mislead
	}
	if err != nil {
		return fmt.Errorf("image %s: %w", p.Image, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.own[p.Image] = driver
	return nil
}

func (d *imageDrivers) driver(image string) *docker.Driver {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.own[image]
}

func (d *imageDrivers) classOf(tenant string) string {
	if image := d.policies.Of(tenant).Image; image != d.config.Image {
		return image
	}
	return ""
}

func (d *imageDrivers) start(ctx context.Context, class string) (containers.Process, error) {
	if class == "" {
		return d.shared.Start(ctx)
	}
	return d.driver(class).Start(ctx)
}

// sweep is one for all: the instance is the same.
func (d *imageDrivers) sweep(ctx context.Context) (int, error) { return d.shared.Sweep(ctx) }

func (d *imageDrivers) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	errs := []error{d.shared.Close()}
	for _, own := range d.own {
		errs = append(errs, own.Close())
	}
	return errors.Join(errs...)
}
