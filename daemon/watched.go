package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/rpc"
	"github.com/jsd-project/jsd/scheduler"
)

// A watched is the metrics, the admin address and the traces, each if the settings ask for it.
//
//	rpc.Server ── Report of each call ──┬─► metrics ◄── /metrics ──┐
//	Start ── how long ──────────────────┘                          ├── admin ◄── Prometheus, jsd status, pprof
//	scheduler ◄───────── Stats, Snapshot ────────────── /status ───┘
//	rpc.Server ── Report of each call ────► traces ──► collector
type watched struct {
	metrics *metrics // nil without --admin-listen
	admin   *admin   // likewise
	traces  *traces  // nil unless the environment asks for them
}

// openWatched opens all of it and listens, but does not serve yet. On an error it leaves nothing open.
func openWatched(ctx context.Context, c *Settings, version string, log zerolog.Logger) (w watched, err error) {
	if c.AdminListen != "" {
		if w.admin, err = openAdmin(c.AdminListen); err != nil {
			return watched{}, err
		}
		w.metrics = newMetrics(c.MetricsTenants)
	}
	if c.Traces {
		if w.traces, err = openTraces(ctx, version, log); err != nil {
			return watched{}, errors.Join(err, w.close())
		}
	}
	return w, nil
}

// observer returns the function that receives the Report of each call; nil if nothing uses the reports.
func (w watched) observer() func(rpc.Report) {
	switch {
	case w.metrics != nil && w.traces != nil:
		return func(r rpc.Report) {
			w.metrics.call(&r)
			w.traces.call(&r)
		}
	case w.metrics != nil:
		return func(r rpc.Report) { w.metrics.call(&r) }
	case w.traces != nil:
		return func(r rpc.Report) { w.traces.call(&r) }
	default:
		return nil
	}
}

// timed returns a start that measures start's time. It does not count starts that were cancelled.
func (w watched) timed(start scheduler.Start) scheduler.Start {
	if w.metrics == nil {
		return start
	}
	return func(ctx context.Context, profile string) (scheduler.Container, error) {
		began := time.Now()
		c, err := start(ctx, profile)
		if !errors.Is(ctx.Err(), context.Canceled) {
			w.metrics.start(time.Since(began), err)
		}
		return c, err
	}
}

// serve begins to answer at the admin address. The daemon is complete, because its metrics and status read from it.
func (w watched) serve(d *Daemon) {
	if w.admin != nil {
		w.metrics.register(d)
		w.admin.serve(d)
	}
}

// close stops the admin server and sends the remaining traces. It waits for both.
func (w watched) close() error {
	var err error
	if w.admin != nil {
		err = w.admin.close()
	}
	if w.traces != nil {
		w.traces.close()
	}
	return err
}
