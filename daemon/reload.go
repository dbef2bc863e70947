package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/tenants"
)

// tryTime is the usual daemon.tryTime.
const tryTime = time.Minute

// Reload reads again what is in files, and looks for new images, as SIGHUP asks for. It does not wait for that.
// Two in short order may count as one.
func (d *Daemon) Reload() {
	select {
	case d.reloads <- struct{}{}:
	default:
	}
}

// followChanges keeps up until the daemon closes.
func (d *Daemon) followChanges(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.keepUp(ctx)
	}()
	d.onClose(func() error {
		cancel()
		<-ended
		return nil
	})
	return nil
}

// keepUp follows, until ctx ends, what changes while the daemon runs: credentials, the tenants file, and the
// images that names of images stand for.
//
//	Reload ─► Reload ─► admit each policy ─┐
//	          (a bad file changes nothing) ├─► Update: new containers are of the new classes,
//	time ───► roll: another image? try it ─┘           the others are drained
func (d *Daemon) keepUp(ctx context.Context) {
	var look <-chan time.Time
	if every := d.settings.ImageCheck; every > 0 && d.driver.imageID != nil {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		look = ticker.C
	}
	refused := map[string]string{} // images that did not start, by name: not tried again
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.reloads:
			clear(refused)
			d.reloadCredentials()
			d.reload(ctx)
			d.roll(ctx, refused)
		case <-d.imageGone:
			d.roll(ctx, refused)
		case <-look:
			d.roll(ctx, refused)
		}
	}
}

// reload reads the tenants file again.
func (d *Daemon) reload(ctx context.Context) {
	if d.settings.Tenants == "" {
		d.log.Info().Msg("SIGHUP: there is no --tenants file to read again")
		return
	}
	d.admitted = map[docker.Spec]bool{}
	if err := d.policies.Reload(ctx); ctx.Err() != nil {
		return // the daemon ends: that says nothing of the file
	} else if err != nil {
		d.log.Error().Err(err).Msg("the tenants file is not taken: limits stay as they were")
		return
	}
	d.update()
	d.log.Info().Str("file", d.settings.Tenants).Int("tenants", d.policies.Len()).Msg("read the tenants file again")
}

// update has the scheduler follow what policies and images are now.
func (d *Daemon) update() {
	d.scheduler.Update()
	d.classes.forget(d.policies)
}

// admit is the rule for every policy: that there can be containers of it. Where the daemon runs already, one
// of an image that is new has to say hello first.
func (d *Daemon) admit(ctx context.Context, p *tenants.Policy) error {
	spec := classOf(p).Spec
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
	id, err := d.classes.check(ctx, p)
	if _, known := d.classes.current(p.Image); err != nil || known {
		return err // an image that is known goes on to be the one it was, until roll has tried another
	}
	if d.scheduler != nil {
		if err := d.try(ctx, p, id); err != nil {
			return fmt.Errorf("image %s: %w", p.Image, err)
		}
	}
	d.classes.use(p.Image, id)
	return nil
}

// errNotTried is when nothing has come to light about an image, so that it may be tried again.
var errNotTried = errors.New("no container of it started in time")

func (d *Daemon) try(ctx context.Context, p *tenants.Policy, imageID string) error {
	ctx, cancel := context.WithTimeout(ctx, d.tryTime)
	defer cancel()
	err := d.scheduler.Try(ctx, d.classes.with(p, imageID))
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errNotTried, err)
	}
	return err
}

// roll looks which images the names of images stand for now. Of another one than before a container is started; when
// that says hello the image is used from then on, and else given up, until its name stands for yet another.
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

// rollImage does so for the image of a policy, and says whether it is another one from now on.
func (d *Daemon) rollImage(ctx context.Context, p *tenants.Policy, refused map[string]string) bool {
	log := d.log.With().Str("image", p.Image).Logger()
	id, err := d.driver.imageID(ctx, p.Image)
	if err != nil {
		log.Debug().Err(err).Msg("cannot see which image this is; new containers are of the one before")
		return false
	}
	if current, _ := d.classes.current(p.Image); id == current || id == refused[p.Image] {
		return false
	}
	log = log.With().Str("id", id).Logger()
	if _, err = d.classes.check(ctx, p); err == nil {
		err = d.try(ctx, p, id)
	}
	switch {
	case err == nil:
		d.classes.use(p.Image, id)
		log.Info().Msg("a new image: containers of the one before are replaced")
		return true
	case ctx.Err() != nil: // the daemon ends
	case errors.Is(err, errNotTried) || !d.driver.has(ctx, id):
		log.Warn().Err(err).Msg("the new image could not be tried; the one before stays until it is")
	default:
		refused[p.Image] = id
		log.Error().Err(err).Msg("the new image is given up, the one before stays")
	}
	return false
}
