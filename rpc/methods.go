package rpc

import (
	"context"
	"encoding/json"
)

// A method checks its params on the connection's reader and must not wait there. It gives back its
// result, or what has to wait: that gets a goroutine and one of the connection's slots in flight.
type method func(ctx context.Context, params json.RawMessage) (result json.RawMessage, later later, err error)

// A later ends soon after ctx does, which is when the client cancels the request or is gone.
type later func(ctx context.Context) (json.RawMessage, error)

func (s *Server) allMethods() map[string]method {
	return map[string]method{
		"runtime.execute": s.execute,
		"runtime.put":     s.put,
		"runtime.cancel":  s.cancel,
		"runtime.info":    s.info,
	}
}

type cancelParams struct {
	ID *requestID `json:"id"`
}

type cancelResult struct {
	Cancelled bool `json:"cancelled"` // whether there was such a call in flight
}

func (s *Server) cancel(ctx context.Context, params json.RawMessage) (json.RawMessage, later, error) {
	c := clientOf(ctx)
	p, err := decodeParams[cancelParams](params, c.dialect.lenient())
	if err != nil {
		return nil, nil, err
	}
	if p.ID == nil {
		return nil, nil, invalidParams("id must be " + p.ID.expects())
	}
	return appendJSON(nil, cancelResult{Cancelled: c.cancel(string(*p.ID))}), nil, nil
}

// Info is what runtime.info answers.
type Info struct {
	Version   string           `json:"version"`
	Boot      string           `json:"boot"`
	Languages []string         `json:"languages"`
	Modules   []string         `json:"modules"`
	Limits    map[string]int64 `json:"limits"`
}

func (s *Server) info(ctx context.Context, params json.RawMessage) (json.RawMessage, later, error) {
	if _, err := decodeParams[struct{}](params, clientOf(ctx).dialect.lenient()); err != nil {
		return nil, nil, err
	}
	return appendJSON(nil, s.describe()), nil, nil
}

func (s *Server) describe() Info {
	info := Info{
		Version:   s.cfg.Version,
		Boot:      s.cfg.Boot,
		Languages: []string{languageJavaScript, languageTypeScript},
		Modules:   []string{},
		Limits: map[string]int64{
			"timeout":     s.cfg.Timeout.Milliseconds(),
			"maxTimeout":  s.cfg.MaxTimeout.Milliseconds(),
			"frame":       s.cfg.MaxFrame,
			"connections": int64(s.cfg.MaxConnections),
			"inFlight":    int64(s.cfg.MaxInFlight),
			"bundles":     s.bundles.Limit(),
		},
	}
	for name, limit := range s.cfg.Limits {
		info.Limits[name] = limit
	}
	if s.cfg.Modules != nil {
		info.Modules = append(info.Modules, s.cfg.Modules()...)
	}
	return info
}
