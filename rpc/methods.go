package rpc

import (
	"encoding/json"
	"reflect"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// A method is a row of the table of methods: its handler, and its description for rpc.discover.
type method struct {
	name    string
	summary string
	params  *message.Shape
	result  reflect.Type
	errors  []call.Code // besides anyErrors
	socket  bool        // it may be called over a WebSocket only
	runs    bool        // it runs a script: each request gets a Report
	ends    bool        // it only ends a call: it may be called after the credential has expired
	handle  handler
}

// A handler checks the params of a request. It runs on the connection's reader and must not wait. It returns the result, or a
// preparedRequest if the request has to wait for something. With an error, the origin has what the handler had found out by then.
type handler func(p *peer, req *message.Request) (json.RawMessage, preparedRequest, origin, error)

// immediate makes a method that answers at once. P is the type of its params, R that of its result.
func immediate[R, P any](name, summary string, answer func(p *peer, req *message.Request, params P) (json.RawMessage, error), errors ...call.Code) method {
	return newMethod[R](name, summary, func(p *peer, req *message.Request, params P) (json.RawMessage, preparedRequest, origin, error) {
		result, err := answer(p, req, params)
		return result, nil, origin{}, err
	}, errors)
}

// preparing makes a method that prepares a request, which then has to wait. P is the type of its params, R that of its result.
func preparing[R, P any](name, summary string, prepare func(p *peer, req *message.Request, params P) (preparedRequest, origin, error), errors ...call.Code) method {
	return newMethod[R](name, summary, func(p *peer, req *message.Request, params P) (json.RawMessage, preparedRequest, origin, error) {
		prepared, o, err := prepare(p, req, params)
		return nil, prepared, o, err
	}, errors)
}

func newMethod[R, P any](name, summary string, handle func(p *peer, req *message.Request, params P) (json.RawMessage, preparedRequest, origin, error), errors []call.Code) method {
	params := message.ShapeOf(reflect.TypeFor[P]())
	return method{
		name: name, summary: summary, params: params, result: reflect.TypeFor[R](), errors: errors,
		handle: func(p *peer, req *message.Request) (json.RawMessage, preparedRequest, origin, error) {
			decoded, wrong := message.Decode[P](params, req.Params, p.codec.Lenient())
			if wrong != nil {
				return nil, nil, origin{}, wrong
			}
			if names, ok := any(&decoded).(interface{ named() *message.Name }); ok {
				if err := p.mayName(names.named()); err != nil {
					return nil, nil, origin{tenant: p.identity.Tenant}, err
				}
			}
			return handle(p, req, decoded)
		},
	}
}

// reported makes a Report of each request, including refused ones.
func (m method) reported() method {
	m.runs = true
	return m
}

// afterExpiry lets a method be called after the credential has expired.
func (m method) afterExpiry() method {
	m.ends = true
	return m
}

// overSocket makes a method unknown over POST.
func (m method) overSocket() method {
	m.socket = true
	return m
}

func (s *service) methods() []method {
	return []method{
		preparing[Result](executeMethod, "Runs a script", s.prepareExecute,
			call.Exception, call.NotImplemented, call.Timeout, call.Cancelled, call.LimitExceeded, call.Lost, call.Busy,
			call.Forbidden, call.NotSerializable, call.NotFound).reported(),
		preparing[OpenResult](openMethod, "Evaluates a script and keeps its context for further calls", s.prepareOpen,
			call.Exception, call.Timeout, call.Cancelled, call.LimitExceeded, call.Lost, call.Busy, call.Forbidden,
			call.NotFound).overSocket().reported(),
		preparing[struct{}]("runtime.close", "Ends a session", s.prepareClose,
			call.Cancelled, call.Busy, call.Forbidden, call.NotFound).overSocket(),
		preparing[Result]("runtime.attach", "Gives the outcome of an execution, once it has one", s.prepareAttach,
			call.Exception, call.NotImplemented, call.Timeout, call.Cancelled, call.LimitExceeded, call.Lost, call.Busy,
			call.Forbidden, call.NotSerializable, call.NotFound),
		immediate[CancelResult]("runtime.cancel", "Cancels a call", s.cancel, call.Forbidden).afterExpiry(),
		immediate[PutResult]("runtime.put", "Stores a source tree as a bundle", s.put, call.LimitExceeded, call.Forbidden),
		preparing[struct{}]("runtime.stop", "Ends the containers of a tenant", s.prepareStop, call.Busy, call.Forbidden),
		immediate[Info]("runtime.info", "Says what this daemon is and may do", s.info, call.Forbidden),
		immediate[OpenRPC](discoverMethod, "Describes this protocol", s.discover, call.Forbidden),
	}
}

// anyErrors are the codes of errors that any request may get.
var anyErrors = []call.Code{call.InvalidRequest, call.InvalidParams, call.InternalError}
