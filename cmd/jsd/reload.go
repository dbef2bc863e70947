package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jsd-project/jsd/tenants"
)

// tryTime is how long a container of a new image may take to say hello, and to get a place before.
const tryTime = time.Minute

// hangUps is where SIGHUP goes, until stop. More than one at a time count as one.
func hangUps() (signals <-chan os.Signal, stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	return ch, func() { signal.Stop(ch) }
}

// keepUp follows, until ctx ends, what changes while the daemon runs: credentials, the tenants file, and the
// images that names of images stand for.
//
//	SIGHUP ─► Reload ─► admit each policy ─┐
//	          (a bad file changes nothing) ├─► Update: new containers are of the new classes,
//	time ───► roll: another image? try it ─┘           the others are drained
func (d *daemon) keepUp(ctx context.Context, reloads <-chan os.Signal) {
	var look <-chan time.Time
	if every := d.config.ImageCheck; every > 0 && d.driver.imageID != nil {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		look = ticker.C
	}
	refused := map[string]string{} // images that did not start, by name: not tried again
	for {
		select {
		case <-ctx.Done():
			return
		case <-reloads:
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
func (d *daemon) reload(ctx context.Context) {
	if d.config.Tenants == "" {
		d.log.Info().Msg("SIGHUP: there is no --tenants file to read again")
		return
	}
	if err := d.policies.Reload(ctx); err != nil {
		d.log.Error().Err(err).Msg("the tenants file is not taken: limits stay as they were")
		return
	}
	d.update()
	d.log.Info().Str("file", d.config.Tenants).Int("tenants", d.policies.Len()).Msg("read the tenants file again")
}

// update has the scheduler follow what policies and images are now.
func (d *daemon) update() {
	d.scheduler.Update()
	d.classes.forget(d.policies)
}

// admit is the rule for every policy: that there can be containers of it. Where the daemon runs already, one
// of an image that is new has to say hello first.
func (d *daemon) admit(ctx context.Context, p *tenants.Policy) error {
	id, err := d.classes.check(ctx, p)
	if err != nil || d.classes.current(p.Image) != "" {
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

func (d *daemon) try(ctx context.Context, p *tenants.Policy, imageID string) error {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	return d.scheduler.Try(ctx, d.classes.with(p, imageID))
}

// roll looks which images the names of images stand for now. Of another one than before a container is started; when
// that says hello the image is used from then on, and else given up, until its name stands for yet another.
func (d *daemon) roll(ctx context.Context, refused map[string]string) {
	if d.driver.imageID == nil {
		return
	}
	seen, rolled := map[string]bool{}, false
	for _, p := range d.policies.All() {
		if seen[p.Image] {
			continue
		}
		seen[p.Image] = true
		log := d.log.With().Str("image", p.Image).Logger()
		id, err := d.driver.imageID(ctx, p.Image)
		if err != nil {
			log.Debug().Err(err).Msg("cannot see which image this is; new containers are of the one before")
			continue
		}
		if id == d.classes.current(p.Image) || id == refused[p.Image] {
			continue
		}
		if _, err = d.classes.check(ctx, p); err == nil {
			err = d.try(ctx, p, id)
		}
		if err != nil {
			refused[p.Image] = id
			log.Error().Err(err).Str("id", id).Msg("the new image is given up, the one before stays")
			continue
		}
		d.classes.use(p.Image, id)
		rolled = true
		log.Info().Str("id", id).Msg("a new image: containers of the one before are replaced")
	}
	if rolled {
		d.update()
	}
}
