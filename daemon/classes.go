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

// A class is all that is decided about a container when it starts. Tenants that have the same one share
// spares. Two images of one name are two classes.
type class struct {
	Spec   docker.Spec
	Limits containers.Limits
}

// classOf is the class of a policy, without the image's ID.
func classOf(p *tenants.Policy) class {
	return class{
		Spec: docker.Spec{Image: p.Image, Runtime: p.Runtime, Memory: p.Memory, CPUs: p.CPUs, PIDs: p.PIDs, Tmp: p.Tmp},
		Limits: containers.Limits{
			Concurrency: p.Concurrency, Workers: workers(p), Heap: p.Heap, Memory: p.Memory,
			Result: p.Result, ConsoleLines: p.ConsoleLines, ConsoleBytes: p.ConsoleBytes, Modules: p.Modules, Streams: connections(p),
		},
	}
}

// connections is how many connections a call may have at once.
func connections(p *tenants.Policy) int {
	if len(p.Hosts) == 0 {
		return 0
	}
	return 32
}

// workers is how many processes of a container wait ready: as many as it may use processors, since
// more only take turns, and two at least, so that a call need not wait while one makes contexts.
func workers(p *tenants.Policy) int {
	return min(p.Concurrency, max(2, min(int(p.CPUs+0.5), runtime.NumCPU())))
}

// name stands for the class in the scheduler, in logs and metrics: the image with a part of its ID, and of a
// hash of all, so long that no two of thousands have the same.
func (c class) name() string {
	all, err := json.Marshal(c)
	if err != nil {
		panic(err) // numbers and strings
	}
	sum := sha256.Sum256(all)
	hash := hex.EncodeToString(sum[:6])
	_, digest, ok := strings.Cut(c.Spec.ImageID, ":")
	if !ok {
		return hash // plain processes are of no image
	}
	return fmt.Sprintf("%s@%.12s/%s", c.Spec.Image, digest, hash)
}

// classes knows what each class is made of, and of each image's name which image it stands for at present.
type classes struct {
	driver *driver
	flag   string // the image that --image names

	mu     sync.Mutex                 // guards all below
	images map[string]string          // name to ID
	known  map[string]class           // by name
	names  map[*tenants.Policy]string // what of gave, until images or policies change: it is asked under the scheduler's lock
	before map[string]bool            // names in use before the last change: starts of these may be under way
}

func newClasses(d *driver, image string) *classes {
	return &classes{driver: d, flag: image, images: map[string]string{}, known: map[string]class{}, names: map[*tenants.Policy]string{}}
}

// of gives the name of a policy's class, for find.
func (cs *classes) of(p *tenants.Policy) string {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	name, known := cs.names[p]
	if !known {
		c := classOf(p)
		c.Spec.ImageID = cs.images[p.Image]
		name = cs.knowLocked(c)
		cs.names[p] = name
	}
	return name
}

// with is of as it will be once the policy's image is the one with this ID.
func (cs *classes) with(p *tenants.Policy, imageID string) string {
	c := classOf(p)
	c.Spec.ImageID = imageID
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.knowLocked(c)
}

func (cs *classes) knowLocked(c class) string {
	name := c.name()
	cs.known[name] = c
	return name
}

func (cs *classes) find(name string) class {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.known[name]
}

// check says whether there can be containers of a policy, and which image its name of one stands for now.
func (cs *classes) check(ctx context.Context, p *tenants.Policy) (imageID string, err error) {
	id, err := cs.driver.check(ctx, classOf(p).Spec)
	switch {
	case err == nil, errors.Is(err, errNeedsDocker), errors.Is(err, docker.ErrNoRuntime), errors.Is(err, docker.ErrBadLimit), p.Image == cs.flag:
		return id, err
	case errors.Is(err, docker.ErrNoImage):
		err = fmt.Errorf("%w on the engine: build or pull it", docker.ErrNoImage) // what Check says of --image would mislead
	}
	return "", fmt.Errorf("image %s: %w", p.Image, err)
}

// use lets a name stand for another image from now on.
func (cs *classes) use(image, id string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.images[image] = id
	clear(cs.names)
}

// current is the image that a name stands for, if that is known yet.
func (cs *classes) current(image string) (id string, known bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	id, known = cs.images[image]
	return id, known
}

// forget drops what policies need no more, and needed no more before the last change either.
func (cs *classes) forget(policies *tenants.Policies) {
	cs.mu.Lock()
	clear(cs.names) // of policies that are no more
	cs.mu.Unlock()
	used, images := map[string]bool{}, map[string]bool{}
	for _, p := range policies.All() {
		used[cs.of(p)], images[p.Image] = true, true
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for name := range cs.known {
		if !used[name] && !cs.before[name] {
			delete(cs.known, name)
		}
	}
	cs.before = used
	for image := range cs.images {
		if !images[image] {
			delete(cs.images, image)
		}
	}
}
