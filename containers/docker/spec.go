package docker

import (
	"cmp"
	"fmt"
)

// DefaultImage is the default name of the image that BuildImage makes, and of the image of containers.
const DefaultImage = "jsd-runtime:latest"

// A Spec is what a container is made of. Image defaults to DefaultImage and Runtime to the engine's default. The limits have
// no defaults.
type Spec struct {
	Image   string // name or ID
	ImageID string // from Check, so that containers do not change if the name gets another image; if empty, each start looks Image up
	Runtime string // the engine's name of the OCI runtime, such as runsc
	Memory  int    // MiB, swap included
	CPUs    float64
	PIDs    int // processes and threads; not exact with gVisor, whose own threads count as well
	Tmp     int // MiB of /tmp
}

func (s Spec) withDefaults() Spec {
	s.Image = cmp.Or(s.Image, DefaultImage)
	return s
}

// check returns an error if a limit is not set, because the engine takes 0 for unlimited.
func (s Spec) check() error {
	if s.Memory <= 0 || s.CPUs <= 0 || s.PIDs <= 0 || s.Tmp <= 0 {
		return fmt.Errorf("%w: memory %d, CPUs %g, pids %d, /tmp %d", ErrNoLimit, s.Memory, s.CPUs, s.PIDs, s.Tmp)
	}
	return nil
}
