package rpc

import (
	"encoding/json"
	"time"

	"github.com/jsd-project/jsd/bundles"
	"github.com/jsd-project/jsd/containers"
)

const defaultTenant = "default"

const (
	languageJavaScript = "javascript"
	languageTypeScript = "typescript"
)

// script is the params of runtime.execute.
type script struct {
	Code     *source     `json:"code"`
	Files    *folder     `json:"files"`
	Bundle   *text       `json:"bundle"`
	File     *source     `json:"file"`
	Globals  *object     `json:"globals"`
	Call     *source     `json:"call"`
	Caller   *source     `json:"caller"`
	Args     *array      `json:"args"`
	Language *source     `json:"language"`
	Timeout  *millis     `json:"timeout"`
	Tenant   *tenantName `json:"tenant"`
	Secrets  *secrets    `json:"secrets"`
	Memory   *mebibytes  `json:"memory"`
	Reuse    *reuse      `json:"reuse"`
	Stats    *flag       `json:"stats"`
}

// check judges what no field shows by itself. Of files it then has the one to begin with in File.
func (p *script) check() (err error) {
	given := 0
	for _, there := range []bool{p.Code != nil, p.Files != nil, p.Bundle != nil} {
		if there {
			given++
		}
	}
	switch {
	case given != 1:
		return invalidParams("exactly one of code, files and bundle must be there")
	case p.Code != nil && p.File != nil:
		return invalidParams("file must come with files or bundle")
	case p.Secrets != nil && p.Globals != nil && hasMember(*p.Globals, "secrets"):
		return invalidParams("globals must not have the key secrets where there are secrets")
	case p.Files != nil:
		p.File, err = entryOf(p.File, p.Files.has)
	}
	return err
}

func hasMember(o object, name string) bool {
	for key := range members(o) {
		if key == name {
			return true
		}
	}
	return false
}

// permit judges what is well-formed but not allowed.
func (s *Server) permit(p *script) error {
	switch {
	case !languageAllowed(p.Language):
		return forbidden("language")
	case p.Timeout != nil && time.Duration(*p.Timeout) > s.cfg.MaxTimeout:
		return forbidden("timeout")
	case p.Memory != nil && int(*p.Memory) > s.cfg.MaxMemory:
		return forbidden("memory")
	default:
		return nil
	}
}

func languageAllowed(l *source) bool {
	if l == nil {
		return true
	}
	name := unquote(*l)
	return name == languageJavaScript || name == languageTypeScript
}

// find gives the bundle that the script names, if it does, and judges File by it.
func (s *Server) find(p *script) (*bundles.Bundle, error) {
	if p.Bundle == nil {
		return nil, nil
	}
	b, err := s.bundles.Get(tenantOf(p.Tenant), string(*p.Bundle))
	if err != nil {
		return nil, errNotFound
	}
	p.File, err = entryOf(p.File, b.Has)
	return b, err
}

func tenantOf(name *tenantName) string {
	if name == nil {
		return defaultTenant
	}
	return string(*name)
}

func (s *Server) call(p *script, b *bundles.Bundle) containers.Call {
	call := containers.Call{
		Script:  p.body(),
		Timeout: s.cfg.Timeout,
		Stats:   p.Stats != nil && bool(*p.Stats),
		Once:    p.Reuse != nil && *p.Reuse == reuseCall,
	}
	if b != nil {
		call.Bundle = &b.Bundle
	}
	if p.Timeout != nil {
		call.Timeout = time.Duration(*p.Timeout)
	}
	call.CPU = call.Timeout
	if p.Memory != nil {
		call.Memory = int(*p.Memory)
	}
	return call
}

// body is what the agent gets of the script, each value as the client wrote it.
func (p *script) body() json.RawMessage {
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
	if p.Files != nil {
		add("files", p.Files.json)
	}
	add("file", raw(p.File))
	add("globals", raw(p.Globals))
	add("call", raw(p.Call))
	add("caller", raw(p.Caller))
	add("args", raw(p.Args))
	add("language", raw(p.Language))
	if p.Secrets != nil {
		add("secrets", p.Secrets.json)
	}
	b[0] = '{'
	return append(b, '}')
}

func raw[T ~[]byte](value *T) json.RawMessage {
	if value == nil {
		return nil
	}
	return json.RawMessage(*value)
}
