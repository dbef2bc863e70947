package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/loopback"
	"github.com/jsd-project/jsd/rpc"
)

// maxFrame leaves room for what the link adds to a client's largest script.
const maxFrame = containers.MaxFrame - 1<<20

// serveCommand is every setting of `jsd serve`: a flag, an environment variable, a line of --help.
type serveCommand struct {
	Listen   string   `env:"JSD_LISTEN" placeholder:"ADDRESS:PORT" help:"What to serve on; port 0 takes a free one. Default: 127.0.0.1:8765, or $PORT: on all addresses where there is a credential."`
	Origin   []string `env:"JSD_ORIGIN" placeholder:"URL" help:"Origin of web pages that may connect, such as https://app.example.com. May be repeated."`
	Host     []string `env:"JSD_HOST" placeholder:"NAME" help:"Name that a daemon on loopback goes by in the header Host, as a proxy in front sends it. May be repeated."`
	Insecure bool     `env:"JSD_INSECURE" help:"Serve other addresses than loopback without a credential."`
	credentialFlags
	tlsFlags

	Driver string `default:"auto" enum:"auto,docker,process" env:"JSD_DRIVER" help:"What containers are: docker, process (no isolation, for development), or auto: docker where an engine answers."`
	sandboxFlags
	networkFlags
	tenantFlags

	Instance    string `env:"JSD_INSTANCE" placeholder:"NAME" help:"Label of this daemon's containers; the next start with the same one removes what is left of them, so no other daemon on the engine may have it. Default: from the listen address, such as at-127.0.0.1-8765."`
	Concurrency int    `default:"8" env:"JSD_CONCURRENCY" help:"Calls at once in a container."`

	Spare         int           `default:"2" env:"JSD_SPARE" help:"Containers kept ready for tenants to come."`
	MinContainers int           `default:"2" env:"JSD_MIN_CONTAINERS" help:"Containers that exist at any time, at least."`
	MaxContainers int           `env:"JSD_MAX_CONTAINERS" placeholder:"N" help:"Containers at any time, at most. Default: what 80 % of the machine's memory holds."`
	IdleTimeout   time.Duration `default:"5m" env:"JSD_IDLE_TIMEOUT" help:"A tenant's container without calls ends after this; 0: never."`
	QueueTenant   int           `default:"1000" env:"JSD_QUEUE_TENANT" help:"Calls of one tenant that may wait."`
	QueueAll      int           `default:"10000" env:"JSD_QUEUE_ALL" help:"Calls of all tenants that may wait."`
	QueueTime     time.Duration `default:"30s" env:"JSD_QUEUE_TIME" help:"How long a call may wait."`

	Timeout      time.Duration `env:"JSD_TIMEOUT" placeholder:"TIME" help:"Wall time of a call that names none. Default: 3s, or $TIMEOUT milliseconds."`
	MaxTimeout   time.Duration `default:"60s" env:"JSD_MAX_TIMEOUT" help:"The most a call may ask for."`
	CPUBudget    time.Duration `name:"cpu-budget" env:"JSD_CPU_BUDGET" placeholder:"TIME" help:"Processor time of a call. Default: its timeout."`
	Result       int           `default:"8388608" env:"JSD_RESULT" placeholder:"BYTES" help:"Largest value (${default} bytes of JSON)."`
	ConsoleLines int           `default:"1000" env:"JSD_CONSOLE_LINES" help:"Lines of console that a call may print."`
	ConsoleBytes int           `default:"65536" env:"JSD_CONSOLE_BYTES" help:"Bytes of console that a call may print."`

	Bundles    int `default:"64" env:"JSD_BUNDLES" placeholder:"MIB" help:"Bundles of sources kept for a tenant (${default} MiB)."`
	AllBundles int `default:"1024" env:"JSD_ALL_BUNDLES" placeholder:"MIB" help:"Bundles of sources kept for all tenants (${default} MiB)."`

	Sessions    int           `default:"8" env:"JSD_SESSIONS" help:"Sessions of a tenant at once."`
	SessionIdle time.Duration `default:"10m" env:"JSD_SESSION_IDLE" help:"A session without calls ends after this."`
	KeepTime    time.Duration `default:"5m" env:"JSD_KEEP_TIME" help:"How long the outcome of an execution stays known."`
	Keep        int           `default:"32" env:"JSD_KEEP" placeholder:"MIB" help:"Outcomes of executions kept for a tenant (${default} MiB)."`

	MaxFrame       int64         `default:"16777216" env:"JSD_MAX_FRAME" placeholder:"BYTES" help:"Largest frame from a client (${default} bytes)."`
	MaxConnections int           `default:"10000" env:"JSD_MAX_CONNECTIONS" help:"Connections at once."`
	MaxInFlight    int           `default:"1024" env:"JSD_MAX_IN_FLIGHT" help:"Calls in flight on one connection."`
	Buffers        int           `default:"1024" env:"JSD_BUFFERS" placeholder:"MIB" help:"Memory that all clients together may take by frames and replies on their way (${default} MiB), and again by calls in flight."`
	ImageCheck     time.Duration `default:"10s" env:"JSD_IMAGE_CHECK" help:"How often to look whether an image's name stands for another image (docker); 0: only on SIGHUP. New containers are of that one, the others are replaced."`
	DrainTimeout   time.Duration `default:"30s" env:"JSD_DRAIN_TIMEOUT" help:"How long calls in flight may go on after SIGTERM."`

	AdminListen    string `env:"JSD_ADMIN_LISTEN" placeholder:"ADDRESS:PORT" help:"Serve /metrics, /status and /debug/pprof/ on this loopback address. Default: nowhere."`
	MetricsTenants int    `default:"100" env:"JSD_METRICS_TENANTS" placeholder:"N" help:"Tenants whose calls are counted by name in /metrics, the first that come (${default}); all others are one."`

	LogLevel string `enum:",debug,info,warn,error,off" default:"" env:"JSD_LOG_LEVEL" placeholder:"LEVEL" help:"debug, info, warn, error or off. Default: info, or off with $NOLOGS."`

	tracing bool // OpenTelemetry's variables ask for traces
}

