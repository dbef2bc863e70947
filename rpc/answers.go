package rpc

import (
	"encoding/json"
	"maps"

	"github.com/jsd-project/jsd/bundles"
	"github.com/jsd-project/jsd/rpc/message"
)

type noParams struct{}

type cancelParams struct {
	ID        *message.RequestID `json:"id"`
	Execution *message.Name      `json:"execution"`
	tenantParam
}

// CancelResult is the result of runtime.cancel.
type CancelResult struct {
	Cancelled bool `json:"cancelled"` // there was such a call in flight
}

// cancel cancels a call of the connection by its id, or a call of the tenant by its execution.
func (s *service) cancel(p *peer, _ *message.Request, params cancelParams) (json.RawMessage, error) {
	var cancelled bool
	switch {
	case (params.ID != nil) == (params.Execution != nil):
		return nil, invalidParams("exactly one of id and execution must be there")
	case params.ID != nil:
		cancelled = p.cancelByID(string(*params.ID))
	case p.identity.expired():
		return nil, errExpired
	default:
		cancelled = s.executions.cancel(executionName{p.tenantOf(params.Tenant), string(*params.Execution)})
	}
	return message.AppendJSON(nil, CancelResult{cancelled}), nil
}

type stopParams struct{ tenantParam }

func (s *service) prepareStop(p *peer, _ *message.Request, params stopParams) (preparedRequest, origin, error) {
	return &stop{runner: s.cfg.Runner, tenant: p.tenantOf(params.Tenant)}, origin{}, nil
}

// A stop is a prepared runtime.stop. It ends the containers of a tenant.
type stop struct {
	attached
	runner Runner
	tenant string
}

func (s *stop) run(w waiter) {
	go func() {
		s.runner.Stop(s.tenant)
		w.finish(emptyObject, nil)
	}()
}

func (*stop) cancel(bool) {}

// Info is the result of runtime.info. Times among the limits are milliseconds, sizes are bytes.
type Info struct {
	Version   string           `json:"version"`
	Boot      string           `json:"boot"`
	Languages []string         `json:"languages"`
	Modules   []string         `json:"modules"`
	Limits    map[string]int64 `json:"limits"`
}

func (s *service) info(p *peer, _ *message.Request, _ noParams) (json.RawMessage, error) {
	return message.AppendJSON(nil, s.describe(p.tenantOf(nil))), nil
}

func (s *service) describe(tenant string) Info {
	info := Info{
		Version:   s.cfg.Version,
		Boot:      s.cfg.Boot,
		Languages: s.cfg.policy(tenant).Languages,
		Modules:   []string{},
		Limits:    map[string]int64{},
	}
	if s.cfg.Limits != nil {
		maps.Copy(info.Limits, s.cfg.Limits(tenant))
	}
	if s.cfg.Modules != nil {
		info.Modules = append(info.Modules, s.cfg.Modules()...)
	}
	return info
}

// putParams are the params of runtime.put.
type putParams struct {
	Files  *message.Files `json:"files" required:"true"`
	Upload *message.Name  `json:"upload"`
	More   *message.Flag  `json:"more"`
	tenantParam
}

// put runs on the reader, so the parts of an upload are added in the order in which they came.
func (s *service) put(p *peer, req *message.Request, params putParams) (json.RawMessage, error) {
	more, o := params.More.Is(), origin{tenant: p.tenantOf(params.Tenant)}
	if more && params.Upload == nil {
		return nil, invalidParams("upload must be there where there is more")
	}
	if _, err := s.policyFor(&o, req); err != nil {
		return nil, err
	}
	if err := s.countConnection(p, &o); err != nil {
		return nil, err
	}
	if params.Upload != nil {
		return p.uploads.add(s.bundles, string(*params.Upload), o.tenant, params.Files, more)
	}
	var f bundles.SourceTree
	if err := f.Add(params.Files.JSON, params.Files.Sources); err != nil {
		return nil, putError(err)
	}
	return putBundle(s.bundles, o.tenant, &f)
}

const (
	discoverMethod = "rpc.discover"
	metaSchema     = "https://meta.open-rpc.org/"
)

// OpenRPC is the result of rpc.discover: a document in the form of OpenRPC.
type OpenRPC struct{}

// Schema refers to the schema that the OpenRPC specification has for such documents.
func (OpenRPC) Schema() message.Schema { return message.Schema{"$ref": metaSchema} }

func (s *service) discover(*peer, *message.Request, noParams) (json.RawMessage, error) {
	return s.document, nil
}
