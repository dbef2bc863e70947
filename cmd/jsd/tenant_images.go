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

// dockerClasses are what containers of one engine are made of. Each image was looked at once: all containers
// of a class are of the same one.
type dockerClasses struct {
	driver *docker.Driver
	specs  map[string]docker.Spec // by class: the image's name, or "" for the one that tenants share
	images map[string]string      // tenants' own, by tenant
}

// newDockerClasses takes the shared image and the limits of all from common.
func newDockerClasses(ctx context.Context, d *docker.Driver, common docker.Spec, images map[string]string) (*dockerClasses, error) {
	shared, err := checked(ctx, d, common)
	if err != nil {
		return nil, err
	}
	c := &dockerClasses{driver: d, specs: map[string]docker.Spec{"": shared}, images: map[string]string{}}
	for _, tenant := range slices.Sorted(maps.Keys(images)) {
		image := images[tenant]
		if image == common.Image {
			continue
		}
		c.images[tenant] = image
		if _, known := c.specs[image]; known {
			continue
		}
		own := common
		own.Image = image
		own, err := checked(ctx, d, own)
		if errors.Is(err, docker.ErrNoImage) {
			err = fmt.Errorf("%w on the engine: build or pull it", docker.ErrNoImage) // what Check says of --image would mislead
		}
		if err != nil {
			return nil, fmt.Errorf("--tenant-image %s=%s: %w", tenant, image, err)
		}
		c.specs[image] = own
	}
	return c, nil
}

func checked(ctx context.Context, d *docker.Driver, spec docker.Spec) (_ docker.Spec, err error) {
	spec.ImageID, err = d.Check(ctx, spec)
	return spec, err
}

func (c *dockerClasses) classOf(tenant string) string { return c.images[tenant] }

func (c *dockerClasses) start(ctx context.Context, class string) (containers.Process, error) {
	return c.driver.Start(ctx, c.specs[class])
}
