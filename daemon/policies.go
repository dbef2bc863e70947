package daemon

import (
	"fmt"

	"github.com/jsd-project/jsd/rpc"
	"github.com/jsd-project/jsd/tenants"
)

// retainAll is how many MiB the retained outcomes of all tenants may take. A larger --keep raises it.
const retainAll = 512

func (c *Settings) openPolicies() (*tenants.Policies, error) {
	policies, err := tenants.New(tenants.Config{
		Defaults: c.Policy, Languages: rpc.Languages(), File: c.Tenants,
		Bounds: tenants.Bounds{
			"bundles": int64(c.AllBundles), "keep": int64(max(c.Keep, retainAll)),
			"connections": int64(c.Connections), "inFlight": int64(c.InFlight), "frame": c.Frame,
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
		Memory: p.Memory, Languages: p.Languages, OneShot: p.Reuse == tenants.ReuseCall,
		Sessions: p.Sessions, SessionIdle: p.SessionIdle, Bundles: int64(p.Bundles) << 20,
		RetainTime: p.KeepTime, RetainBytes: int64(p.Keep) << 20,
		Connections: p.Connections, InFlight: p.InFlight, Frame: p.Frame,
	}
}

// limits are what runtime.info tells of a tenant's policy.
func (d *Daemon) limits(tenant string) map[string]int64 {
	told, p := map[string]int64{}, d.policies.Of(tenant)
	for _, row := range tenants.PolicyTable() {
		if row.Info != "" {
			told[row.Info] = row.Number(p)
		}
	}
	return told
}

// modules is what scripts may require, as the agents say; nil until the first has said it.
func (d *Daemon) modules() []string {
	if hello := d.hello.Load(); hello != nil {
		return hello.Modules
	}
	return nil
}
