package rpc

import (
	"context"
	"encoding/json"

	"github.com/jsd-project/jsd/call"
)

// executeParams is the params of runtime.execute.
type executeParams struct {
	script
	Session   *text        `json:"session"`
	Call      *source      `json:"call"`
	Caller    *source      `json:"caller"`
	Args      *array       `json:"args"`
	Stats     *flag        `json:"stats"`
	Execution *executionID `json:"execution"`
	Detach    *flag        `json:"detach"`
}

func (s *Server) execute(c *client, req *request, p executeParams) (json.RawMessage, later, error) {
	req.trace = c.traceOf(p.Trace)
	if p.Session == nil {
		req.tenant = c.tenantOf(p.Tenant)
	}
	if err := p.check(c); err != nil {
		return nil, nil, err
	}
	r, policy, err := s.newRun(c, req, &p)
	if err != nil {
		return nil, nil, err
	}
	if p.Execution != nil {
		r.name, r.keep = string(*p.Execution), true
		if x := s.executions.ran(executionName{r.tenant, r.name}); x != nil { // though its bundle may be gone
			return nil, func(ctx context.Context, _ func()) waiting { return joined(ctx, x) }, nil
		}
	}
	bundle, err := s.find(r.tenant, &p.script, &policy)
	if err != nil {
		return nil, nil, err
	}
	r.call = policy.call(&p, bundle)
	if r.start = s.start(r.tenant); r.session != nil {
		r.start = r.session.start(r.detach)
	}
	return nil, func(ctx context.Context, cancel func()) waiting { return s.begin(ctx, cancel, r) }, nil
}

// newRun judges whose call it is and what that tenant may ask for, and then where it runs.
func (s *Server) newRun(c *client, req *request, p *executeParams) (*run, Policy, error) {
	r := &run{method: executeName, client: c, req: req, tenant: c.tenantOf(p.Tenant), hidden: p.Secrets.strings(), detach: p.Detach.is()}
	r.keep = r.detach
	var shut error
	if p.Session != nil {
		shut = r.enter(string(*p.Session))
	}
	policy, err := s.policyOf(r.tenant, req)
	if err == nil {
		err = policy.permit(&p.script, p.Session != nil)
	}
	if p.Session != nil && r.session == nil {
		req.tenant = "" // nobody's
	}
	if err == nil {
		err = shut
	}
	return r, policy, err
}

// start runs calls in a container of the tenant.
func (s *Server) start(tenant string) func(func() blanker) task {
	return func(blank func() blanker) task {
		return func(ctx context.Context, job call.Call) (json.RawMessage, spent, error) {
			result, err := s.cfg.Runner.Run(ctx, tenant, job)
			reply, err := executed(result, err, job.Stats, blank)
			return reply, spent{Result: result}, err
		}
	}
}
