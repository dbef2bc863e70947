package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jsd-project/jsd/tenants"
)

// canaryTime is the usual Daemon.canaryTime.
const canaryTime = time.Minute

// admit is the rule for every policy: the driver can start containers of it. Where the daemon runs already, a
// container of a new image has to say hello first.
func (d *Daemon) admit(ctx context.Context, p *tenants.Policy) error {
	spec := profileOf(p).Spec
	if d.admitted[spec] {
		return nil
	}
	if err := d.admitNew(ctx, p); err != nil {
		return err
	}
	d.admitted[spec] = true
	return nil
}

func (d *Daemon) admitNew(ctx context.Context, p *tenants.Policy) error {
	id, err := d.profiles.check(ctx, p)
	if _, known := d.profiles.current(p.Image); err != nil || known {
		return err // the name of a known image stands for that image until roll has tried another
	}
	if d.scheduler != nil {
		if err := d.canary(ctx, p, id); err != nil {
			return fmt.Errorf("image %s: %w", p.Image, err)
		}
	}
	d.profiles.use(p.Image, id)
	return nil
}

// errNoVerdict says that the canary neither said hello nor failed, so that the image may be tried again.
var errNoVerdict = errors.New("no container of it started in time")

// canary starts a container of a policy on a new image, and returns nil once it has said hello.
func (d *Daemon) canary(ctx context.Context, p *tenants.Policy, imageID string) error {
	ctx, cancel := context.WithTimeout(ctx, d.canaryTime)
	defer cancel()
	err := d.scheduler.Canary(ctx, d.profiles.with(p, imageID))
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errNoVerdict, err)
	}
	return err
}

// roll looks up which images the names of images stand for now. Where that is another image than before, a canary is
// started. If the canary says hello, the image is used from then on. If it fails, the image is given up until its name
// stands for yet another one; refused holds the images that were given up, by name.
func (d *Daemon) roll(ctx context.Context, refused map[string]string) {
	if d.driver.imageID == nil {
		return
	}
	seen, rolled := map[string]bool{}, false
	for _, p := range d.policies.All() {
		if !seen[p.Image] {
			seen[p.Image] = true
			rolled = d.rollImage(ctx, p, refused) || rolled
		}
	}
	if rolled {
		d.update()
	}
}

// rollImage does so for the image of one policy, and returns whether another image is used from now on.
func (d *Daemon) rollImage(ctx context.Context, p *tenants.Policy, refused map[string]string) bool {
	log := d.log.With().Str("image", p.Image).Logger()
	id, err := d.driver.imageID(ctx, p.Image)
	if err != nil {
		log.Debug().Err(err).Msg("cannot see which image this is; new containers are of the one before")
		return false
	}
	if current, _ := d.profiles.current(p.Image); id == current || id == refused[p.Image] {
		return false
	}
	log = log.With().Str("id", id).Logger()
	if _, err = d.profiles.check(ctx, p); err == nil {
		err = d.canary(ctx, p, id)
	}
	switch {
	case err == nil:
		d.profiles.use(p.Image, id)
		log.Info().Msg("a new image: containers of the one before are replaced")
		return true
	case ctx.Err() != nil: // the daemon ends
	case errors.Is(err, errNoVerdict) || !d.driver.has(ctx, id):
		log.Warn().Err(err).Msg("the new image could not be tried; the one before stays until it is")
	default:
		refused[p.Image] = id
		log.Error().Err(err).Msg("the new image is given up, the one before stays")
	}
	return false
}

// update applies changed policies and images to the scheduler.
func (d *Daemon) update() {
	d.scheduler.Update()
	d.profiles.forget(d.policies)
}
