package rpc

import (
	"cmp"
	"slices"
	"time"
)

// Policy is what one tenant may have, as far as it is judged here. Where a default is named, zero stands for it.
type Policy struct {
	Timeout    time.Duration // of a call that names none; default 3 s
	MaxTimeout time.Duration // a call may name; default 60 s, and not below Timeout
	CPUBudget  time.Duration // of a call, at most; default its timeout
	Memory     int           // MiB that a call may name; default 256
	Languages  []string      // of its scripts; default all
	Once       bool          // each call has a container for itself, as with reuse: "call"; so there are no sessions

	Sessions    int           // at once; default 8
	SessionIdle time.Duration // after which a session without a call ends; default 10 min
	Bundles     int64         // bytes that its bundles may take; default 64 MiB
	KeepTime    time.Duration // for which the outcome of an execution stays known; default 5 min
	KeepBytes   int64         // that those outcomes may take; default 32 MiB

	// Default, and at most: what the Config says of every connection.
	Connections int   // on which it has made a call, and that are open
	InFlight    int   // its calls of one connection
	Frame       int64 // bytes of one request
}

// policy is asked anew with each request, so that a change shows in the next one.
func (c *Config) policy(tenant string) Policy {
	var p Policy
	if c.Policy != nil {
		p = c.Policy(tenant)
	}
	p.Timeout = cmp.Or(p.Timeout, 3*time.Second)
	p.MaxTimeout = max(cmp.Or(p.MaxTimeout, time.Minute), p.Timeout)
	p.Memory = cmp.Or(p.Memory, 256)
	p.Sessions = cmp.Or(p.Sessions, 8)
	p.SessionIdle = cmp.Or(p.SessionIdle, 10*time.Minute)
	p.Bundles = cmp.Or(p.Bundles, 64<<20)
	p.KeepTime = cmp.Or(p.KeepTime, 5*time.Minute)
	p.KeepBytes = cmp.Or(p.KeepBytes, 32<<20)
	p.Connections = min(cmp.Or(p.Connections, c.MaxConnections), c.MaxConnections)
	p.InFlight = min(cmp.Or(p.InFlight, c.MaxInFlight), c.MaxInFlight)
	p.Frame = min(cmp.Or(p.Frame, c.MaxFrame), c.MaxFrame)
	if p.Languages == nil {
		p.Languages = Languages()
	}
	return p
}

// Languages are those that there are.
func Languages() []string { return []string{languageJavaScript, languageTypeScript} }

func (p *Policy) allows(language string) bool { return slices.Contains(p.Languages, language) }

// cpu is the CPU budget of a call.
func (p *Policy) cpu(timeout time.Duration) time.Duration {
	if p.CPUBudget > 0 {
		return min(p.CPUBudget, timeout)
	}
	return timeout
}

// shares are what a tenant may have of connections, by its policy when the request was judged.
type shares struct{ connections, inFlight int }

// policyOf makes a request one of the tenant's, unless it is too long for that.
func (s *Server) policyOf(tenant string, req *request) (Policy, error) {
	p := s.cfg.policy(tenant)
	if int64(req.size) > p.Frame {
		return p, errFrameLimit
	}
	req.tenant, req.most = tenant, shares{p.Connections, p.InFlight}
	return p, nil
}

// join counts a connection among those of a tenant until it is closed. Where a tenant may have as many
// as there may be in all, nothing is counted.
func (s *Server) join(c *client, tenant string, most int) error {
	if most >= s.cfg.MaxConnections {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.joined[tenant]:
		return nil
	case s.joined[tenant] >= most:
		return errConnectionLimit
	case c.joined == nil:
		c.joined = map[string]bool{}
	}
	c.joined[tenant] = true
	s.joined[tenant]++
	return nil
}

func (s *Server) partLocked(c *client) {
	for tenant := range c.joined {
		if s.joined[tenant]--; s.joined[tenant] == 0 {
			delete(s.joined, tenant)
		}
	}
}
