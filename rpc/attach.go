package rpc

import (
	"context"
	"encoding/json"
)

type attachParams struct {
	Execution *executionID `json:"execution" required:"true"`
	Tenant    *tenantName  `json:"tenant"`
}

// attach answers as the execution's own request does. Cancelling it ends no more than the waiting.
func (s *Server) attach(c *client, req *request, p attachParams) (json.RawMessage, later, error) {
	tenant := c.tenantOf(p.Tenant)
	if _, err := s.policyOf(tenant, req); err != nil {
		return nil, nil, err
	}
	x := s.executions.find(executionName{tenant, string(*p.Execution)})
	if x == nil {
		return nil, nil, errNotFound
	}
	return nil, func(ctx context.Context, _ func()) waiting {
		return func() (json.RawMessage, error) { return x.wait(ctx, false) }
	}, nil
}

type cancelParams struct {
	ID        *requestID   `json:"id"`
	Execution *executionID `json:"execution"`
	Tenant    *tenantName  `json:"tenant"`
}

// CancelResult is what runtime.cancel answers.
type CancelResult struct {
	Cancelled bool `json:"cancelled"` // whether there was such a call in flight
}

func (s *Server) cancel(c *client, _ *request, p cancelParams) (json.RawMessage, later, error) {
	var cancelled bool
	switch {
	case (p.ID != nil) == (p.Execution != nil):
		return nil, nil, invalidParams("exactly one of id and execution must be there")
	case p.ID != nil:
		cancelled = c.cancel(string(*p.ID))
	case c.identity.expired():
		return nil, nil, errExpired
	default:
		cancelled = s.executions.cancel(executionName{c.tenantOf(p.Tenant), string(*p.Execution)})
	}
	return appendJSON(nil, CancelResult{cancelled}), nil, nil
}

// cancel tells whether there was one that runs.
func (e *executions) cancel(name executionName) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.known[name]
	if x == nil || x.ended {
		return false
	}
	x.cancel()
	return true
}
