// Package docker starts agents in containers of a Docker engine, or of another engine with the same API. Every container has
// the same baseline; see hostConfig.
package docker

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers"
)

const (
	startTime = 30 * time.Second // to create and start; half a second is usual
	sweepTime = 30 * time.Second // to remove the containers that an earlier run left
	sweepers  = 8                // containers that Sweep removes at once
)

// Config is the configuration of a driver.
type Config struct {
	Instance string // value of InstanceLabel; not empty
	Log      zerolog.Logger
}

// A Driver starts containers of any spec over one connection to the engine. Its methods may be called from any goroutine.
type Driver struct {
	config   Config
	engine   *client.Client
	removals *removals
	id       string        // the engine's
	runtime  string        // its default one
	cpus     int           // of the engine; 0: not known
	seccomp  string        // the option of every container
	pipes    pipeDirectory // for the pipes of containers; empty: they have none
}

// New connects to the engine that the environment names (DOCKER_HOST and so on), or to the local one. It checks that the
// engine confines containers with seccomp.
func New(ctx context.Context, config Config) (*Driver, error) {
	if config.Instance == "" {
		return nil, fmt.Errorf("%w: instance %q", ErrNoLimit, config.Instance)
	}
	seccomp, err := seccompOption(seccompList)
	if err != nil {
		return nil, err
	}
	engine, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	d := &Driver{config: config, engine: engine, removals: newRemovals(engine, config.Log), seccomp: seccomp}
	if err := d.checkEngine(ctx); err != nil {
		_ = engine.Close()
		return nil, err
	}
	if strings.HasPrefix(engine.DaemonHost(), "unix:") { // else it is on another machine
		if err := d.pipes.open(config.Instance); err != nil {
			config.Log.Info().Err(err).Msg("containers have no pipes, which are faster")
		}
	}
	return d, nil
}

func (d *Driver) checkEngine(ctx context.Context) error {
	info, err := d.info(ctx)
	if err != nil {
		return err
	}
	d.id, d.cpus = cmp.Or(info.ID, d.engine.DaemonHost())+" "+info.DockerRootDir, info.NCPU // engines of one machine may share an ID
	d.runtime = info.DefaultRuntime
	if !slices.ContainsFunc(info.SecurityOptions, confines) {
		return fmt.Errorf("%w: run it on a kernel with seccomp", ErrUnconfined)
	}
	return nil
}

func (d *Driver) info(ctx context.Context) (system.Info, error) {
	info, err := d.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		return system.Info{}, fmt.Errorf("ask the Docker engine about itself: %w", err)
	}
	return info.Info, nil
}

// Engine returns an identifier of the engine, which is the same for all addresses of the engine.
func (d *Driver) Engine() string { return d.id }

func confines(option string) bool {
	name, _, _ := strings.Cut(option, ",") // what follows is a profile of the engine's, which containers here do not have
	return name == "name=seccomp"
}

// Start creates and starts a container of the spec. It checks only the limits of the spec. A step of the engine is not
// interrupted, because it would not be known what the step left. When ctx ends, Start finishes the step, removes the
// container and returns. If the engine does not remove the container, Start returns and the removal goes on until the engine
// does.
func (d *Driver) Start(ctx context.Context, spec Spec) (containers.Process, error) {
	if err := cmp.Or(ctx.Err(), spec.check(), d.removals.full()); err != nil {
		return nil, err
	}
	spec = spec.withDefaults()
	name := "jsd-" + strings.ToLower(rand.Text())
	steps, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTime)
	defer cancel()
	defer context.AfterFunc(d.removals.ctx, cancel)()
	p := &process{
		id:       name,
		spec:     spec,
		engine:   d.engine,
		removals: d.removals,
		stderr:   containers.NewStderr(d.config.Log.With().Str("container", name).Logger()),
	}
	p.kill = sync.OnceValue(p.remove)
	p.pipes = d.makePipes(p)
	for _, step := range []func(context.Context, *process) error{d.create, d.attach, d.start} {
		err := ctx.Err()
		if err == nil {
			err = step(steps, p)
		}
		if err == nil {
			continue
		}
		if p.pipes != nil {
			p.pipes.close()
		}
		if killErr := p.Kill(); killErr != nil {
			err = fmt.Errorf("%w; nor could it be removed: %w", err, killErr)
		}
		return nil, err
	}
	return p, nil
}

// letsPipesIn reports whether containers of an OCI runtime start with pipes. gVisor's do not, for example: it refuses files
// of the host that are neither regular files nor directories.
func letsPipesIn(runtime string) bool {
	switch runtime {
	case "runc", "crun", "io.containerd.runc.v2":
		return true
	default:
		return false
	}
}

// makePipes returns the pipes of a new container, nil if it starts without pipes.
func (d *Driver) makePipes(p *process) *pipes {
	if !letsPipesIn(cmp.Or(p.spec.Runtime, d.runtime)) {
		return nil
	}
	made, err := d.pipes.make(p.id)
	if err != nil {
		d.config.Log.Warn().Err(err).Str("container", p.id).Msg("the container has no pipes, which are faster")
	}
	return made
}

