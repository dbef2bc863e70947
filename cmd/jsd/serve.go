package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/credentials"
	"github.com/jsd-project/jsd/egress"
	"github.com/jsd-project/jsd/rpc"
	"github.com/jsd-project/jsd/scheduler"
	"github.com/jsd-project/jsd/tenants"
)

const (
	headerTime = 10 * time.Second // for a client to send its request's header
	readTime   = 30 * time.Second // and the rest of it; package rpc has a rule of its own for scripts
	writeTime  = time.Minute      // for a client to take an answer, likewise
	idleTime   = 2 * time.Minute  // that a connection may be kept between requests
	maxHeader  = 16 << 10         // bytes of a header, which costs four times as much, and before it is known whose it is
	closeTime  = 20 * time.Second // for containers to be removed when the daemon ends
)

// A daemon is jsd, serving: what serve wires and Close takes apart.
//
//	client ─► http.Server ─► rpc.Server ─► Scheduler ─► Container ─► driver's process
type daemon struct {
	config      *serveCommand
	log         zerolog.Logger
	policies    *tenants.Policies
	credentials *credentials.Credentials
	certificate *certificate // nil: no TLS
	driver      *driver
	classes     *classes
	admitted    map[docker.Spec]bool // in this reading of the tenants file: the engine is asked once, not for each tenant
	scheduler   *scheduler.Scheduler
	rpc         *rpc.Server
	http        *http.Server
	listener    net.Listener
	limited     net.Listener                     // the same, with a bound
	hello       atomic.Pointer[containers.Hello] // of the newest container of the default class
	imageGone   chan struct{}                    // has one element when a container's image was not there
	tryTime     time.Duration                    // for a container of a new image to get a place and say hello
	failed      func(error)                      // told why a container does not start; or nil
	served      chan error
	watched     watched
	dialer      egress.Dialer // of connections that scripts ask for
	began       time.Time
}

// Run serves until ctx ends, then drains.
func (c *serveCommand) Run(ctx context.Context) error {
	if err := c.resolve(environment); err != nil {
		return err
	}
	leaveProcessors()
	reloads, stop := hangUps()
	defer stop()
	d, err := open(ctx, c, newLog(c.LogLevel))
	if err != nil {
		return err
	}
	d.announce(os.Stdout)
	err = d.wait(ctx, reloads)
	closeErr := d.Close()
	if errors.Is(closeErr, docker.ErrLeft) {
		closeErr = fmt.Errorf("%w\nthe next start with --instance %s removes what is left", closeErr, c.Instance)
	}
	return errors.Join(err, closeErr)
}

// wait returns when ctx ends, or with an error when the daemon serves no longer.
func (d *daemon) wait(ctx context.Context, reloads <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	var upkeep sync.WaitGroup
	upkeep.Go(func() { d.keepUp(ctx, reloads) })
	defer upkeep.Wait()
	defer cancel()
	select {
	case <-ctx.Done():
		d.log.Info().Msg("ending: calls in flight may finish")
		return nil
	case err := <-d.served:
		err = fmt.Errorf("serving %s: %w", d.config.Listen, err)
		d.served <- err // for Close, which waits for the same end
		return err
	}
}

// open starts everything; when it fails, nothing is left.
func open(ctx context.Context, c *serveCommand, log zerolog.Logger) (*daemon, error) {
	for _, origin := range c.Origin {
		if _, err := rpc.ParseOrigin(origin); err != nil {
			return nil, fmt.Errorf("--origin %s: %w", origin, err)
		}
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w; choose another with --listen", c.Listen, err)
	}
	c.Instance = cmp.Or(c.Instance, instanceAt(listener.Addr()))
	return openOn(ctx, c, listener, log, nil)
}

// openOn does the same on a listener, which it closes when it fails. Where a container does not start,
// failed, which may be nil, is told why.
func openOn(ctx context.Context, c *serveCommand, listener net.Listener, log zerolog.Logger, failed func(error)) (_ *daemon, err error) {
	d := &daemon{
		config: c, log: log, listener: listener, failed: failed,
		served: make(chan error, 1), imageGone: make(chan struct{}, 1), tryTime: tryTime, began: time.Now(),
	}
	if d.watched, err = openWatched(ctx, c, log); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.watched.close())
		}
	}()
	if d.policies, err = c.openPolicies(); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if d.certificate, err = openCertificate(c.tlsFlags, log); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if d.credentials, err = c.credentialFlags.open(ctx, log); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	defer func() {
		if err != nil {
			d.credentials.Close()
		}
	}()
	d.driver, err = openDriver(ctx, c, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	d.classes, d.admitted = newClasses(d.driver, c.Image), map[docker.Spec]bool{}
	if err := d.policies.Require(ctx, d.admit); err != nil {
		return nil, errors.Join(err, d.driver.close(), listener.Close())
	}
	if n, err := d.driver.sweep(ctx); err != nil {
		return nil, errors.Join(err, d.driver.close(), listener.Close())
	} else if n > 0 {
		log.Info().Int("containers", n).Msg("removed what an earlier run left")
	}
	d.serve()
	return d, nil
}

