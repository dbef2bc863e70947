package rpc

import (
	"sync"

	"github.com/jsd-project/jsd/quota"
)

// perTenant counts things of tenants, such as sessions, up to a bound for each tenant.
type perTenant struct {
	mu sync.Mutex // guards what follows
	of map[string]int
}

// acquire counts one more. It returns false if the tenant has most already.
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

// release counts one less.
func (p *perTenant) release(tenant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[tenant]--; p.of[tenant] == 0 {
		delete(p.of, tenant)
	}
}

// A connectionCount knows for which tenants one connection is counted: each tenant that has made a call on it.
type connectionCount struct {
	mu      sync.Mutex // guards what follows
	tenants map[string]bool
}

// add counts the connection for a tenant until release. It returns false if the tenant has most connections already.
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

// release is called when the connection has closed.
func (c *connectionCount) release(of *perTenant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for tenant := range c.tenants {
		of.release(tenant)
	}
	c.tenants = nil
}

// A requestQuota bounds the bytes that all requests in flight take. A tenant may take a quarter of them, so that no tenant shuts out
// all others.
type requestQuota struct {
	max int64 // bytes

	mu      sync.Mutex // guards what follows
	tenants *quota.Account[string]
}

// newRequestQuota makes a quota of most bytes.
func newRequestQuota(most int64) *requestQuota {
	return &requestQuota{max: most, tenants: quota.NewAccount[string](most)}
}

// acquire takes n bytes for a request of the tenant. It returns false, and takes nothing, if there is no room. The caller releases
// the bytes.
func (q *requestQuota) acquire(tenant string, n int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	most := q.max / 4
	if q.tenants.Of(tenant) == 0 {
		most = q.max // a single frame may be longer than a quarter
	}
	return q.tenants.Acquire(tenant, n, most)
}

// release gives back bytes that acquire took.
func (q *requestQuota) release(tenant string, n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tenants.Add(tenant, -n)
}

// held returns the number of bytes that all requests take.
func (q *requestQuota) held() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tenants.Held()
}
