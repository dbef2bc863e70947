package rpc

import (
	"encoding/json"
	"reflect"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// A method is what clients may call, and how rpc.discover describes it.
type method struct {
	name    string
	summary string
	params  *message.Shape
	result  reflect.Type // of what it answers
	errors  []call.Code  // that it may answer, beside those that any request may get
	socket  bool         // over a WebSocket only
	runs    bool         // it runs a script: there is a Report of each
	ends    bool         // it ends a call: also after the end of the credential
	handle  handler
}

// A handler judges the params of a request on the connection's reader and must not wait there. It gives its result, or
// what has to wait. Beside an error the origin is as much as was found out.
type handler func(p *peer, req *message.Request) (json.RawMessage, preparedRequest, origin, error)

// immediate makes a method that answers at once. Its params have type P; what it answers has the form of an R.
func immediate[R, P any](name, summary string, answer func(p *peer, req *message.Request, params P) (json.RawMessage, error), errors ...call.Code) method {
	return newMethod[R](name, summary, func(p *peer, req *message.Request, params P) (json.RawMessage, preparedRequest, origin, error) {
		result, err := answer(p, req, params)
		return result, nil, origin{}, err
	}, errors)
}

// preparing makes a method that prepares what has to wait.
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
					return nil, nil, origin{tenant: p.identity.Tenant}, err // it was they who asked
				}
			}
			return handle(p, req, decoded)
		},
	}
}

// reported has a Report made of each request, also of those that are refused.
func (m method) reported() method {
	m.runs = true
	return m
}

// afterExpiry lets a method be called when the credential has come to its end.
func (m method) afterExpiry() method {
	m.ends = true
	return m
}

// overSocket leaves a method out of POST.
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
