package rpc

import "sync"

// perTenant counts what tenants have of something, up to a bound for each.
type perTenant struct {
	mu sync.Mutex // guards what follows
	of map[string]int
}

// acquire counts one more, or reports false where the tenant has most already.
func (p *perTenant) acquire(tenant string, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[tenant] >= most {
		return false
	}
	if p.of == nil {
		p.of = map[string]int{}
	}
	p.of[tenant]++
	return true
}

// release gives one back.
func (p *perTenant) release(tenant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[tenant]--; p.of[tenant] == 0 {
		delete(p.of, tenant)
	}
}

// A connectionCount is the tenants that one connection counts for among the connections of each.
type connectionCount struct {
	mu      sync.Mutex // guards what follows
	tenants map[string]bool
}

// add counts the connection among those of a tenant until release, and reports false where the tenant has most already.
func (c *connectionCount) add(of *perTenant, tenant string, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tenants[tenant] {
		return true
	}
	if !of.acquire(tenant, most) {
		return false
	}
	if c.tenants == nil {
		c.tenants = map[string]bool{}
	}
	c.tenants[tenant] = true
	return true
}

// release is for a connection that is gone.
func (c *connectionCount) release(of *perTenant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for tenant := range c.tenants {
		of.release(tenant)
	}
	c.tenants = nil
}