func (d *daemon) serve() {
	c := d.config
	d.scheduler = scheduler.New(scheduler.Config{
		Start: d.unhurried(d.watched.timed(d.start)), Policy: d.schedulerPolicy,
		Min: c.MinContainers, Max: c.MaxContainers, Spare: c.Spare, QueueAll: c.QueueAll,
		Log: d.log,
	})
	d.scheduler.Open()
	d.rpc = rpc.New(rpc.Config{
		Runner: &networked{d.scheduler, d}, Version: buildVersion(), Boot: rand.Text(),
		Listen: d.listener.Addr(), Origins: c.Origin, Hosts: c.Host, Authenticate: d.authenticate,
		Modules: d.modules,
		Limits:  d.limits, Policy: d.rpcPolicy,
		MaxAllBundles: int64(c.AllBundles) << 20, KeepAllBytes: int64(max(c.Keep, keepAll)) << 20,
		MaxFrame: c.MaxFrame, MaxConnections: c.MaxConnections, MaxInFlight: c.MaxInFlight, MaxBuffered: int64(c.Buffers) << 20,
		Log: d.log, Observe: d.watched.observer(),
	})
	d.watched.serve(d)
	d.http = newHTTPServer(endOfBody(d.rpc))
	d.http.WriteTimeout, d.http.ErrorLog = writeTime, serverLog(d.log)
	d.limited = limitListener(d.listener, c.MaxConnections, d.log)
	served := d.limited
	if d.certificate != nil {
		served = d.certificate.listener(served)
	}
	go func() { d.served <- d.http.Serve(served) }()
}

// schedulerPolicy is what a tenant may have of the scheduler.
func (d *daemon) schedulerPolicy(tenant string) scheduler.Policy {
	p := d.policies.Of(tenant)
	return scheduler.Policy{
		Class: d.classes.of(p), Containers: p.Containers, Concurrency: p.Concurrency, Weight: p.Weight,
		Queue: p.Queue, QueueTime: p.QueueTime, Rate: p.Rate, Burst: p.Burst,
		IdleTimeout: p.IdleTimeout, MaxAge: p.MaxAge, MaxCalls: p.MaxCalls,
	}
}

// defaultClass is that of tenants which nothing is said of.
func (d *daemon) defaultClass() string { return d.classes.of(d.policies.Of("")) }

// start is what the scheduler starts containers by.
func (d *daemon) start(ctx context.Context, class string) (scheduler.Container, error) {
	container, err := d.startContainer(ctx, class)
	if errors.Is(err, docker.ErrNoImage) {
		select {
		case d.imageGone <- struct{}{}: // its name may stand for another one by now
		default:
		}
	}
	if err != nil {
		if d.failed != nil {
			d.failed(err)
		}
		return nil, err
	}
	if class == d.defaultClass() { // what is in a tenant's own image is nobody else's business
		hello := container.Agent()
		d.hello.Store(&hello)
	}
	return container, nil
}

func (d *daemon) startContainer(ctx context.Context, name string) (*containers.Container, error) {
	class := d.classes.find(name)
	process, err := d.driver.start(ctx, class.Spec)
	if err != nil {
		return nil, err
	}
	return containers.Open(ctx, process, class.Limits, d.log)
}

// modules is what scripts may require, as the agents say; nil until the first has said it.
func (d *daemon) modules() []string {
	if hello := d.hello.Load(); hello != nil {
		return hello.Modules
	}
	return nil
}

// announce prints what a person at a terminal wants to know.
func (d *daemon) announce(w io.Writer) {
	address := d.listener.Addr().String()
	if tcp := d.listener.Addr().(*net.TCPAddr); tcp.IP.IsUnspecified() {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	fmt.Fprintf(w, "jsd %s serves %s://%s with the %s driver\n", buildVersion(), d.config.scheme("ws"), address, d.driver.name)
	if admin := d.watched.admin; admin != nil {
		fmt.Fprintf(w, "metrics, status and profiles on http://%s\n", admin.listener.Addr())
	}
	if d.driver.name == "process" {
		fmt.Fprintln(w, "The process driver isolates nothing: for development only.")
	}
	fmt.Fprintf(w, "try: curl -s%s %s://%s/rpc -d '%s'\n", d.config.curl(), d.config.scheme("http"), address,
		`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":{"code":"6 * 7"}}`)
}

// Close drains and takes everything apart: clients first, so that no call comes in while containers end.
func (d *daemon) Close() error {
	drain, cancel := context.WithTimeout(context.Background(), d.config.DrainTimeout)
	defer cancel()
	err := ignoreDeadline(d.rpc.Shutdown(drain)) // cut off calls were answered with 1003
	err = errors.Join(err, d.http.Close())
	<-d.served
	d.credentials.Close()
	remove, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	defer context.AfterFunc(remove, d.driver.giveUp)()
	return errors.Join(err, d.scheduler.Close(remove), d.driver.close(), d.watched.close()) // in this order: the end can be watched, too
}

func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// newLog writes to stderr: JSON for machines, columns for a terminal.
func newLog(level string) zerolog.Logger {
	if level == "off" {
		return zerolog.Nop()
	}
	parsed, err := zerolog.ParseLevel(level)
	if err != nil {
		parsed = zerolog.InfoLevel // kong lets no other through
	}
	var w io.Writer = os.Stderr
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		w = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(parsed).With().Timestamp().Logger()
}