// sandboxFlags say what a container is made of, for every command that starts one.
type sandboxFlags struct {
	Image    string   `default:"jsd-runtime:latest" env:"JSD_IMAGE" help:"Runtime image (docker). The default one is built when it is missing."`
	Runtime  string   `env:"JSD_RUNTIME" placeholder:"NAME" help:"OCI runtime of the engine, such as runsc (docker). Default: the engine's own."`
	Node     string   `default:"node" env:"JSD_NODE" help:"Node 24.8 or newer (process)."`
	Packages string   `env:"JSD_PACKAGES" placeholder:"DIR" help:"A node_modules folder whose packages scripts may load (process). In containers these are the image's global ones."`
	Modules  []string `env:"JSD_MODULES" placeholder:"NAME" help:"Built-in modules and packages that scripts may load, instead of the default list."`

	Memory int     `default:"256" env:"JSD_MEMORY" placeholder:"MIB" help:"Memory of a container (${default} MiB)."`
	Heap   int     `default:"64" env:"JSD_HEAP" placeholder:"MIB" help:"JavaScript heap of one worker in it (${default} MiB)."`
	CPUs   float64 `name:"cpus" default:"1" env:"JSD_CPUS" help:"Processors a container may use (docker)."`
	PIDs   int     `name:"pids" default:"128" env:"JSD_PIDS" help:"Processes and threads in a container (docker)."`
	Tmp    int     `default:"16" env:"JSD_TMP" placeholder:"MIB" help:"Size of a container's /tmp (${default} MiB, docker)."`
}

// resolve checks what belongs together and fills in what depends on the machine or on javascriptd's
// environment: PORT (all addresses, with a credential such as SECRET), TIMEOUT (ms, also raises the maximum), NOLOGS.
// They stand behind the flags and variables of jsd's own.
func (c *serveCommand) resolve(environment func(string) string) error {
	if port := environment("PORT"); port != "" && c.Listen == "" {
		host := "127.0.0.1"
		if c.any() {
			host = ""
		}
		c.Listen = net.JoinHostPort(host, port)
	}
	if ms := environment("TIMEOUT"); ms != "" && c.Timeout == 0 {
		timeout, err := time.ParseDuration(ms + "ms")
		if err != nil || timeout <= 0 {
			return fmt.Errorf("TIMEOUT=%s: has to be a number of milliseconds above 0", ms)
		}
		c.Timeout = timeout
		c.MaxTimeout = max(c.MaxTimeout, timeout)
	}
	if environment("NOLOGS") != "" && c.LogLevel == "" {
		c.LogLevel = "off"
	}
	c.tracing = wantsTraces(environment)
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:8765")
	c.Timeout = cmp.Or(c.Timeout, 3*time.Second)
	c.LogLevel = cmp.Or(c.LogLevel, "info")
	if c.MaxContainers == 0 {
		c.MaxContainers = containersThatFit(c.Memory)
	}
	return c.check()
}

