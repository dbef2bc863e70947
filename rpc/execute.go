package rpc

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/sourcegraph/jsonrpc2"

	"github.com/jsd-project/jsd/containers"
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
	bundle, err := s.find(&p.script, &policy)
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
	r := &run{client: c, req: req, tenant: tenantOf(p.Tenant), hidden: p.Secrets.strings(), detach: p.Detach.is()}
	r.keep = r.detach
	var shut error
	if p.Session != nil {
		shut = r.enter(string(*p.Session))
	}
	policy, err := s.policyOf(r.tenant, req)
	if err == nil {
		err = policy.permit(&p.script, p.Session != nil)
	}
	if err == nil {
		err = shut
	}
	return r, policy, err
}

// start runs calls in a container of the tenant.
func (s *Server) start(tenant string) func(func() blanker) task {
	return func(blank func() blanker) task {
		return func(ctx context.Context, call containers.Call) (json.RawMessage, error) {
			result, err := s.cfg.Runner.Run(ctx, tenant, call)
			return executed(result, err, call.Stats, blank)
		}
	}
}

// logCall writes the line of a call, with what it took from here, in ms. A failure's text is the
// script's own, so it is not in it.
func (s *Server) logCall(name executionName, took time.Duration, err error) {
	level, outcome := zerolog.InfoLevel, "ok"
	if err != nil {
		code := wireError(err).Code
		outcome = strconv.FormatInt(code, 10)
		if code == jsonrpc2.CodeInternalError || code == int64(codeLost) {
			level = zerolog.ErrorLevel
		}
	}
	if s.cfg.NoLogs && level == zerolog.InfoLevel {
		return
	}
	event := s.cfg.Log.WithLevel(level)
	if level == zerolog.ErrorLevel {
		event = event.Err(err)
	}
	event.Str("execution", name.id).Str("tenant", name.tenant).Str("outcome", outcome).
		Dur("run", took).Msg("call")
}
