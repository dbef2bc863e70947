package docker

import (
	"cmp"
	"fmt"
)

// DefaultImage is what BuildImage makes, and what containers are made of, unless told otherwise.
const DefaultImage = "jsd-runtime:latest"

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
