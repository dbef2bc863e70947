package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// hangUps is where SIGHUP goes, until stop. More than one at a time count as one.
func hangUps() (signals <-chan os.Signal, stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	return ch, func() { signal.Stop(ch) }
}

// reload reads again what may change while the daemon runs.
func (d *daemon) reload(ctx context.Context) {
	if d.config.Tenants == "" {
		d.log.Info().Msg("SIGHUP: there is no --tenants file to read again")
		return
	}
	if err := d.policies.Reload(ctx); err != nil {
		d.log.Error().Err(err).Msg("the tenants file is not taken: limits stay as they were")
		return
	}
	d.log.Info().Str("file", d.config.Tenants).Int("tenants", d.policies.Len()).Msg("read the tenants file again")
}
