package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/scheduler"
)

// schedulerPolicy returns the part of a tenant's policy that the scheduler uses.
func (d *Daemon) schedulerPolicy(tenant string) scheduler.Policy {
	p := d.policies.Of(tenant)
	return scheduler.Policy{
		Profile: d.profiles.of(p), Containers: p.Containers, Concurrency: p.Concurrency, Weight: p.Weight,
		Queue: p.Queue, QueueTime: p.QueueTime, Rate: p.Rate, Burst: p.Burst,
		IdleTimeout: p.IdleTimeout, MaxAge: p.MaxAge, MaxCalls: p.MaxCalls,
	}
}

// defaultProfile returns the profile of tenants without an entry in the tenants file.
func (d *Daemon) defaultProfile() string { return d.profiles.of(d.policies.Of("")) }

// start starts a container of the profile with this name. The scheduler calls it.
func (d *Daemon) start(ctx context.Context, profile string) (scheduler.Container, error) {
	container, err := d.startContainer(ctx, profile)
	if errors.Is(err, docker.ErrNoImage) {
		select {
		case d.imageGone <- struct{}{}: // the image's name may stand for another image by now
		default:
		}
	}
	if err != nil {
		if d.startFailed != nil {
			d.startFailed(err)
		}
		return nil, err
	}
	if profile == d.defaultProfile() { // the modules of a tenant's own image are not shown to others
		hello := container.Agent()
		d.hello.Store(&hello)
	}
	return container, nil
}

func (d *Daemon) startContainer(ctx context.Context, name string) (*containers.Container, error) {
	profile := d.profiles.find(name)
	process, err := d.driver.start(ctx, profile.Spec)
	if err != nil {
		return nil, err
	}
	return containers.Open(ctx, process, profile.Limits, d.log)
}

// startDelay is how long the start of a spare waits. A call that needs the spare in the meantime waits for the rest of it.
const startDelay = 20 * time.Millisecond

// delayed returns a start that waits for startDelay unless a call waits for a slot. A start uses the processors for a while.
// The call that has just taken a spare, and so caused the next start, should run first.
func (d *Daemon) delayed(start scheduler.Start) scheduler.Start {
	return func(ctx context.Context, profile string) (scheduler.Container, error) {
		if d.scheduler.Stats().Queued == 0 {
			select {
			case <-time.After(startDelay):
			case <-ctx.Done():
			}
		}
		return start(ctx, profile)
	}
}
