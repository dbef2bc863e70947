package tenants

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jsd-project/jsd/egress"
)

// What of a container may be used again: Policy.Reuse.
const (
	ReuseTenant = "tenant" // by calls of the same tenant
	ReuseCall   = "call"   // nothing, by any
)

// Policy is every limit of one tenant: the part of the table of settings that a tenant may have its own values of.
// Table says what the tags mean. Nobody who gets a Policy from Policies may change it.
type Policy struct {
	Container
	Network

	Concurrency int      `key:"concurrency" env:"JSD_CONCURRENCY" default:"8" info:"concurrency" help:"Calls at once in a container."`
	Containers  int      `key:"containers" env:"JSD_CONTAINERS" default:"1" help:"Containers of a tenant at once, besides those that are used once."`
	Weight      int      `key:"weight" kong:"-"` // how often the tenant gets a container, against others that wait
	Languages   []string `key:"languages" env:"JSD_LANGUAGES" items:"names" placeholder:"NAME" help:"Languages of scripts. Default: all."`
	Reuse       string   `key:"reuse" env:"JSD_REUSE" default:"tenant" enum:"tenant,call" help:"Who may use a container again: calls of its tenant, or, with call, nobody."`

	Timeout    time.Duration `key:"timeout" env:"JSD_TIMEOUT" info:"timeout" placeholder:"TIME" help:"Wall time of a call that names none. Default: 3s, or $TIMEOUT milliseconds."`
	MaxTimeout time.Duration `key:"maxTimeout" env:"JSD_MAX_TIMEOUT" default:"60s" info:"maxTimeout" help:"The most a call may ask for."`
	CPUBudget  time.Duration `key:"cpuBudget" name:"cpu-budget" env:"JSD_CPU_BUDGET" zero:"yes" placeholder:"TIME" help:"Processor time of a call. Default: its timeout."`

	Queue     int           `key:"queue" name:"queue-tenant" env:"JSD_QUEUE_TENANT" default:"1000" help:"Calls of one tenant that may wait."`
	QueueTime time.Duration `key:"queueTime" env:"JSD_QUEUE_TIME" default:"30s" help:"How long a call may wait."`
	Rate      float64       `key:"rate" env:"JSD_RATE" zero:"yes" expects:"a number of calls a second, such as 50, or 0 for no bound" placeholder:"N" help:"Calls a second of a tenant. Default: no bound."`
	Burst     int           `key:"burst" env:"JSD_BURST" zero:"unset" placeholder:"N" help:"Calls at once that --rate allows. Default: as many as --rate."`

	Result       int `key:"result" env:"JSD_RESULT" default:"8388608" info:"result" placeholder:"BYTES" help:"Largest value (${default} bytes of JSON)."`
	ConsoleLines int `key:"consoleLines" env:"JSD_CONSOLE_LINES" default:"1000" info:"consoleLines" help:"Lines of console that a call may print."`
	ConsoleBytes int `key:"consoleBytes" env:"JSD_CONSOLE_BYTES" default:"65536" info:"consoleBytes" help:"Bytes of console that a call may print."`

	Sessions    int           `key:"sessions" env:"JSD_SESSIONS" default:"8" info:"sessions" help:"Sessions of a tenant at once."`
	SessionIdle time.Duration `key:"sessionIdle" env:"JSD_SESSION_IDLE" default:"10m" info:"sessionIdle" help:"A session without calls ends after this."`
	Bundles     int           `key:"bundles" env:"JSD_BUNDLES" default:"64" unit:"MiB" info:"bundles" placeholder:"MIB" help:"Bundles of sources kept for a tenant (${default} MiB)."`
	Keep        int           `key:"keep" env:"JSD_KEEP" default:"32" unit:"MiB" info:"kept" placeholder:"MIB" help:"Outcomes of executions kept for a tenant (${default} MiB)."`
	KeepTime    time.Duration `key:"keepTime" env:"JSD_KEEP_TIME" default:"5m" info:"keptTime" help:"How long the outcome of an execution stays known."`

	IdleTimeout time.Duration `key:"idleTimeout" env:"JSD_IDLE_TIMEOUT" default:"5m" zero:"yes" help:"A tenant's container without calls ends after this; 0: never."`
	MaxAge      time.Duration `key:"maxAge" env:"JSD_MAX_AGE" default:"1h" zero:"yes" help:"A container gets no more calls after this; 0: never."`
	MaxCalls    int           `key:"maxCalls" env:"JSD_MAX_CALLS" zero:"yes" placeholder:"N" help:"Calls that a container gets. Default: no bound."`

	Connections int   `key:"connections" name:"max-connections" env:"JSD_MAX_CONNECTIONS" default:"10000" info:"connections" help:"Connections at once."`
	InFlight    int   `key:"inFlight" name:"max-in-flight" env:"JSD_MAX_IN_FLIGHT" default:"1024" info:"inFlight" help:"Calls in flight on one connection."`
	Frame       int64 `key:"frame" name:"max-frame" env:"JSD_MAX_FRAME" default:"16777216" info:"frame" placeholder:"BYTES" help:"Largest frame from a client (${default} bytes)."`
}

