package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/tenants"
)

// A profile is all that is decided about a container when it starts. Tenants with the same profile share spares.
// Two images of one name make two profiles.
type profile struct {
	Spec   docker.Spec
	Limits containers.Limits
}

// profileOf gives the profile of a policy, without the image's ID.
func profileOf(p *tenants.Policy) profile {
	return profile{
		Spec: docker.Spec{Image: p.Image, Runtime: p.Runtime, Memory: p.Memory, CPUs: p.CPUs, PIDs: p.PIDs, Tmp: p.Tmp},
		Limits: containers.Limits{
			Concurrency: p.Concurrency, Workers: workers(p), Heap: p.Heap, Memory: p.Memory,
			Result: p.Result, ConsoleLines: p.ConsoleLines, ConsoleBytes: p.ConsoleBytes, Modules: p.Modules, Streams: streams(p),
		},
	}
}

// streams is how many connections a call may have at once.
func streams(p *tenants.Policy) int {
	if len(p.Hosts) == 0 {
		return 0
	}
	return 32
}

// workers is how many worker processes of a container are kept ready. A worker more than the container has
// processors would only wait for one. Two are the least, so that a call does not wait while a worker makes a context.
func workers(p *tenants.Policy) int {
	return min(p.Concurrency, max(2, min(int(p.CPUs+0.5), runtime.NumCPU())))
}

// name stands for the profile in the scheduler, in logs and in the status: the image with a part of its ID, and a
// part of a hash of everything. The hash is so long that no two of thousands of profiles have the same.
func (p profile) name() string {
	all, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers and strings
	}
	sum := sha256.Sum256(all)
	hash := hex.EncodeToString(sum[:6])
	_, digest, ok := strings.Cut(p.Spec.ImageID, ":")
	if !ok {
		return hash // plain processes have no image
	}
	return fmt.Sprintf("%s@%.12s/%s", p.Spec.Image, digest, hash)
}

// profiles are the profiles in use, and the images that the names of images stand for at present.
type profiles struct {
	driver *driver
	flag   string // the image that --image names

	mu     sync.Mutex                 // guards all below
	images map[string]string          // name to ID
	known  map[string]profile         // by name
	names  map[*tenants.Policy]string // what of gave, until images or policies change: the scheduler asks under its lock
	before map[string]bool            // names in use before the last change: starts of these may be under way
}

func newProfiles(d *driver, image string) *profiles {
	return &profiles{driver: d, flag: image, images: map[string]string{}, known: map[string]profile{}, names: map[*tenants.Policy]string{}}
}

// of gives the name of a policy's profile, which find takes.
func (ps *profiles) of(p *tenants.Policy) string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	name, known := ps.names[p]
	if !known {
		profile := profileOf(p)
		profile.Spec.ImageID = ps.images[p.Image]
		name = ps.addLocked(profile)
		ps.names[p] = name
	}
	return name
}

// with gives the name that of will give once the policy's image has this ID.
func (ps *profiles) with(p *tenants.Policy, imageID string) string {
	profile := profileOf(p)
	profile.Spec.ImageID = imageID
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.addLocked(profile)
}

func (ps *profiles) addLocked(p profile) string {
	name := p.name()
	ps.known[name] = p
	return name
}

// find gives the profile of a name that of or with gave.
func (ps *profiles) find(name string) profile {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.known[name]
}

// check asks the driver whether it can start containers of a policy. It returns the ID of the image that the
// policy's image name stands for now.
func (ps *profiles) check(ctx context.Context, p *tenants.Policy) (imageID string, err error) {
	id, err := ps.driver.check(ctx, profileOf(p).Spec)
	switch {
	case err == nil, errors.Is(err, errNeedsDocker), errors.Is(err, docker.ErrNoRuntime), errors.Is(err, docker.ErrBadLimit), p.Image == ps.flag:
		return id, err
	case errors.Is(err, docker.ErrNoImage):
		err = fmt.Errorf("%w on the engine: build or pull it", docker.ErrNoImage) // what Check says is about --image
	}
	return "", fmt.Errorf("image %s: %w", p.Image, err)
}

// use has the name of an image stand for another image from now on.
func (ps *profiles) use(image, id string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.images[image] = id
	clear(ps.names)
}

// current gives the ID of the image that a name stands for. known is false before use was called for it.
func (ps *profiles) current(image string) (id string, known bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	id, known = ps.images[image]
	return id, known
}

// forget removes the profiles that no policy has, and none had before the last change: a start of a profile may
// still be under way when its policy changes.
func (ps *profiles) forget(policies *tenants.Policies) {
	ps.mu.Lock()
	clear(ps.names) // of policies that are no more
	ps.mu.Unlock()
	used, images := map[string]bool{}, map[string]bool{}
	for _, p := range policies.All() {
		used[ps.of(p)], images[p.Image] = true, true
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for name := range ps.known {
		if !used[name] && !ps.before[name] {
			delete(ps.known, name)
		}
	}
	ps.before = used
	for image := range ps.images {
		if !images[image] {
			delete(ps.images, image)
		}
	}
}
