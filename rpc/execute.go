package rpc

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/sourcegraph/jsonrpc2"

	"github.com/jsd-project/jsd/containers"
)

func (s *Server) execute(ctx context.Context, params json.RawMessage) (json.RawMessage, later, error) {
	p, err := decodeParams[script](params, clientOf(ctx).dialect.lenient())
	if err != nil {
		return nil, nil, err
	}
	if err := p.check(); err != nil {
		return nil, nil, err
	}
	if err := s.permit(&p); err != nil {
		return nil, nil, err
	}
	bundle, err := s.find(&p)
	if err != nil {
		return nil, nil, err
	}
	tenant, call := tenantOf(p.Tenant), s.call(&p, bundle)
	hidden := p.Secrets.strings()
	return nil, func(ctx context.Context) (json.RawMessage, error) { return s.run(ctx, tenant, call, hidden) }, nil
}

// run blanks the secrets out of all that a script may have put them in by accident, its log line's too.
func (s *Server) run(ctx context.Context, tenant string, call containers.Call, secrets []string) (json.RawMessage, error) {
	execution, began := s.executions.Add(1), time.Now()
	result, err := s.cfg.Runner.Run(ctx, tenant, call)
	took := time.Since(began)
	var blank blanker
	if err != nil || len(result.Console) > 0 {
		blank = newBlanker(secrets)
	}
	err = blank.err(causeOf(ctx, err))
	s.logCall(execution, tenant, took, err)
	if err != nil {
		return nil, err
	}
	result.Console = blank.lines(result.Console)
	return executed(result, call.Stats), nil
}

// executed is the reply to a script that came to a value, which is passed on as it is.
func executed(r containers.Result, stats bool) json.RawMessage {
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
	if stats {
		b = append(b, `,"stats":`...)
		b = appendJSON(b, statsOf(r))
	}
	return append(b, '}')
}

// Stats is what a call that asked for it is told of how it ran.
type Stats struct {
	Queue     float64 `json:"queue"`     // ms it waited for a container, in tenths
	Cold      bool    `json:"cold"`      // it was the first call of its container
	CPU       float64 `json:"cpu"`       // ms of processor time, in tenths, as the agent says
	Container string  `json:"container"` // ID
}

func statsOf(r containers.Result) Stats {
	return Stats{Queue: tenths(r.Queue), Cold: r.Cold, CPU: tenths(r.CPU), Container: r.Container}
}

func tenths(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
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
