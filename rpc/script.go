package rpc

import (
	"encoding/json"
	"path"
	"time"

	"github.com/jsd-project/jsd/bundles"
	"github.com/jsd-project/jsd/call"
)

const defaultTenant = "default"

const (
	languageJavaScript = "javascript"
	languageTypeScript = "typescript"
)

// A script is the params that runtime.execute and runtime.open share.
type script struct {
	Code      *source      `json:"code"`
	Files     *folder      `json:"files"`
	Bundle    *text        `json:"bundle"`
	File      *source      `json:"file"`
	Globals   *object      `json:"globals"`
	Language  *source      `json:"language"`
	Timeout   *millis      `json:"timeout"`
	Tenant    *tenantName  `json:"tenant"`
	Secrets   *secrets     `json:"secrets"`
	Memory    *mebibytes   `json:"memory"`
	Reuse     *reuse       `json:"reuse"`
	Stream    *flag        `json:"stream"`
	Callbacks *names       `json:"callbacks"`
	Trace     *traceparent `json:"traceparent"`
}

// check judges what no field shows by itself. Of files it then has the one to begin with in File.
func (p *script) check(c *client) (err error) {
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
	case p.Code == nil && p.Language != nil && unquote(*p.Language) == languageTypeScript:
		return invalidParams("language must come with code: in a folder the names of files tell it")
	case p.Secrets != nil && p.Globals != nil && hasMember(*p.Globals, "secrets"):
		return invalidParams("globals must not have the key secrets where there are secrets")
	case p.Files != nil:
		if p.File, err = entryOf(p.File, p.Files.has); err != nil {
			return err
		}
	}
	return p.checkHost(c)
}

// checkHost judges what needs a connection that the daemon can send requests on.
func (p *script) checkHost(c *client) error {
	switch {
	case c.post && p.Stream.is():
		return invalidParams("stream must come over a WebSocket")
	case c.post && p.Callbacks != nil && len(*p.Callbacks) > 0:
		return invalidParams("callbacks must come over a WebSocket")
	default:
		return nil
	}
}

// check judges a call by itself, or one in a session.
func (p *executeParams) check(c *client) error {
	if p.Session == nil {
		return p.script.check(c)
	}
	for _, field := range []struct {
		name  string
		there bool
	}{
		{"files", p.Files != nil}, {"bundle", p.Bundle != nil}, {"file", p.File != nil}, {"globals", p.Globals != nil},
		{"tenant", p.Tenant != nil}, {"secrets", p.Secrets != nil}, {"language", p.Language != nil},
		{"memory", p.Memory != nil}, {"reuse", p.Reuse != nil},
	} {
		if field.there {
			return invalidParams(field.name + " must not come with session, which has its own")
		}
	}
	if p.Code == nil && p.Call == nil {
		return invalidParams("code or call must come with session")
	}
	return p.checkHost(c)
}

func hasMember(o object, name string) bool {
	for key := range members(o) {
		if string(key) == name {
			return true
		}
	}
	return false
}

// permit judges what is well-formed but not allowed. A session has a language already.
func (l *Policy) permit(p *script, inSession bool) error {
	switch {
	case p.Language != nil && !l.allows(unquote(*p.Language)):
		return forbidden("language")
	case p.Language == nil && p.Code != nil && !inSession && !l.allows(languageJavaScript):
		return forbidden("language")
	case p.Timeout != nil && time.Duration(*p.Timeout) > l.MaxTimeout:
		return forbidden("timeout")
	case p.Memory != nil && int(*p.Memory) > l.Memory:
		return forbidden("memory")
	case p.Reuse != nil && *p.Reuse == reuseTenant && l.Once:
		return forbidden("reuse")
	default:
		return nil
	}
}

// find gives the bundle that the script names, if it does, and judges File by it. Of a folder, File
// tells the language.
func (s *Server) find(tenant string, p *script, policy *Policy) (b *bundles.Bundle, err error) {
	if p.Bundle != nil {
		if b, err = s.bundles.Get(tenant, string(*p.Bundle)); err != nil {
			return nil, errNotFound
		}
		if p.File, err = entryOf(p.File, b.Has); err != nil {
			return nil, err
		}
	}
	if p.File != nil && !policy.allows(languageOf(unquote(*p.File))) {
		return nil, forbidden("language")
	}
	return b, nil
}

// languageOf is the language of a file in a folder.
func languageOf(file string) string {
	switch path.Ext(file) {
	case ".ts", ".mts", ".cts":
		return languageTypeScript
	default:
		return languageJavaScript
	}
}

// call is what a container gets of the params of runtime.execute.
func (l *Policy) call(p *executeParams, b *bundles.Bundle) call.Call {
	job := l.limits(&p.script, b)
	job.Stats = p.Stats.is()
	job.OneShot = l.Once || p.Reuse != nil && *p.Reuse == reuseCall
	job.Script = p.body(raw(p.Call), raw(p.Caller), raw(p.Args))
	return job
}

// limits is that of it which is not for the script.
func (l *Policy) limits(p *script, b *bundles.Bundle) call.Call {
	job := call.Call{Timeout: l.Timeout, Stream: p.Stream.is()}
	if b != nil {
		job.Bundle = &b.Bundle
	}
	if p.Timeout != nil {
		job.Timeout = time.Duration(*p.Timeout)
	}
	job.CPU = l.cpu(job.Timeout)
	if p.Memory != nil {
		job.Memory = int(*p.Memory)
	}
	if p.Callbacks != nil {
		job.Callbacks = *p.Callbacks
	}
	return job
}

// body is what the agent gets of the script, and of the call where there is one, each value as the
// client wrote it.
func (p *script) body(job, caller, args json.RawMessage) json.RawMessage {
	b := []byte{'{'}
	add := func(name string, value json.RawMessage) {
		if value == nil {
			return
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
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
	add("call", job)
	add("caller", caller)
	add("args", args)
	add("language", raw(p.Language))
	if p.Secrets != nil {
		add("secrets", p.Secrets.json)
	}
	return append(b, '}')
}

func raw[T ~[]byte](value *T) json.RawMessage {
	if value == nil {
		return nil
	}
	return json.RawMessage(*value)
}
