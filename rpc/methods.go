package rpc

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"

	"github.com/jsd-project/jsd/call"
)

// A method is what clients may call, and how rpc.discover describes it.
type method struct {
	name    string
	summary string
	params  *shape
	result  reflect.Type // of what it answers
	errors  []call.Code  // codes that it may answer, beside those that any request may get
	socket  bool         // over a WebSocket only
	runs    bool         // it runs a script: there is a Report of each
	ends    bool         // it ends a call: also after the end of the credential
	handle  handler
}

// A handler checks the params of a request on the connection's reader and must not wait there. It
// gives back its result, or what has to wait.
type handler func(c *client, req *request) (result json.RawMessage, later later, err error)

// A later is called on the reader, too, once the request has one of the connection's slots in flight.
// What it gives back gets a goroutine, and ends soon after ctx does: when the client is gone, or
// cancels the request, which is what cancel does.
type later func(ctx context.Context, cancel func()) waiting

type waiting func() (json.RawMessage, error)

// newMethod has a handler called with params of type P; what it answers has the form of an R.
func newMethod[R, P any](name, summary string, handle func(c *client, req *request, params P) (json.RawMessage, later, error), errors ...call.Code) method {
	params := shapeOf(reflect.TypeFor[P]())
	tenant, takesTenant := params.byName["tenant"]
	return method{
		name: name, summary: summary, params: params, result: reflect.TypeFor[R](), errors: errors,
		handle: func(c *client, req *request) (json.RawMessage, later, error) {
			p, err := decodeParams[P](params, req.params, c.dialect.lenient())
			if err != nil {
				return nil, nil, err
			}
			if takesTenant {
				named := reflect.ValueOf(&p).Elem().FieldByIndex(params.fields[tenant].index).Interface().(*tenantName)
				if err := c.mayName(named); err != nil {
					req.tenant = c.identity.Tenant // it was they who asked
					return nil, nil, err
				}
			}
			return handle(c, req, p)
		},
	}
}

// running has each request reported, also those that are refused.
func (m method) running() method {
	m.runs = true
	return m
}

// ending lets a method end calls whose credential has come to its end.
func (m method) ending() method {
	m.ends = true
	return m
}

// overSocket leaves a method out of POST.
func (m method) overSocket() method {
	m.socket = true
	return m
}

const (
	executeName = "runtime.execute"
	openName    = "runtime.open"
)

func (s *Server) allMethods() []method {
	return []method{
		newMethod[Result](executeName, "Runs a script", s.execute,
			call.Exception, call.NotImplemented, call.Timeout, call.Cancelled, call.LimitExceeded, call.Lost, call.Busy, call.Forbidden, call.NotSerializable, call.NotFound).running(),
		newMethod[OpenResult](openName, "Evaluates a script and keeps its context for further calls", s.openSession,
			call.Exception, call.Timeout, call.Cancelled, call.LimitExceeded, call.Lost, call.Busy, call.Forbidden, call.NotFound).overSocket().running(),
		newMethod[struct{}]("runtime.close", "Ends a session", s.closeSession, call.Cancelled, call.Busy, call.Forbidden, call.NotFound).overSocket(),
		newMethod[Result]("runtime.attach", "Gives the outcome of an execution, once it has one", s.attach,
			call.Exception, call.NotImplemented, call.Timeout, call.Cancelled, call.LimitExceeded, call.Lost, call.Busy, call.Forbidden, call.NotSerializable, call.NotFound),
		newMethod[CancelResult]("runtime.cancel", "Cancels a call", s.cancel, call.Forbidden).ending(),
		newMethod[PutResult]("runtime.put", "Keeps a folder of sources", s.put, call.LimitExceeded, call.Forbidden),
		newMethod[struct{}]("runtime.stop", "Ends the containers of a tenant", s.stop, call.Busy, call.Forbidden),
		newMethod[Info]("runtime.info", "Says what this daemon is and may do", s.info, call.Forbidden),
		newMethod[document](discoverName, "Describes this protocol", s.discover, call.Forbidden),
	}
}

func byName(methods []method) map[string]method {
	m := make(map[string]method, len(methods))
	for _, method := range methods {
		m[method.name] = method
	}
	return m
}

type noParams struct{}

var empty = json.RawMessage("{}")

// Info is what runtime.info answers.
type Info struct {
	Version   string           `json:"version"`
	Boot      string           `json:"boot"`
	Languages []string         `json:"languages"`
	Modules   []string         `json:"modules"`
	Limits    map[string]int64 `json:"limits"`
}

func (s *Server) info(c *client, _ *request, _ noParams) (json.RawMessage, later, error) {
	return appendJSON(nil, s.describe(c.tenantOf(nil))), nil, nil
}

func (s *Server) describe(tenant string) Info {
	p := s.cfg.policy(tenant)
	info := Info{
		Version:   s.cfg.Version,
		Boot:      s.cfg.Boot,
		Languages: p.Languages,
		Modules:   []string{},
		Limits: map[string]int64{
			"timeout":     p.Timeout.Milliseconds(),
			"maxTimeout":  p.MaxTimeout.Milliseconds(),
			"frame":       p.Frame,
			"connections": int64(p.Connections),
			"inFlight":    int64(p.InFlight),
			"bundles":     s.bundles.Limit(tenant),
			"sessions":    int64(p.Sessions),
			"sessionIdle": p.SessionIdle.Milliseconds(),
			"kept":        p.KeepBytes,
			"keptTime":    p.KeepTime.Milliseconds(),
		},
	}
	if s.cfg.Limits != nil {
		maps.Copy(info.Limits, s.cfg.Limits(tenant))
	}
	if s.cfg.Modules != nil {
		info.Modules = append(info.Modules, s.cfg.Modules()...)
	}
	return info
}

type stopParams struct {
	Tenant *tenantName `json:"tenant"`
}

func (s *Server) stop(c *client, _ *request, p stopParams) (json.RawMessage, later, error) {
	return nil, func(context.Context, func()) waiting {
		return func() (json.RawMessage, error) {
			s.cfg.Runner.Stop(c.tenantOf(p.Tenant))
			return empty, nil
		}
	}, nil
}

// anyErrors are the codes of errors that any request may get.
var anyErrors = []call.Code{call.InvalidRequest, call.InvalidParams, call.InternalError}
