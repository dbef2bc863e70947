package daemon

import (
	"cmp"
	"fmt"
	"net"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/loopback"
	"github.com/jsd-project/jsd/rpc"
	"github.com/jsd-project/jsd/tenants"
)

// MaxFrame leaves room for what the link adds to a client's largest script.
const MaxFrame = containers.MaxFrame - 1<<20

// Settings is the table of all settings of `jsd serve`: each is a flag, an environment variable, a line of --help.
// What a tenant may have of its own is in Policy. tenants.Setting says what the tags mean.
type Settings struct {
	Listen   string   `env:"JSD_LISTEN" placeholder:"ADDRESS:PORT" help:"What to serve on; port 0 takes a free one. Default: 127.0.0.1:8765, or $PORT: on all addresses where there is a credential."`
	Origin   []string `env:"JSD_ORIGIN" placeholder:"URL" help:"Origin of web pages that may connect, such as https://app.example.com. May be repeated."`
	Host     []string `env:"JSD_HOST" placeholder:"NAME" help:"Name that a daemon on loopback goes by in the header Host, as a proxy in front sends it. May be repeated."`
	Insecure bool     `env:"JSD_INSECURE" help:"Serve other addresses than loopback without a credential."`
	Credentials
	TLS

	Driver   string `default:"auto" enum:"auto,docker,process" env:"JSD_DRIVER" help:"What containers are: docker, process (no isolation, for development), or auto: docker where an engine answers."`
	Instance string `env:"JSD_INSTANCE" placeholder:"NAME" help:"Label of this daemon's containers; the next start with the same one removes what is left of them, so no other daemon on the engine may have it. Default: from the listen address, such as at-127.0.0.1-8765."`
	Process
	tenants.Policy        // of tenants that the file says nothing of
	Tenants        string `env:"JSD_TENANTS" placeholder:"FILE" help:"Limits of tenants and other defaults than these flags, in YAML. SIGHUP reads it again."`

	Spare         int `default:"2" env:"JSD_SPARE" zero:"yes" help:"Containers kept ready for tenants to come."`
	MinContainers int `default:"2" env:"JSD_MIN_CONTAINERS" zero:"yes" help:"Containers that exist at any time, at least."`
	MaxContainers int `env:"JSD_MAX_CONTAINERS" placeholder:"N" help:"Containers at any time, at most. Default: what 80 % of the machine's memory holds."`
	QueueAll      int `default:"10000" env:"JSD_QUEUE_ALL" help:"Calls of all tenants that may wait."`
	AllBundles    int `default:"1024" env:"JSD_ALL_BUNDLES" unit:"MiB" placeholder:"MIB" help:"Bundles of sources kept for all tenants (${default} MiB)."`
	Buffers       int `default:"1024" env:"JSD_BUFFERS" unit:"MiB" placeholder:"MIB" help:"Memory that all clients together may take by frames and replies on their way (${default} MiB), and again by calls in flight."`

	ImageCheck     time.Duration `default:"10s" env:"JSD_IMAGE_CHECK" zero:"yes" help:"How often to look whether an image's name stands for another image (docker); 0: only on SIGHUP. New containers are of that one, the others are replaced."`
	DrainTimeout   time.Duration `default:"30s" env:"JSD_DRAIN_TIMEOUT" zero:"yes" help:"How long calls in flight may go on after SIGTERM."`
	AdminListen    string        `env:"JSD_ADMIN_LISTEN" placeholder:"ADDRESS:PORT" help:"Serve /metrics, /status and /debug/pprof/ on this loopback address. Default: nowhere."`
	MetricsTenants int           `default:"100" env:"JSD_METRICS_TENANTS" placeholder:"N" zero:"yes" help:"Tenants whose calls are counted by name in /metrics, the first that come (${default}); all others are one."`
	LogLevel       string        `enum:",debug,info,warn,error,off" default:"" env:"JSD_LOG_LEVEL" placeholder:"LEVEL" help:"debug, info, warn, error or off. Default: info, or off with $NOLOGS."`

	Traces bool `kong:"-"` // OpenTelemetry's variables ask for them
}