// dropRefusedPipes removes the directory of pipes if err says that the runtime did not start a container because of them.
// Later containers then start without pipes.
func (d *Driver) dropRefusedPipes(p *process, err error) {
	if p.pipes != nil && strings.Contains(err.Error(), pipeIn) && d.pipes.remove() == nil {
		d.config.Log.Warn().Err(err).Msg("the runtime lets no pipes in: containers have none, which are faster")
	}
}

func (d *Driver) options(p *process) client.ContainerCreateOptions {
	host := p.spec.hostConfig(d.seccomp)
	if p.pipes != nil {
		host.Mounts = p.pipes.mounts()
	}
	return client.ContainerCreateOptions{Name: p.id, Config: p.spec.containerConfig(d.config.Instance), HostConfig: host}
}

func (d *Driver) create(ctx context.Context, p *process) error {
	var asked, answered atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { asked.Store(false) }, // called again if a kept connection proves to be closed
		GotConn:              func(httptrace.GotConnInfo) { asked.Store(true) },
		GotFirstResponseByte: func() { answered.Store(true) },
	})
	created, err := d.engine.ContainerCreate(ctx, d.options(p))
	if p.pipes != nil && errdefs.IsInvalidArgument(err) { // perhaps the engine does not see the pipes: try without
		p.pipes.close()
		p.pipes = nil
		if created, err = d.engine.ContainerCreate(ctx, d.options(p)); err == nil && d.pipes.remove() == nil {
			d.config.Log.Info().Msg("the engine sees other files than jsd: containers have no pipes, which are faster")
		}
	}
	switch {
	case err == nil:
	case !asked.Load():
		p.kill = func() error { return nil }
	case !answered.Load():
		p.grace = createGrace
	}
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("%w %s: it was removed; make it with jsd image build, or pull it", ErrNoImage, p.spec.Image)
	}
	if err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	for _, warning := range created.Warnings {
		d.config.Log.Warn().Str("container", p.id).Str("warning", warning).Msg("the engine cannot hold the baseline")
	}
	return nil
}

// attach comes before start, so that no output of the agent is missed or logged.
func (d *Driver) attach(ctx context.Context, p *process) error {
	attached, err := d.engine.ContainerAttach(ctx, p.id, client.ContainerAttachOptions{
		Stream: true, Stdin: true, Stdout: true, Stderr: true,
	})
	if err != nil {
		return fmt.Errorf("attach to container: %w", err)
	}
	p.conn = attached.Conn
	p.stdout = demultiplexer{from: attached.Reader, stderr: p.stderr}
	return nil
}

func (d *Driver) start(ctx context.Context, p *process) error {
	_, err := d.engine.ContainerStart(ctx, p.id, client.ContainerStartOptions{})
	if err != nil && strings.Contains(err.Error(), "seccomp") { // engines and runtimes have no code for it
		return fmt.Errorf("%w; update it, its OCI runtime and libseccomp: %w", ErrProfile, err)
	}
	if err != nil {
		d.dropRefusedPipes(p, err)
		return fmt.Errorf("start container of image %s: %w", p.spec.Image, err)
	}
	return nil
}

// Sweep removes every container of this instance, including running ones, and returns how many it removed. It is called
// before the first Start, so all containers of the instance are left from earlier runs of the daemon.
func (d *Driver) Sweep(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	if err := d.pipes.sweep(d.config.Instance); err != nil {
		return 0, fmt.Errorf("remove pipes that were left: %w", err)
	}
	list, err := d.engine.ContainerList(ctx, client.ContainerListOptions{
		All:     true,
		Filters: client.Filters{}.Add("label", InstanceLabel+"="+d.config.Instance),
	})
	if err != nil {
		return 0, fmt.Errorf("list containers of instance %s: %w", d.config.Instance, err)
	}
	errs := make([]error, len(list.Items))
	slots := make(chan struct{}, sweepers)
	var removals sync.WaitGroup
	for i, item := range list.Items {
		slots <- struct{}{}
		removals.Go(func() {
			defer func() { <-slots }()
			if err := removeContainer(ctx, d.engine, item.ID, 0, func(error) {}); err != nil {
				errs[i] = fmt.Errorf("remove container %s: %w", item.ID, err)
			}
		})
	}
	removals.Wait()
	swept := 0
	for _, err := range errs {
		if err == nil {
			swept++
		}
	}
	return swept, errors.Join(errs...)
}

// StopWaiting makes every Kill and Start that waits for the engine return soon, and all later ones. The Kills return
// ErrLeft. It is called at the end of a daemon whose engine does not answer.
func (d *Driver) StopWaiting() { d.removals.stopWaiting() }

// Close waits until the containers of failed starts are removed, unless StopWaiting was called, and closes the connection to
// the engine. Its error joins an ErrLeft for each container that was not removed. Containers that run have to be killed
// before.
func (d *Driver) Close() error {
	return errors.Join(d.removals.close(), d.engine.Close(), d.pipes.remove())
}
