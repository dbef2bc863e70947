package daemon

import (
	"context"
	"time"

	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/scheduler"
	"github.com/jsd-project/jsd/tenants"
)

func (c *Settings) OpenPolicies() (*tenants.Policies, error) { return c.openPolicies() }

func (d *Daemon) Scheduler() *scheduler.Scheduler                { return d.scheduler }
func (d *Daemon) Policies() *tenants.Policies                    { return d.policies }
func (d *Daemon) DefaultProfile() string                         { return d.defaultProfile() }
func (d *Daemon) ReloadCredentials()                             { d.reloadCredentials() }
func (d *Daemon) SchedulerPolicy(tenant string) scheduler.Policy { return d.schedulerPolicy(tenant) }
func (d *Daemon) SetCanaryTime(t time.Duration)                  { d.canaryTime = t }
func (d *Daemon) IsWatched() bool                                { return d.watched != (watched{}) || d.watched.observer() != nil }

const (
	CloseTime  = closeTime
	HeaderTime = headerTime
	CanaryTime = canaryTime
)

// An Engine is what a daemon asks its driver about images.
type Engine struct {
	ImageID func(ctx context.Context, image string) (string, error)
	Check   func(context.Context, docker.Spec) (string, error)
}

// ReplaceEngine has what replace makes of it asked instead, from Open on.
func (d *Daemon) ReplaceEngine(replace func(Engine) Engine) {
	d.wrapDriver = func(driver *driver) {
		e := replace(Engine{driver.imageID, driver.check})
		driver.imageID, driver.check = e.ImageID, e.Check
	}
}
