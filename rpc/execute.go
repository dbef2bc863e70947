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

const (
	languageJavaScript = "javascript"
	defaultTenant      = "default"
)

// script is the params of runtime.execute.
type script struct {
	Code     *source     `json:"code"`
	Globals  *object     `json:"globals"`
	Call     *source     `json:"call"`
	Caller   *source     `json:"caller"`
	Args     *array      `json:"args"`
	Timeout  *millis     `json:"timeout"`
	Tenant   *tenantName `json:"tenant"`
	Language *text       `json:"language"`
}

func (s *Server) execute(ctx context.Context, params json.RawMessage) (json.RawMessage, later, error) {
	p, err := decodeParams[script](params, clientOf(ctx).dialect.lenient())
	if err != nil {
		return nil, nil, err
	}
	if p.Code == nil {
		return nil, nil, invalidParams("code must be " + p.Code.expects())
	}
	if err := s.permit(p); err != nil {
		return nil, nil, err
	}
	tenant, call := defaultTenant, s.call(p)
	if p.Tenant != nil {
		tenant = string(*p.Tenant)
	}
	return nil, func(ctx context.Context) (json.RawMessage, error) { return s.run(ctx, tenant, call) }, nil
}

// permit judges what is well-formed but not allowed.
func (s *Server) permit(p script) error {
	switch {
	case p.Language != nil && *p.Language != languageJavaScript:
		return forbidden("language")
	case p.Timeout != nil && time.Duration(*p.Timeout) > s.cfg.MaxTimeout:
		return forbidden("timeout")
	default:
		return nil
	}
}

func (s *Server) call(p script) containers.Call {
	call := containers.Call{Script: p.body(), Timeout: s.cfg.Timeout}
	if p.Timeout != nil {
		call.Timeout = time.Duration(*p.Timeout)
	}
	call.CPU = call.Timeout
	return call
}

// body is what the agent gets of the script, each value as the client wrote it.
func (p script) body() json.RawMessage {
	var b []byte
	add := func(name string, value json.RawMessage) {
		if value == nil {
			return
		}
		b = append(b, ",\""...)
		b = append(b, name...)
		b = append(b, "\":"...)
		b = append(b, value...)
	}
	add("code", raw(p.Code))
	add("globals", raw(p.Globals))
	add("call", raw(p.Call))
	add("caller", raw(p.Caller))
	add("args", raw(p.Args))
	b[0] = '{'
	return append(b, '}')
}

func raw[T ~[]byte](value *T) json.RawMessage {
	if value == nil {
		return nil
	}
	return json.RawMessage(*value)
}

func (s *Server) run(ctx context.Context, tenant string, call containers.Call) (json.RawMessage, error) {
	execution, began := s.executions.Add(1), time.Now()
	result, err := s.cfg.Runner.Run(ctx, tenant, call)
	err = causeOf(ctx, err)
	s.logCall(execution, tenant, time.Since(began), err)
	if err != nil {
		return nil, err
	}
	return executed(result), nil
}

// executed is the reply to a script that came to a value, which is passed on as it is.
func executed(r containers.Result) json.RawMessage {
	if len(r.Value) == 0 {
		r.Value = null
	}
	b := make([]byte, 0, len(r.Value)+64)
	b = append(b, `{"value":`...)
	b = append(b, r.Value...)
	b = append(b, `,"console":`...)
	if len(r.Console) == 0 {
		b = append(b, `[]`...)
	} else {
		b = appendJSON(b, r.Console)
	}
	b = append(b, `,"time":`...)
	b = strconv.AppendInt(b, r.Time, 10)
	return append(b, '}')
}

// logCall writes the line of a call, with what it took from here, in ms. A failure's text is the
// script's own, so it is not in it.
func (s *Server) logCall(execution uint64, tenant string, took time.Duration, err error) {
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
	event.Uint64("execution", execution).Str("tenant", tenant).Str("outcome", outcome).
		Dur("run", took).Msg("call")
}
