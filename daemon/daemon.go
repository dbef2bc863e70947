// Package daemon is jsd, serving: it builds what serves clients from settings, keeps it up to date while it
// runs, and takes it apart again.
//
//	New ─► Open: listen ─► watch ─► readPolicies ─► readCertificate ─► readCredentials ─► openDriver ─► admitPolicies ─► sweep ─► openScheduler ─► serve ─► followChanges
//	       Close: what each of these steps has left with onClose, the last one first
//
//	client ─► http.Server ─► rpc.Server ─► Scheduler ─► Container ─► driver's process
package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/credentials"
	"github.com/jsd-project/jsd/egress"
	"github.com/jsd-project/jsd/nonblock"
	"github.com/jsd-project/jsd/rpc"
	"github.com/jsd-project/jsd/scheduler"
	"github.com/jsd-project/jsd/tenants"
)

// closeTime bounds the removal of containers when the daemon ends.
const closeTime = 20 * time.Second

// Options are what the program around a daemon decides, and no setting.
type Options struct {
	Version string
	Log     zerolog.Logger
	// Listener is where clients come from, which Close closes, and Open where it fails. Nil: Settings.Listen.
	Listener net.Listener
	// StartFailed is told why a container does not start, each time. It may be nil.
	StartFailed func(error)
}

// A Daemon serves from Open to Close.
type Daemon struct {
	settings    *Settings
	version     string
	log         zerolog.Logger
	startFailed func(error) // or nil
	began       time.Time
	undo        []func() error // what Close does, the last one first
	wrapDriver  func(*driver)  // for tests that stand between the daemon and its engine; or nil

	listener    net.Listener
	watched     watched
	policies    *tenants.Policies
	certificate *certificate // nil: no TLS
	credentials *credentials.Credentials
	driver      *driver
	profiles    *profiles
	admitted    map[docker.Spec]bool // in this reading of the tenants file: the engine is asked once, not for each tenant
	scheduler   *scheduler.Scheduler
	rpc         *rpc.Server
	limited     net.Listener                     // the listener, with a bound
	hello       atomic.Pointer[containers.Hello] // of the newest container of the default profile
	dialer      egress.Dialer                    // of connections that scripts ask for

	reloads    chan struct{} // has one element when Reload was called
	imageGone  chan struct{} // has one element when a container's image was not there
	canaryTime time.Duration // for a container of a new image to get a place and say hello

	served   chan struct{} // closed when clients are served no longer
	serveErr error         // why; not to be read before served is closed
}

// New gives a daemon that Open starts. The settings have to be resolved, and are the daemon's from then on.
func New(s *Settings, o Options) *Daemon {
	return &Daemon{
		settings: s, version: o.Version, log: o.Log, listener: o.Listener, startFailed: o.StartFailed,
		reloads: make(chan struct{}, 1), imageGone: make(chan struct{}, 1), canaryTime: canaryTime,
		served: make(chan struct{}),
	}
}

// Open starts everything, and returns when clients are served. The first containers may not be ready by then.
// When it fails, nothing is left.
func (d *Daemon) Open(ctx context.Context) error {
	d.began = time.Now()
	for _, step := range []func(context.Context) error{
		d.listen, d.watch, d.readPolicies, d.readCertificate, d.readCredentials,
		d.openDriver, d.admitPolicies, d.sweep, d.openScheduler, d.serve, d.followChanges,
	} {
		if err := step(ctx); err != nil {
			return errors.Join(err, d.Close())
		}
	}
	return nil
}

// Close drains and takes everything apart: clients first, so that no call comes in while containers end. It
// takes up to the drain timeout, and 20 s more for an engine that does not remove containers.
func (d *Daemon) Close() (err error) {
	for _, undo := range slices.Backward(d.undo) {
		err = errors.Join(err, undo())
	}
	d.undo = nil
	return err
}

// onClose has Close do something before all that it would do so far.
func (d *Daemon) onClose(undo func() error) { d.undo = append(d.undo, undo) }

// Wait returns nil when ctx ends, or an error when the daemon serves no longer. Close has to follow.
func (d *Daemon) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		d.log.Info().Msg("ending: calls in flight may finish")
		return nil
	case <-d.served:
		return fmt.Errorf("serving %s: %w", d.settings.Listen, d.serveErr)
	}
}

// Addr is where clients are served.
func (d *Daemon) Addr() net.Addr { return d.listener.Addr() }

// AdminAddr is where metrics and status are served; nil: nowhere.
func (d *Daemon) AdminAddr() net.Addr {
	if d.watched.admin == nil {
		return nil
	}
	return d.watched.admin.listener.Addr()
}

// Driver is the name of what containers are: docker or process.
func (d *Daemon) Driver() string { return d.driver.name }

