package docker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// Check checks whether the engine can make containers of the spec, and returns the present ID of its Image. Its errors wrap
// ErrNoLimit, ErrBadLimit, ErrNoRuntime, ErrNoImage or ErrBadImage, except errors of the engine.
func (d *Driver) Check(ctx context.Context, s Spec) (imageID string, err error) {
	if err := cmp.Or(s.check(), d.checkLimits(s)); err != nil {
		return "", err
	}
	if s.Runtime != "" {
		if err := d.checkRuntime(ctx, s.Runtime); err != nil {
			return "", err
		}
	}
	s = s.withDefaults()
	image, err := d.inspect(ctx, s.Image)
	if err != nil {
		return "", err
	}
	if image.Config != nil && len(image.Config.Volumes) > 0 {
		return "", fmt.Errorf("%w %s: it declares volumes, which scripts could fill; make it without VOLUME", ErrBadImage, s.Image)
	}
	return image.ID, nil
}

// The least limits with which engines make containers.
const (
	leastMemory = 6 // MiB
	leastCPUs   = 0.01
)

func (d *Driver) checkLimits(s Spec) error {
	switch {
	case s.Memory < leastMemory:
		return fmt.Errorf("%w: memory %d is less than %d", ErrBadLimit, s.Memory, leastMemory)
	case s.CPUs < leastCPUs:
		return fmt.Errorf("%w: CPUs %g is less than %g", ErrBadLimit, s.CPUs, leastCPUs)
	case d.cpus > 0 && s.CPUs > float64(d.cpus):
		return fmt.Errorf("%w: CPUs %g is more than the %d there are", ErrBadLimit, s.CPUs, d.cpus)
	default:
		return nil
	}
}

func (d *Driver) checkRuntime(ctx context.Context, name string) error {
	info, err := d.info(ctx)
	if err != nil {
		return err
	}
	if _, known := info.Runtimes[name]; known {
		return nil
	}
	return fmt.Errorf("%w %q: the Docker engine knows %s; add it to /etc/docker/daemon.json and reload the engine",
		ErrNoRuntime, name, strings.Join(slices.Sorted(maps.Keys(info.Runtimes)), ", "))
}

// ImageID returns the ID of the image that has the name now. If there is none, the error wraps ErrNoImage.
func (d *Driver) ImageID(ctx context.Context, name string) (string, error) {
	image, err := d.inspect(ctx, name)
	return image.ID, err
}

func (d *Driver) inspect(ctx context.Context, name string) (client.ImageInspectResult, error) {
	image, err := d.engine.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return image, fmt.Errorf("%w %s: make it (jsd image build, for the default one) or pull it, or name another with --image",
			ErrNoImage, name)
	}
	if err != nil {
		return image, fmt.Errorf("look at image %s: %w", name, err)
	}
	return image, nil
}