func (c *serveCommand) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: has to be ADDRESS:PORT, such as 127.0.0.1:8765", c.Listen)
	}
	if !c.any() && !c.Insecure && !loopback.Is(host) {
		return fmt.Errorf("--listen %s: refusing to serve this address without a credential; set SECRET or a key of tokens, or say --insecure", c.Listen)
	}
	for _, check := range []func() error{c.credentialFlags.check, c.tlsFlags.check} {
		if err := check(); err != nil {
			return err
		}
	}
	for _, name := range c.Host {
		if err := rpc.CheckHost(name); err != nil {
			return fmt.Errorf("--host: %w", err)
		}
	}
	if c.AdminListen != "" {
		if err := checkAdminListen(c.AdminListen); err != nil {
			return err
		}
	}
	for name, n := range map[string]int{
		"--memory": c.Memory, "--heap": c.Heap, "--pids": c.PIDs, "--tmp": c.Tmp, "--concurrency": c.Concurrency,
		"--max-containers": c.MaxContainers, "--result": c.Result, "--console-lines": c.ConsoleLines,
		"--console-bytes": c.ConsoleBytes, "--max-connections": c.MaxConnections, "--max-in-flight": c.MaxInFlight,
		"--queue-tenant": c.QueueTenant, "--queue-all": c.QueueAll, "--max-frame": int(c.MaxFrame),
		"--bundles": c.Bundles, "--all-bundles": c.AllBundles, "--sessions": c.Sessions, "--buffers": c.Buffers, "--keep": c.Keep,
		"--session-idle": int(c.SessionIdle), "--keep-time": int(c.KeepTime),
		"--timeout": int(c.Timeout), "--max-timeout": int(c.MaxTimeout), "--queue-time": int(c.QueueTime),
	} {
		if n <= 0 {
			return fmt.Errorf("%s has to be above 0", name)
		}
	}
	for name, n := range map[string]int{
		"--spare": c.Spare, "--min-containers": c.MinContainers, "--idle-timeout": int(c.IdleTimeout),
		"--metrics-tenants": c.MetricsTenants, "--cpu-budget": int(c.CPUBudget), "--drain-timeout": int(c.DrainTimeout), "--image-check": int(c.ImageCheck),
	} {
		if n < 0 {
			return fmt.Errorf("%s may not be negative", name)
		}
	}
	switch {
	case c.MaxFrame > maxFrame:
		return fmt.Errorf("--max-frame %d is more than the %d bytes that reach a container", c.MaxFrame, maxFrame)
	case c.CPUs <= 0:
		return errors.New("--cpus has to be above 0")
	case c.MinContainers > c.MaxContainers:
		return fmt.Errorf("--min-containers %d is more than --max-containers %d", c.MinContainers, c.MaxContainers)
	case c.Bundles > c.AllBundles:
		return fmt.Errorf("--bundles %d is more than --all-bundles %d", c.Bundles, c.AllBundles)
	}
	if _, _, err := c.reachable(); err != nil {
		return err
	}
	if err := c.tenantFlags.check(); err != nil {
		return err
	}
	defaults := c.defaults()
	return defaults.Check(flagOf)
}

// unguardedLoopback says that nobody but this machine can reach the daemon, and that anyone on it can.
func (c *serveCommand) unguardedLoopback() bool {
	host, _, _ := net.SplitHostPort(c.Listen)
	return loopback.Is(host) && !c.any()
}

// containersThatFit is how many containers of memory MiB take 80 % of the machine's.
func containersThatFit(memory int) int {
	total := machineMemory()
	if total == 0 || memory <= 0 {
		return 8
	}
	return max(2, total*8/10/memory)
}

// machineMemory is what there is in all, in MiB; 0 where the system does not tell.
func machineMemory() int {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int(uint64(info.Totalram) * uint64(info.Unit) >> 20)
}

func environment(name string) string { return os.Getenv(name) }

// moduleList is what --modules names; nil for the default list. A lone comma names nothing, so allows nothing.
func (f *sandboxFlags) moduleList() []string {
	if f.Modules == nil {
		return nil
	}
	names := []string{}
	for _, name := range f.Modules {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
