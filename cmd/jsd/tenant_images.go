package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/rpc"
)

// tenantImageFlags give tenants images of their own.
type tenantImageFlags struct {
	TenantImage []string `env:"JSD_TENANT_IMAGE" placeholder:"TENANT=IMAGE" help:"Runtime image for the containers of one tenant, instead of --image (docker). May be repeated."`
}

var errTenantImageWithoutDocker = errors.New("--tenant-image needs the docker driver: plain processes have no image")

// tenantImages are the flags as images by tenant.
func (f *tenantImageFlags) tenantImages() (map[string]string, error) {
	images := map[string]string{}
	for _, pair := range f.TenantImage {
		pair = strings.TrimSpace(pair)
		tenant, image, _ := strings.Cut(pair, "=")
		switch {
		case image == "":
			return nil, fmt.Errorf("--tenant-image %q: has to be TENANT=IMAGE, such as acme=acme-runtime:2", pair)
		case !rpc.IsName(tenant):
			return nil, fmt.Errorf("--tenant-image %q: a tenant's name is 1 to 64 characters of A-Z a-z 0-9 . _ -", pair)
		case images[tenant] != "" && images[tenant] != image:
			return nil, fmt.Errorf("--tenant-image: tenant %s has two, %s and %s", tenant, images[tenant], image)
		}
		images[tenant] = image
	}
	return images, nil
}

// imageDrivers start containers of several images on one engine, with the same limits and instance.
type imageDrivers struct {
	shared *docker.Driver            // for tenants without an image of their own
	own    map[string]*docker.Driver // by image
	images map[string]string         // tenants' own, by tenant
}

// newImageDrivers takes the shared image from the config. Tenants may have one of their own together.
func newImageDrivers(ctx context.Context, config docker.Config, images map[string]string) (*imageDrivers, error) {
	common := config.Image
	shared, err := docker.New(ctx, config)
	if err != nil {
		return nil, err
	}
	d := &imageDrivers{shared: shared, own: map[string]*docker.Driver{}, images: map[string]string{}}
	for _, tenant := range slices.Sorted(maps.Keys(images)) {
		image := images[tenant]
		if image == common {
			continue
		}
		d.images[tenant] = image
		if d.own[image] != nil {
			continue
		}
		config.Image = image
		own, err := docker.New(ctx, config)
		if errors.Is(err, docker.ErrNoImage) {
			err = fmt.Errorf("%w on the engine: build or pull it", docker.ErrNoImage) // what New says of --image would mislead
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("--tenant-image %s=%s: %w", tenant, image, err), d.close())
		}
		d.own[image] = own
	}
	return d, nil
}

func (d *imageDrivers) classOf(tenant string) string { return d.images[tenant] }

func (d *imageDrivers) start(ctx context.Context, class string) (containers.Process, error) {
	if class == "" {
		return d.shared.Start(ctx)
	}
	return d.own[class].Start(ctx)
}

// sweep is one for all: the instance is the same.
func (d *imageDrivers) sweep(ctx context.Context) (int, error) { return d.shared.Sweep(ctx) }

func (d *imageDrivers) giveUp() {
	d.shared.GiveUp()
	for _, own := range d.own {
		own.GiveUp()
	}
}

func (d *imageDrivers) close() error {
	errs := []error{d.shared.Close()}
	for _, own := range d.own {
		errs = append(errs, own.Close())
	}
	return errors.Join(errs...)
}
