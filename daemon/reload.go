package daemon

import (
	"context"
	"time"

	"github.com/jsd-project/jsd/containers/docker"
)

// Reload makes the daemon read its files again and look for new images, as after SIGHUP. It does not wait for that. Calls in
// quick succession may have the effect of one.
func (d *Daemon) Reload() {
	select {
	case d.reloads <- struct{}{}:
	default:
	}
}

// followChanges starts keepUp, which runs until the daemon closes.
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

// keepUp applies changes until ctx ends: of the credentials, of the tenants file, and of the images that names stand for.
//
//	Reload ─► reload ─► admit each policy ─┐
//	          (a bad file changes nothing) ├─► update: new containers are of the new profiles,
//	time ───► roll: another image? canary ─┘           the others are drained
func (d *Daemon) keepUp(ctx context.Context) {
	var imageCheck <-chan time.Time
	if every := d.settings.ImageCheck; every > 0 && d.driver.imageID != nil {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		imageCheck = ticker.C
	}
	refused := map[string]string{} // images that did not start, by name; they are not tried again
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
		case <-imageCheck:
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
		return // the error is that of the daemon's end
	} else if err != nil {
		d.log.Error().Err(err).Msg("the tenants file is not taken: limits stay as they were")
		return
	}
	d.update()
	d.log.Info().Str("file", d.settings.Tenants).Int("tenants", d.policies.Len()).Msg("read the tenants file again")
}
