package daemon

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/jsd-project/jsd/rpc"
	"github.com/jsd-project/jsd/tenants"
)

// keepAll is how many MiB the kept outcomes of all tenants take.
const keepAll = 512

// Tenancy are what tenants may have besides what others need to know.
type Tenancy struct {
	Tenants string `env:"JSD_TENANTS" placeholder:"FILE" help:"Limits of tenants and other defaults than these flags, in YAML. SIGHUP reads it again."`

	Containers int           `default:"1" env:"JSD_CONTAINERS" help:"Containers of a tenant at once, besides those that are used once."`
	Languages  []string      `env:"JSD_LANGUAGES" placeholder:"NAME" help:"Languages of scripts. Default: all."`
	Reuse      string        `default:"tenant" enum:"tenant,call" env:"JSD_REUSE" help:"Who may use a container again: calls of its tenant, or, with call, nobody."`
	MaxAge     time.Duration `default:"1h" env:"JSD_MAX_AGE" help:"A container gets no more calls after this; 0: never."`
	MaxCalls   int           `env:"JSD_MAX_CALLS" placeholder:"N" help:"Calls that a container gets. Default: no bound."`
	Rate       float64       `env:"JSD_RATE" placeholder:"N" help:"Calls a second of a tenant. Default: no bound."`
	Burst      int           `env:"JSD_BURST" placeholder:"N" help:"Calls at once that --rate allows. Default: as many as --rate."`
}

func (f *Tenancy) check() error {
	for name, n := range map[string]int{"--max-age": int(f.MaxAge), "--max-calls": f.MaxCalls, "--burst": f.Burst} {
		if n < 0 {
			return fmt.Errorf("%s may not be negative", name)
		}
	}
	if !(f.Rate >= 0 && f.Rate <= 1e9) {
		return errors.New("--rate has to be from 0 to 1000000000")
	}
	if f.Containers <= 0 {
		return errors.New("--containers has to be above 0")
	}
	if f.Languages == nil {
		return nil
	}
	if err := tenants.CheckLanguages(f.Languages, rpc.Languages()); err != nil {
		return fmt.Errorf("--languages %w", err)
	}
	return nil
}

// defaults are the flags as the policy of a tenant that no file says anything of.
func (c *Settings) defaults() tenants.Policy {
	hosts, networks, _ := c.reachable() // checked before
	p := tenants.Policy{
		Image: c.Image, Runtime: c.Runtime, Memory: c.Memory, Heap: c.Heap, CPUs: c.CPUs, PIDs: c.PIDs, Tmp: c.Tmp,
		Modules: c.moduleList(), Hosts: hosts, Networks: networks,
		Concurrency: c.Concurrency, Containers: c.Containers, Weight: 1,
		Languages: c.Languages, Reuse: c.Reuse,
		Timeout: c.Timeout, MaxTimeout: c.MaxTimeout, CPUBudget: c.CPUBudget,
		Queue: c.QueueTenant, QueueTime: c.QueueTime, Rate: c.Rate, Burst: c.Burst,
		Result: c.Result, ConsoleLines: c.ConsoleLines, ConsoleBytes: c.ConsoleBytes,
		Sessions: c.Sessions, SessionIdle: c.SessionIdle, Bundles: c.Bundles, Keep: c.Keep, KeepTime: c.KeepTime,
		IdleTimeout: c.IdleTimeout, MaxAge: c.MaxAge, MaxCalls: c.MaxCalls,
		Connections: c.MaxConnections, InFlight: c.MaxInFlight, Frame: c.MaxFrame,
	}
	if p.Languages == nil {
		p.Languages = rpc.Languages()
	}
	return p
}

// flagOf is the flag of a limit that the file calls key.
func flagOf(key string) string {
	var b strings.Builder
	b.WriteString("--")
	for _, r := range key {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func (c *Settings) openPolicies() (*tenants.Policies, error) {
	policies, err := tenants.New(tenants.Config{
		Defaults: c.defaults(), Languages: rpc.Languages(), File: c.Tenants,
		Bounds: tenants.Bounds{
			Bundles: c.AllBundles, Keep: max(c.Keep, keepAll),
			Connections: c.MaxConnections, InFlight: c.MaxInFlight, Frame: c.MaxFrame,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("--tenants %w", err)
	}
	return policies, nil
}

// rpcPolicy is the part of a policy that is judged before a call reaches the scheduler.
func (d *Daemon) rpcPolicy(tenant string) rpc.Policy {
	p := d.policies.Of(tenant)
	return rpc.Policy{
		Timeout: p.Timeout, MaxTimeout: p.MaxTimeout, CPUBudget: p.CPUBudget,
		Memory: p.Memory, Languages: p.Languages, Once: p.Reuse == tenants.ReuseCall,
		Sessions: p.Sessions, SessionIdle: p.SessionIdle, Bundles: int64(p.Bundles) << 20,
		KeepTime: p.KeepTime, KeepBytes: int64(p.Keep) << 20,
		Connections: p.Connections, InFlight: p.InFlight, Frame: p.Frame,
	}
}

// limits are what runtime.info tells beside those.
func (d *Daemon) limits(tenant string) map[string]int64 {
	p := d.policies.Of(tenant)
	return map[string]int64{
		"memory": int64(p.Memory) << 20, "heap": int64(p.Heap) << 20, "result": int64(p.Result),
		"consoleLines": int64(p.ConsoleLines), "consoleBytes": int64(p.ConsoleBytes), "concurrency": int64(p.Concurrency),
	}
}