// Instance is the label of the daemon's containers.
func (d *Daemon) Instance() string { return d.settings.Instance }

func (d *Daemon) listen(context.Context) (err error) {
	if d.listener == nil {
		if d.listener, err = net.Listen("tcp", d.settings.Listen); err != nil {
			return fmt.Errorf("--listen %s: %w; choose another with --listen", d.settings.Listen, err)
		}
	}
	d.onClose(func() error {
		if err := d.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil // by the HTTP server
	})
	d.settings.Instance = cmp.Or(d.settings.Instance, instanceAt(d.listener.Addr()))
	return nil
}

// watch listens on the admin address, which answers once there is all to tell of.
func (d *Daemon) watch(ctx context.Context) (err error) {
	if d.watched, err = openWatched(ctx, d.settings, d.version, d.log); err != nil {
		return err
	}
	d.onClose(d.watched.close) // behind the end of all else, which can be watched, too
	return nil
}

func (d *Daemon) readPolicies(context.Context) (err error) {
	d.policies, err = d.settings.openPolicies()
	return err
}

func (d *Daemon) readCertificate(context.Context) (err error) {
	d.certificate, err = openCertificate(d.settings.TLS, d.log)
	return err
}

func (d *Daemon) readCredentials(ctx context.Context) (err error) {
	if d.credentials, err = d.settings.Credentials.open(ctx, d.log); err != nil {
		return err
	}
	d.onClose(func() error {
		d.credentials.Close()
		return nil
	})
	return nil
}

func (d *Daemon) openDriver(ctx context.Context) (err error) {
	if d.driver, err = openDriver(ctx, d.settings, d.log); err != nil {
		return err
	}
	d.onClose(d.closeContainers)
	if d.wrapDriver != nil {
		d.wrapDriver(d.driver)
	}
	return nil
}

// closeContainers has one time for all: those in the scheduler, and those that are being removed already.
func (d *Daemon) closeContainers() (err error) {
	remove, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	defer context.AfterFunc(remove, d.driver.stopWaiting)()
	if d.scheduler != nil {
		err = d.scheduler.Close(remove)
	}
	return errors.Join(err, d.driver.close())
}

// admitPolicies refuses policies that the driver has no containers for, now and with each reload.
func (d *Daemon) admitPolicies(ctx context.Context) error {
	d.profiles, d.admitted = newProfiles(d.driver, d.settings.Image), map[docker.Spec]bool{}
	return d.policies.Require(ctx, d.admit)
}

func (d *Daemon) sweep(ctx context.Context) error {
	n, err := d.driver.sweep(ctx)
	if n > 0 && err == nil {
		d.log.Info().Int("containers", n).Msg("removed what an earlier run left")
	}
	return err
}

func (d *Daemon) openScheduler(context.Context) error {
	s := d.settings
	d.scheduler = scheduler.New(scheduler.Config{
		Start: d.delayed(d.watched.timed(d.start)), Policy: d.schedulerPolicy,
		Min: s.MinContainers, Max: s.MaxContainers, Spare: s.Spare, QueueAll: s.QueueAll,
		Log: d.log,
	})
	d.scheduler.Open()
	return nil
}

// serve begins with the clients, and with the admin address.
func (d *Daemon) serve(context.Context) error {
	s := d.settings
	d.rpc = rpc.New(rpc.Config{
		Runner: &networked{d.scheduler, d}, Version: d.version, Boot: rand.Text(),
		Listen: d.listener.Addr(), Origins: s.Origin, Hosts: s.Host, Authenticate: d.authenticate,
		Modules: d.modules,
		Limits:  d.limits, Policy: d.rpcPolicy,
		MaxAllBundles: int64(s.AllBundles) << 20, RetainAllBytes: int64(max(s.Keep, retainAll)) << 20,
		MaxFrame: s.Frame, MaxConnections: s.Connections, MaxInFlight: s.InFlight, MaxBuffered: int64(s.Buffers) << 20,
		Log: d.log, Observe: d.watched.observer(),
	})
	d.watched.serve(d)
	clients := newHTTPServer(endOfBody(d.rpc))
	clients.WriteTimeout, clients.ErrorLog = writeTime, serverLog(d.log)
	d.limited = limitListener(nonblock.Listen(d.listener), s.Connections, d.log)
	served := d.limited
	if d.certificate != nil {
		served = d.certificate.listener(served)
	}
	go func() {
		defer close(d.served)
		d.serveErr = clients.Serve(served)
	}()
	d.onClose(func() error {
		drain, cancel := context.WithTimeout(context.Background(), s.DrainTimeout)
		defer cancel()
		err := ignoreDeadline(d.rpc.Shutdown(drain)) // cut off calls were answered with 1003
		err = errors.Join(err, clients.Close())
		<-d.served
		return err
	})
	return nil
}

func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
