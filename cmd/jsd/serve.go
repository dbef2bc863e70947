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
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/rpc"
	"github.com/jsd-project/jsd/scheduler"
)

const (
	headerTime = 10 * time.Second // for a client to send its request's header
	closeTime  = 20 * time.Second // for containers to be removed when the daemon ends
)

// A daemon is jsd, serving: what serve wires and Close takes apart.
//
//	client ─► http.Server ─► rpc.Server ─► Scheduler ─► Container ─► driver's process
type daemon struct {
	config    *serveCommand
	log       zerolog.Logger
	driver    *driver
	scheduler *scheduler.Scheduler
	rpc       *rpc.Server
	http      *http.Server
	listener  net.Listener
	hello     atomic.Pointer[containers.Hello] // of the newest container that is of no tenant's own image
	failed    func(error)                      // told why a container does not start; or nil
	served    chan error
}

// Run serves until ctx ends, then drains.
func (c *serveCommand) Run(ctx context.Context) error {
	if err := c.resolve(environment); err != nil {
		return err
	}
	d, err := open(ctx, c, newLog(c.LogLevel))
	if err != nil {
		return err
	}
	d.announce(os.Stdout)
	select {
	case <-ctx.Done():
		d.log.Info().Msg("ending: calls in flight may finish")
	case err = <-d.served:
		err = fmt.Errorf("serving %s: %w", c.Listen, err)
		d.served <- err // for Close, which waits for the same end
	}
	closeErr := d.Close()
	if errors.Is(closeErr, docker.ErrLeft) {
		closeErr = fmt.Errorf("%w\nthe next start with --instance %s removes what is left", closeErr, c.Instance)
	}
	return errors.Join(err, closeErr)
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
	d := &daemon{config: c, log: log, listener: listener, failed: failed, served: make(chan error, 1)}
	d.driver, err = openDriver(ctx, c, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
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
		Start: d.start, ClassOf: d.driver.classOf,
		Min: c.MinContainers, Max: c.MaxContainers, Spare: c.Spare,
		Concurrency: c.Concurrency, IdleTimeout: c.IdleTimeout,
		QueueTenant: c.QueueTenant, QueueAll: c.QueueAll, QueueTime: c.QueueTime,
		Log: d.log,
	})
	d.scheduler.Open()
	d.rpc = rpc.New(rpc.Config{
		Runner: budget{d.scheduler, c.CPUBudget}, Version: buildVersion(), Boot: rand.Text(),
		Listen: d.listener.Addr(), Origins: c.Origin, Secret: c.Secret,
		Modules: d.modules,
		Limits: map[string]int64{
			"memory": int64(c.Memory) << 20, "heap": int64(c.Heap) << 20, "result": int64(c.Result),
			"consoleLines": int64(c.ConsoleLines), "consoleBytes": int64(c.ConsoleBytes), "concurrency": int64(c.Concurrency),
		},
		Timeout: c.Timeout, MaxTimeout: c.MaxTimeout, MaxMemory: c.Memory,
		MaxBundles: int64(c.Bundles) << 20, MaxAllBundles: int64(c.AllBundles) << 20,
		MaxSessions: c.Sessions, SessionIdle: c.SessionIdle, KeepTime: c.KeepTime, KeepBytes: int64(c.Keep) << 20,
		KeepAllBytes: max(int64(c.Keep)<<20, 512<<20),
		MaxFrame:     c.MaxFrame, MaxConnections: c.MaxConnections, MaxInFlight: c.MaxInFlight,
		Log: d.log,
	})
	d.http = &http.Server{Handler: d.rpc, ReadHeaderTimeout: headerTime}
	go func() { d.served <- d.http.Serve(d.listener) }()
}

// start is what the scheduler starts containers by.
func (d *daemon) start(ctx context.Context, class string) (scheduler.Container, error) {
	container, err := d.startContainer(ctx, class)
	if err != nil {
		if d.failed != nil {
			d.failed(err)
		}
		return nil, err
	}
	if class == "" { // what is in a tenant's own image is nobody else's business
		hello := container.Agent()
		d.hello.Store(&hello)
	}
	return container, nil
}

func (d *daemon) startContainer(ctx context.Context, class string) (*containers.Container, error) {
	process, err := d.driver.start(ctx, class)
	if err != nil {
		return nil, err
	}
	c := d.config
	return containers.Open(ctx, process, containers.Limits{
		Concurrency: c.Concurrency, Workers: c.workers(), Heap: c.Heap, Memory: c.Memory,
		Result: c.Result, ConsoleLines: c.ConsoleLines, ConsoleBytes: c.ConsoleBytes, Modules: c.moduleList(),
	}, d.log)
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
	secret := ""
	if d.config.Secret != "" {
		secret = ` -H "x-runtime-secret: $SECRET"`
	}
	fmt.Fprintf(w, "jsd %s serves ws://%s with the %s driver\n", buildVersion(), address, d.driver.name)
	if d.driver.name == "process" {
		fmt.Fprintln(w, "The process driver isolates nothing: for development only.")
	}
	fmt.Fprintf(w, "try: curl -s%s http://%s/rpc -d '%s'\n", secret, address,
		`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":{"code":"6 * 7"}}`)
}

// Close drains and takes everything apart: clients first, so that no call comes in while containers end.
func (d *daemon) Close() error {
	drain, cancel := context.WithTimeout(context.Background(), d.config.DrainTimeout)
	defer cancel()
	err := ignoreDeadline(d.rpc.Shutdown(drain)) // cut off calls were answered with 1003
	err = errors.Join(err, d.http.Close())
	<-d.served
	remove, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	defer context.AfterFunc(remove, d.driver.giveUp)()
	return errors.Join(err, d.scheduler.Close(remove), d.driver.close())
}

func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// budget gives calls the CPU budget that the flags set; without one it is the call's timeout.
type budget struct {
	*scheduler.Scheduler
	cpu time.Duration
}

func (b budget) Run(ctx context.Context, tenant string, call containers.Call) (containers.Result, error) {
	return b.Scheduler.Run(ctx, tenant, b.give(call))
}

func (b budget) OpenSession(ctx context.Context, tenant string, call containers.Call) (containers.Session, error) {
	session, err := b.Scheduler.OpenSession(ctx, tenant, b.give(call))
	if err != nil {
		return nil, err
	}
	return budgetSession{session, b}, nil
}

func (b budget) give(call containers.Call) containers.Call {
	call.CPU = call.Timeout
	if b.cpu > 0 {
		call.CPU = min(call.CPU, b.cpu)
	}
	return call
}

// budgetSession does the same for the calls in a session.
type budgetSession struct {
	containers.Session
	budget budget
}

func (s budgetSession) Execute(ctx context.Context, call containers.Call) (containers.Result, error) {
	return s.Session.Execute(ctx, s.budget.give(call))
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
