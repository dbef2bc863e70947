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

// A profile is everything that is decided about a container when it starts. Tenants with the same profile share spares. If
// the name of an image gets another image, the profile is another one.
type profile struct {
	Spec   docker.Spec
	Limits containers.Limits
}

// profileOf returns the profile of a policy, without the image's ID.
func profileOf(p *tenants.Policy) profile {
	return profile{
		Spec: docker.Spec{Image: p.Image, Runtime: p.Runtime, Memory: p.Memory, CPUs: p.CPUs, PIDs: p.PIDs, Tmp: p.Tmp},
		Limits: containers.Limits{
			Concurrency: p.Concurrency, Workers: workers(p), Heap: p.Heap, Memory: p.Memory,
			Result: p.Result, ConsoleLines: p.ConsoleLines, ConsoleBytes: p.ConsoleBytes, Modules: p.Modules, Streams: streams(p),
		},
	}
}

// streams returns how many connections a call may have at once.
func streams(p *tenants.Policy) int {
	if len(p.Hosts) == 0 {
		return 0
	}
	return 32
}

// workers returns how many worker processes of a container are kept ready. The container cannot use more of them than it has
// processors. There are at least two unless the concurrency is one, so that a call does not wait while a worker makes a
// context.
func workers(p *tenants.Policy) int {
	return min(p.Concurrency, max(2, min(int(p.CPUs+0.5), runtime.NumCPU())))
}

// name returns the profile's name in the scheduler, in logs and in the status. It consists of the image, a part of the
// image's ID and a part of a hash of everything. The part is long enough that thousands of profiles have different names.
func (p profile) name() string {
	all, err := json.Marshal(p)
	if err != nil {
		panic(err) // cannot happen: there are only numbers and strings
	}
	sum := sha256.Sum256(all)
	hash := hex.EncodeToString(sum[:6])
	_, digest, ok := strings.Cut(p.Spec.ImageID, ":")
	if !ok {
		return hash // plain processes have no image
	}
	return fmt.Sprintf("%s@%.12s/%s", p.Spec.Image, digest, hash)
}

// profiles keeps the profiles in use, and the image that each image name stands for at present.
type profiles struct {
	driver *driver
	flag   string // the value of --image

	mu     sync.Mutex                 // guards all below
	images map[string]string          // name to ID
	known  map[string]profile         // by name
	names  map[*tenants.Policy]string // results of the method of, until images or policies change: the scheduler calls it with its mutex held
	before map[string]bool            // names in use before the last change, whose starts may be under way
}

func newProfiles(d *driver, image string) *profiles {
	return &profiles{driver: d, flag: image, images: map[string]string{}, known: map[string]profile{}, names: map[*tenants.Policy]string{}}
}

// of returns the name of a policy's profile, for find.
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

// with returns the name that of will return after the policy's image has this ID.
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

// find returns the profile with a name that of or with has returned.
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
		err = fmt.Errorf("%w on the engine: build or pull it", docker.ErrNoImage) // the text of Check's error is about --image
	}
	return "", fmt.Errorf("image %s: %w", p.Image, err)
}

// use makes the name of an image stand for another image from now on.
func (ps *profiles) use(image, id string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.images[image] = id
	clear(ps.names)
}

// current returns the ID of the image that a name stands for. known is false if use was not called for the name.
func (ps *profiles) current(image string) (id string, known bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	id, known = ps.images[image]
	return id, known
}

// forget removes profiles that no policy has and that none had before the last change. A start of a profile may be under way
// when its policy changes, so a profile stays for one more change.
func (ps *profiles) forget(policies *tenants.Policies) {
	ps.mu.Lock()
	clear(ps.names) // some are of policies that no longer exist
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
