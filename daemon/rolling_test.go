package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/daemon"
	"github.com/jsd-project/jsd/jsdtest"
)

// generations are images that one name stands for, one after the other. Each holds a package that tells its number.
type generations struct {
	t    *testing.T
	name string
	made []string // IDs
}

func newGenerations(t *testing.T) *generations {
	t.Helper()
	jsdtest.NeedImage(t)
	g := &generations{t: t, name: fmt.Sprintf("jsd-test-%s-%d:latest", strings.ToLower(t.Name()), os.Getpid())}
	t.Cleanup(func() {
		for _, id := range slices.Backward(g.made) {
			if err := removeImage(id); err != nil {
				t.Error(err)
			}
		}
	})
	g.moveTo(1)
	return g
}

// moveTo lets the name stand for the image of another number from now on. Its agent never says anything where an
// entrypoint takes the agent's place.
func (g *generations) moveTo(number int, entrypoint ...string) (id string) {
	g.t.Helper()
	file := fmt.Sprintf("FROM %s\nCOPY main.js /usr/local/lib/node_modules/generation/index.js\n", docker.DefaultImage)
	if len(entrypoint) > 0 {
		command, _ := json.Marshal(entrypoint)
		file += fmt.Sprintf("ENTRYPOINT %s\n", command)
	}
	dir := folder(g.t, "Dockerfile", file, "main.js", fmt.Sprintf("module.exports = %d // %s", number, g.name))
	// Scripts are nobody, who has to be able to read what is copied.
	if err := os.Chmod(dir+"/main.js", 0o644); err != nil {
		g.t.Fatal(err)
	}
	build := exec.CommandContext(g.t.Context(), "docker", "build", "--quiet", "--network", "none", "--tag", g.name, dir)
	build.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	said := &strings.Builder{}
	build.Stderr = said
	out, err := build.Output()
	if err != nil {
		g.t.Fatalf("%v: %s", err, said)
	}
	id = strings.TrimSpace(string(out))
	g.made = append(g.made, id)
	return id
}

func (g *generations) remove(id string) {
	g.t.Helper()
	if err := removeImage(id); err != nil {
		g.t.Fatal(err)
	}
	g.made = slices.DeleteFunc(g.made, func(other string) bool { return other == id })
}

func removeImage(id string) error {
	if out, err := exec.CommandContext(context.Background(), "docker", "image", "rm", id).CombinedOutput(); err != nil {
		return fmt.Errorf("remove image: %w: %s", err, out)
	}
	return nil
}

var errAway = errors.New("the engine is away")

// A rolling daemon follows the images of a name, with an engine that can be told to go away.
type rolling struct {
	*jsdtest.Daemon
	t      *testing.T
	images *generations
	looks  atomic.Int64 // at what the name stands for
	away   atomic.Bool  // what the engine is, but for these looks
	log    journal
}

func startRolling(t *testing.T, canaryTime time.Duration, arguments ...string) *rolling {
	t.Helper()
	r := &rolling{t: t, images: newGenerations(t)}
	log := zerolog.New(&r.log).Level(zerolog.InfoLevel)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(slices.DeleteFunc(r.log.With(), func(line string) bool { return strings.Contains(line, `"message":"call"`) }), ""))
		}
	})
	r.Daemon = jsdtest.StartChanged(t, log, func(d *jsdtest.Daemon) {
		d.SetCanaryTime(canaryTime)
		d.ReplaceEngine(r.between)
	}, "docker", append([]string{"--image", r.images.name}, arguments...)...)
	return r
}

// between stands between the daemon and its engine.
func (r *rolling) between(engine daemon.Engine) daemon.Engine {
	return daemon.Engine{
		ImageID: func(ctx context.Context, name string) (string, error) {
			defer r.looks.Add(1)
			if r.away.Load() && name != r.images.name {
				return "", errAway
			}
			return engine.ImageID(ctx, name)
		},
		Check: func(ctx context.Context, spec docker.Spec) (string, error) {
			if r.away.Load() {
				return "", errAway
			}
			return engine.Check(ctx, spec)
		},
	}
}

func (r *rolling) dial() *client { return r.Dial(r.t, "json-rpc") }

// of gives the containers that are made of an image.
func (r *rolling) of(image string) []string {
	r.t.Helper()
	out, err := exec.Command("docker", "ps", "--all", "--no-trunc", "--filter", "label="+docker.InstanceLabel+"="+r.Instance(),
		"--format", "{{.Names}} {{.Image}}").CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		if name, of, _ := strings.Cut(strings.TrimSpace(line), " "); strings.TrimPrefix(of, "sha256:") == strings.TrimPrefix(image, "sha256:") {
			found = append(found, name)
		}
	}
	return found
}

// traffic is calls of several tenants that follow each other without a pause, and ask for the generation they
// run in. None of them may fail, and no caller may find itself in a generation before the last it saw.
type traffic struct {
	t       *testing.T
	stop    chan struct{}
	calling sync.WaitGroup
	last    []*atomic.Int64 // of each caller
}

// tell is a script that comes to the generation's number after a while.
func tell(tenant string, length time.Duration) script {
	return script{"tenant": tenant, "timeout": 30_000, "code": fmt.Sprintf(
		`new Promise(done => setTimeout(() => done(require("generation")), %d))`, length.Milliseconds())}
}

func (r *rolling) begin(tenants ...string) *traffic {
	f := &traffic{t: r.t, stop: make(chan struct{})}
	for _, tenant := range tenants {
		for _, length := range []time.Duration{time.Millisecond, 30 * time.Millisecond, 170 * time.Millisecond} {
			last, c := &atomic.Int64{}, r.dial()
			f.last = append(f.last, last)
			f.calling.Go(func() { f.call(c, tell(tenant, length), last) })
		}
	}
	r.t.Cleanup(f.end)
	return f
}

func (f *traffic) call(c *client, s script, last *atomic.Int64) {
	for {
		select {
		case <-f.stop:
			return
		default:
		}
		got := c.Execute(s)
		var result struct{ Value int64 }
		if got.Error != nil || json.Unmarshal(got.Result, &result) != nil {
			f.t.Errorf("a call of %s: %v %s", s["tenant"], got, dataText(got))
			return
		}
		if before := last.Swap(result.Value); result.Value < before {
			f.t.Errorf("a call of %s is back in generation %d, after %d", s["tenant"], result.Value, before)
		}
	}
}

// sees waits until all calls run in a generation.
func (f *traffic) sees(generation int64) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("all calls in generation %d", generation), func() bool {
		return f.t.Failed() || !slices.ContainsFunc(f.last, func(last *atomic.Int64) bool { return last.Load() != generation })
	})
}

func (f *traffic) end() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
		f.calling.Wait()
	}
}