// Process is what the process driver needs, for every command that starts containers.
type Process struct {
	Node     string `default:"node" env:"JSD_NODE" help:"Node 24.8 or newer (process)."`
	Packages string `env:"JSD_PACKAGES" placeholder:"DIR" help:"A node_modules folder whose packages scripts may load (process). In containers these are the image's global ones."`
}

// Table is the table of settings as its rows.
var Table = tenants.Table(reflect.TypeFor[Settings]())

// Resolve fills in the settings that depend on the machine or on the environment variables of javascriptd, and checks all settings.
// New needs resolved settings. The variables are PORT (all addresses, with a credential such as SECRET), TIMEOUT (ms, also raises the maximum), NOLOGS.
// They stand behind the flags and variables of jsd's own.
func (c *Settings) Resolve(environment func(string) string) error {
	if port := environment("PORT"); port != "" && c.Listen == "" {
		host := "127.0.0.1"
		if c.HasCredential() {
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
	c.Traces = wantsTraces(environment)
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:8765")
	c.Timeout = cmp.Or(c.Timeout, 3*time.Second)
	c.LogLevel = cmp.Or(c.LogLevel, "info")
	if c.MaxContainers == 0 {
		c.MaxContainers = containersThatFit(c.Memory)
	}
	if c.Languages == nil {
		c.Languages = rpc.Languages()
	}
	c.Modules = names(c.Modules)
	return c.check()
}

func (c *Settings) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: has to be ADDRESS:PORT, such as 127.0.0.1:8765", c.Listen)
	}
	if !c.HasCredential() && !c.Insecure && !loopback.Is(host) {
		return fmt.Errorf("--listen %s: refusing to serve this address without a credential; set SECRET or a key of tokens, or say --insecure", c.Listen)
	}
	for _, check := range []func() error{c.Credentials.check, c.TLS.check} {
		if err := check(); err != nil {
			return err
		}
	}
	for _, origin := range c.Origin {
		if _, err := rpc.ParseOrigin(origin); err != nil {
			return fmt.Errorf("--origin %s: %w", origin, err)
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
	if err := tenants.Check(Table, c); err != nil {
		return err
	}
	switch {
	case c.Frame > MaxFrame:
		return fmt.Errorf("--max-frame %d is more than the %d bytes that reach a container", c.Frame, MaxFrame)
	case c.MinContainers > c.MaxContainers:
		return fmt.Errorf("--min-containers %d is more than --max-containers %d", c.MinContainers, c.MaxContainers)
	case c.Bundles > c.AllBundles:
		return fmt.Errorf("--bundles %d is more than --all-bundles %d", c.Bundles, c.AllBundles)
	}
	return c.CheckFlags(rpc.Languages())
}

// DefaultAdmin is where jsd status looks, and where others are told to listen.
const DefaultAdmin = "127.0.0.1:8766"

// checkAdminListen refuses what others than this machine could reach: there is no credential.
func checkAdminListen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--admin-listen %s: has to be ADDRESS:PORT, such as %s", address, DefaultAdmin)
	}
	if !loopback.Is(host) {
		return fmt.Errorf("--admin-listen %s: has to be a loopback address, such as %s: there is no credential for what it shows", address, DefaultAdmin)
	}
	return nil
}

// unguardedLoopback says that nobody but this machine can reach the daemon, and that anyone on it can.
func (c *Settings) unguardedLoopback() bool {
	host, _, _ := net.SplitHostPort(c.Listen)
	return loopback.Is(host) && !c.HasCredential()
}

// containersThatFit is how many containers of memory MiB take 80 % of the machine's.
func containersThatFit(memory int) int {
	total := MachineMemory()
	if total == 0 || memory <= 0 {
		return 8
	}
	return max(2, total*8/10/memory)
}

// MachineMemory is what there is in all, in MiB; 0 where the system does not tell.
func MachineMemory() int {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int(uint64(info.Totalram) * uint64(info.Unit) >> 20)
}

// names leaves out empty names. nil stays nil, which means the default list; so a single comma allows nothing.
func names(list []string) []string {
	if list == nil {
		return nil
	}
	found := []string{}
	for _, name := range list {
		if name = strings.TrimSpace(name); name != "" {
			found = append(found, name)
		}
	}
	return found
}
