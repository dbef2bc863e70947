package rpc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/jsd-project/jsd/call"
)

type openParams struct {
	script
}

// OpenResult is what runtime.open answers.
type OpenResult struct {
	Session string `json:"session"`
}

func (s *Server) openSession(c *client, req *request, p openParams) (json.RawMessage, later, error) {
	req.tenant, req.trace = c.tenantOf(p.Tenant), c.traceOf(p.Trace)
	if err := p.check(c); err != nil {
		return nil, nil, err
	}
	if p.Reuse != nil && *p.Reuse != reuseTenant {
		return nil, nil, invalidParams(`reuse must be "tenant" for a session`)
	}
	r := &run{method: openName, client: c, req: req, tenant: req.tenant, hidden: p.Secrets.strings()}
	policy, err := s.policyOf(r.tenant, req)
	if err != nil {
		return nil, nil, err
	}
	if policy.Once {
		return nil, nil, forbidden("reuse")
	}
	if err := policy.permit(&p.script, false); err != nil {
		return nil, nil, err
	}
	bundle, err := s.find(r.tenant, &p.script, &policy)
	if err != nil {
		return nil, nil, err
	}
	r.call = policy.limits(&p.script, bundle)
	r.call.Script = p.body(nil, nil, nil)
	r.start = func(func() blanker) task {
		return func(ctx context.Context, job call.Call) (json.RawMessage, spent, error) {
			return s.evaluate(ctx, r, job, policy.SessionIdle)
		}
	}
	return nil, func(ctx context.Context, cancel func()) waiting {
		if !s.reserveSession(r.tenant, policy.Sessions) {
			s.refuse(r.method, req, errSessionLimit)
			return func() (json.RawMessage, error) { return nil, errSessionLimit }
		}
		return s.begin(ctx, cancel, r)
	}, nil
}

// evaluate has a place for its session reserved, which is free again once that is gone.
func (s *Server) evaluate(ctx context.Context, r *run, job call.Call, idle time.Duration) (json.RawMessage, spent, error) {
	inner, result, err := s.cfg.Runner.OpenSession(ctx, r.tenant, job)
	if err != nil {
		s.releaseSession(r.tenant)
		return nil, spent{Result: result}, err
	}
	ss := newSession(rand.Text(), r.tenant, r.hidden, idle, inner)
	adopted := r.client.adopt(ss)
	s.goBackground(func() {
		<-inner.Done()
		ss.timer.Stop()
		r.client.disown(ss)
		s.releaseSession(ss.tenant)
		close(ss.gone)
	})
	if !adopted {
		inner.Close()
		return nil, spent{Result: result}, errCancelled
	}
	return appendJSON(nil, OpenResult{Session: ss.id}), spent{Result: result}, nil
}

func (s *Server) reserveSession(tenant string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[tenant] >= most {
		return false
	}
	s.sessions[tenant]++
	return true
}

func (s *Server) releaseSession(tenant string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[tenant]--; s.sessions[tenant] == 0 {
		delete(s.sessions, tenant)
	}
}

type closeParams struct {
	Session *text `json:"session" required:"true"`
}

// closeSession answers when nothing is left of the session, so that another may take its place.
func (s *Server) closeSession(c *client, _ *request, p closeParams) (json.RawMessage, later, error) {
	ss, err := c.session(string(*p.Session))
	if err != nil {
		return nil, nil, err
	}
	return nil, func(ctx context.Context, _ func()) waiting {
		ss.inner.Close()
		return func() (json.RawMessage, error) {
			select {
			case <-ss.gone:
				return empty, nil
			case <-ctx.Done():
				return nil, errCancelled
			}
		}
	}, nil
}
