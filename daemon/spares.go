package daemon

import (
	"context"
	"time"

	"github.com/jsd-project/jsd/scheduler"
)

// spareAfter is what a start waits that nobody waits for. A call that comes meanwhile and needs it waits the rest.
const spareAfter = 20 * time.Millisecond

// unhurried lets the call that has taken a spare go first: a start takes the processors for a while, and this one is
// for nobody yet where no call waits.
func (d *Daemon) unhurried(start scheduler.Start) scheduler.Start {
	return func(ctx context.Context, class string) (scheduler.Container, error) {
		if d.scheduler.Stats().Queued == 0 {
			select {
			case <-time.After(spareAfter):
			case <-ctx.Done():
			}
		}
		return start(ctx, class)
	}
}