// Container is what a container is made of, for every command that starts one.
type Container struct {
	Image   string  `key:"image" env:"JSD_IMAGE" default:"jsd-runtime:latest" expects:"the name of an image, such as acme-runtime:2" help:"Runtime image (docker). The default one is built when it is missing."`
	Runtime string  `key:"runtime" env:"JSD_RUNTIME" zero:"yes" expects:"the name of an OCI runtime, such as runsc, or \"\" for the engine's own" placeholder:"NAME" help:"OCI runtime of the engine, such as runsc (docker). Default: the engine's own."`
	Memory  int     `key:"memory" env:"JSD_MEMORY" default:"256" unit:"MiB" info:"memory" placeholder:"MIB" help:"Memory of a container (${default} MiB)."`
	Heap    int     `key:"heap" env:"JSD_HEAP" default:"64" unit:"MiB" info:"heap" placeholder:"MIB" help:"JavaScript heap of one worker in it (${default} MiB)."`
	CPUs    float64 `key:"cpus" name:"cpus" env:"JSD_CPUS" default:"1" expects:"a number above 0, such as 1.5" help:"Processors a container may use (docker)."`
	PIDs    int     `key:"pids" name:"pids" env:"JSD_PIDS" default:"128" help:"Processes and threads in a container (docker)."`
	Tmp     int     `key:"tmp" env:"JSD_TMP" default:"16" unit:"MiB" placeholder:"MIB" help:"Size of a container's /tmp (${default} MiB, docker)."`

	Modules []string `key:"modules" env:"JSD_MODULES" items:"names" placeholder:"NAME" help:"Built-in modules and packages that scripts may load, instead of the default list."`
}

// Network is what scripts reach, for every command that runs some.
type Network struct {
	Hosts    []string `key:"hosts" env:"JSD_HOSTS" items:"texts" placeholder:"NAME[:PORT]" help:"Hosts that scripts may connect to, *.NAME among them, on ports 80 and 443 where none is named. Default: none."`
	Networks []string `key:"networks" env:"JSD_NETWORKS" items:"texts" placeholder:"CIDR" help:"Ranges of addresses, such as 10.1.0.0/16, that these hosts may be in although they are not public. Default: none."`

	hosts    []egress.Host  // what Hosts says
	networks []netip.Prefix // what Networks says
}

// Reach is what Hosts and Networks say, of a Policy that Policies gave.
func (n *Network) Reach() ([]egress.Host, []netip.Prefix) { return n.hosts, n.networks }

// parsed takes each of texts apart; nil of none.
func parsed[T any](texts []string, parse func(string) (T, error)) (all []T, err error) {
	for _, text := range texts {
		one, err := parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// judge says what is wrong with the value of a key, beyond what its row of the table says. languages are those
// there are.
func (p *Policy) judge(key string, languages []string) (err error) {
	switch key {
	case "hosts":
		p.hosts, err = parsed(p.Hosts, egress.ParseHost)
	case "networks":
		p.networks, err = parsed(p.Networks, egress.ParseNetwork)
	case "languages":
		err = checkLanguages(p.Languages, languages)
	}
	return err
}

// A conflict is a limit that does not go with another one, or with what there is.
type conflict struct {
	key, other string // as in the file; other may be empty
	text       string
}

func (c *conflict) Error() string { return c.text }

// conflict judges the limits by each other. The error calls each what name makes of its key in the file.
func (p *Policy) conflict(name func(key string) string) *conflict {
	above := func(key string, value any, other string, bound any) *conflict {
		return &conflict{key, other, fmt.Sprintf("%s %v is more than %s %v", name(key), value, name(other), bound)}
	}
	switch {
	case p.Timeout > p.MaxTimeout:
		return above("timeout", p.Timeout, "maxTimeout", p.MaxTimeout)
	case p.Heap > p.Memory:
		return above("heap", p.Heap, "memory", p.Memory)
	case p.Burst > 0 && p.Rate == 0:
		return &conflict{"burst", "rate", fmt.Sprintf("%s needs a %s", name("burst"), name("rate"))}
	default:
		return nil
	}
}

// Bounds are what no tenant may be given more of, by key, since all tenants together have no more. What is counted
// in MiB is so here.
type Bounds map[string]int64

func (b Bounds) conflict(p *Policy) *conflict {
	for i := range policyTable {
		row := &policyTable[i]
		most, bounded := b[row.Key]
		if !bounded {
			continue
		}
		if value := row.number(p); value > most {
			return &conflict{key: row.Key, text: fmt.Sprintf("%s %d is more than the daemon's own %d", row.Key, value, most)}
		}
	}
	return nil
}

// complete fills in what follows from other limits.
func (p *Policy) complete() {
	p.Weight = cmp.Or(p.Weight, 1)
	if p.Rate > 0 && p.Burst == 0 {
		p.Burst = int(max(1, math.Ceil(min(p.Rate, maxCount))))
	}
}

// CheckFlags says what is wrong with limits that came by flags, in whose names the error speaks, beyond the numbers
// that Check judges, and takes apart what scripts may reach. languages are those there are.
func (p *Policy) CheckFlags(languages []string) error {
	for i := range policyTable {
		row := &policyTable[i]
		if err := p.judge(row.Key, languages); err != nil {
			return fmt.Errorf("%s %w", row.Flag, err)
		}
	}
	if c := p.conflict(flagOf); c != nil {
		return c
	}
	return nil
}

func flagOf(key string) string { return rowOf(key).Flag }

// checkLanguages says whether each of names is one of known, and that there is one.
func checkLanguages(names, known []string) error {
	if len(names) == 0 {
		return fmt.Errorf("has to name one of %s, at least", strings.Join(known, ", "))
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("has to be of %s, and %.100q is none", strings.Join(known, ", "), name)
		}
	}
	return nil
}

var policyTable = Table(reflect.TypeFor[Policy]())

// PolicyTable is the table of what a tenant may have of its own.
func PolicyTable() []Setting { return policyTable }

func rowOf(key string) *Setting {
	for i := range policyTable {
		if policyTable[i].Key == key {
			return &policyTable[i]
		}
	}
	return nil
}
