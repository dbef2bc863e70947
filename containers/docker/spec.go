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

// A Spec says what a container is made of. Image defaults to DefaultImage, Runtime to the engine's own
// choice; the limits have to be set.
type Spec struct {
	Image   string // by a name or its ID
	ImageID string // what Check gave, so that a name that moves on changes nothing; where empty, Image is looked up at each start
	Runtime string // OCI runtime by the name the engine knows it by, such as runsc
	Memory  int    // MiB, swap included
	CPUs    float64
	PIDs    int // processes and threads; on gVisor, whose own are counted as well, the bound is not sharp
	Tmp     int // MiB of /tmp
}

func (s Spec) withDefaults() Spec {
	s.Image = cmp.Or(s.Image, DefaultImage)
	return s
}

// check refuses a spec with a limit left out, since the engine takes none for unlimited.
func (s Spec) check() error {
	if s.Memory <= 0 || s.CPUs <= 0 || s.PIDs <= 0 || s.Tmp <= 0 {
		return fmt.Errorf("%w: memory %d, CPUs %g, pids %d, /tmp %d", ErrNoLimit, s.Memory, s.CPUs, s.PIDs, s.Tmp)
	}
	return nil
}

// Check says whether the engine can make containers of the spec, and gives the ID of the image that its
// Image is now. Errors wrap ErrNoLimit, ErrBadLimit, ErrNoRuntime, ErrNoImage or ErrBadImage where it is one of these.
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

// Engines refuse to make containers beyond these.
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

// ImageID gives the ID of the image that has the name now, or an error that wraps ErrNoImage.
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
