package rpc

import (
	"encoding/json"
	"fmt"
	"path"
	"time"

	"github.com/jsd-project/jsd/bundles"
	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

const (
	executeMethod = "runtime.execute"
	openMethod    = "runtime.open"
)

// A script has the params that runtime.execute and runtime.open share.
type script struct {
	Code      *message.Source      `json:"code"`
	Files     *message.Files       `json:"files"`
	Bundle    *message.Text        `json:"bundle"`
	File      *message.Source      `json:"file"`
	Globals   *message.Object      `json:"globals"`
	Language  *message.Source      `json:"language"`
	Timeout   *message.Millis      `json:"timeout"`
	Secrets   *message.Secrets     `json:"secrets"`
	Memory    *message.Mebibytes   `json:"memory"`
	Reuse     *message.Reuse       `json:"reuse"`
	Stream    *message.Flag        `json:"stream"`
	Callbacks *message.Identifiers `json:"callbacks"`
	Trace     *traceparent         `json:"traceparent"`
	tenantParam
}

// executeParams are the params of runtime.execute.
type executeParams struct {
	script
	Session   *message.Text   `json:"session"`
	Call      *message.Source `json:"call"`
	Caller    *message.Source `json:"caller"`
	Args      *message.Array  `json:"args"`
	Stats     *message.Flag   `json:"stats"`
	Execution *message.Name   `json:"execution"`
	Detach    *message.Flag   `json:"detach"`
}

// prepareExecute checks a request of runtime.execute in this order: its form, what its tenant may ask for, and whether the session,
// the execution and the bundle that it names exist.
func (s *service) prepareExecute(p *peer, req *message.Request, params executeParams) (preparedRequest, origin, error) {
	c := &preparedCall{service: s, peer: p, req: req, method: executeMethod, detach: params.Detach.Is()}
	c.retain = c.detach
	c.origin = origin{trace: p.traceOf(params.Trace)}
	if params.Session == nil {
		c.origin.tenant = p.tenantOf(params.Tenant)
	}
	if err := params.check(p); err != nil {
		return nil, c.origin, err
	}
	if params.Session != nil {
		return s.prepareInSession(c, &params)
	}
	c.secrets = params.Secrets.Strings()
	var err error
	if c.policy, err = s.policyFor(&c.origin, req); err != nil {
		return nil, c.origin, err
	}
	if err := c.policy.permit(&params.script, false); err != nil {
		return nil, c.origin, err
	}
	return s.prepareNamed(c, &params, startAlone)
}

// prepareInSession prepares a call in a session. The call has the tenant and the secrets of the session. A forbidden option is
// reported before a session that does not exist.
func (s *service) prepareInSession(c *preparedCall, params *executeParams) (preparedRequest, origin, error) {
	ss := c.peer.sessions.find(string(*params.Session))
	judged := origin{tenant: c.peer.tenantOf(nil), trace: c.origin.trace}
	if ss != nil {
		judged.tenant, c.session, c.secrets = ss.tenant, ss, ss.secrets
	}
	policy, err := s.policyFor(&judged, c.req)
	if ss != nil {
		c.origin = judged
	}
	if err != nil {
		return nil, c.origin, err
	}
	if err := policy.permit(&params.script, true); err != nil {
		return nil, c.origin, err
	}
	switch {
	case ss == nil:
		return nil, c.origin, errNotFound
	case ss.waitsForClient():
		return nil, c.origin, forbidden("session")
	}
	c.policy = policy
	return s.prepareNamed(c, params, startInSession)
}

// prepareNamed fills in the job of a call that may run. A call whose execution is known already attaches to that: it needs no job,
// and its bundle may be gone.
func (s *service) prepareNamed(c *preparedCall, params *executeParams, start func(*preparedCall) call.Running) (preparedRequest, origin, error) {
	if params.Execution != nil {
		c.name, c.retain = string(*params.Execution), true
		if x := s.executions.ran(executionName{c.origin.tenant, c.name}); x != nil {
			return &attachment{service: s, execution: x, own: true}, c.origin, nil
		}
	}
	source, err := s.sourceOf(c.origin.tenant, &params.script, &c.policy)
	if err != nil {
		return nil, c.origin, err
	}
	c.job = c.policy.limits(&params.script, source)
	c.job.Stats = params.Stats.Is()
	c.job.OneShot = c.policy.OneShot || params.Reuse != nil && *params.Reuse == message.ReuseCall
	c.job.Script = params.body(source, raw(params.Call), raw(params.Caller), raw(params.Args))
	c.start = start
	return c, c.origin, nil
}

// policyFor returns the policy of the tenant of a request, and fills in the bounds in o. It returns errFrameLimit, besides the policy,
// if the frame of the request is longer than the tenant's may be.
func (s *service) policyFor(o *origin, req *message.Request) (Policy, error) {
	policy := s.cfg.policy(o.tenant)
	if int64(req.Size) > policy.Frame {
		return policy, errFrameLimit
	}
	o.connections, o.inFlight = policy.Connections, policy.InFlight
	return policy, nil
}

// check checks which fields may come together.
func (p *script) check(from *peer) error {
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
	case p.Code == nil && p.Language != nil && message.Unquote(*p.Language) == languageTypeScript:
		return invalidParams("language must come with code: in a source tree the names of files tell it")
	case p.Secrets != nil && p.Globals != nil && p.Globals.Has("secrets"):
		return invalidParams("globals must not have the key secrets where there are secrets")
	case p.Files != nil:
		if _, err := entryOf(p.File, p.Files.Has); err != nil {
			return err
		}
	}
	return p.checkCallbacks(from)
}

// checkCallbacks refuses options that need a WebSocket.
func (p *script) checkCallbacks(from *peer) error {
	switch {
	case from.post && p.Stream.Is():
		return invalidParams("stream must come over a WebSocket")
	case from.post && p.Callbacks != nil && len(*p.Callbacks) > 0:
		return invalidParams("callbacks must come over a WebSocket")
	default:
		return nil
	}
}

// check checks which fields may come together, for a call without a session or in one.
func (p *executeParams) check(from *peer) error {
	if p.Session == nil {
		return p.script.check(from)
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
	return p.checkCallbacks(from)
}

// permit refuses options that are well-formed but not allowed. A call in a session has the language of the session.
func (l *Policy) permit(p *script, inSession bool) error {
	switch {
	case p.Language != nil && !l.allows(message.Unquote(*p.Language)):
		return forbidden("language")
	case p.Language == nil && p.Code != nil && !inSession && !l.allows(languageJavaScript):
		return forbidden("language")
	case p.Timeout != nil && time.Duration(*p.Timeout) > l.MaxTimeout:
		return forbidden("timeout")
	case p.Memory != nil && int(*p.Memory) > l.Memory:
		return forbidden("memory")
	case p.Reuse != nil && *p.Reuse == message.ReuseTenant && l.OneShot:
		return forbidden("reuse")
	default:
		return nil
	}
}

// A source says where the modules of a script are. It is zero for a script that came as code.
type source struct {
	bundle *bundles.Bundle
	entry  *message.Source // the file that is evaluated
}

// sourceOf finds the bundle that the script names, if any, and the entry of its source tree. The entry tells the language, which the
// policy has to allow.
func (s *service) sourceOf(tenant string, p *script, policy *Policy) (from source, err error) {
	switch {
	case p.Bundle != nil:
		if from.bundle, err = s.bundles.Get(tenant, string(*p.Bundle)); err != nil {
			return source{}, errNotFound
		}
		if from.entry, err = entryOf(p.File, from.bundle.Has); err != nil {
			return source{}, err
		}
	case p.Files != nil:
		if from.entry, err = entryOf(p.File, p.Files.Has); err != nil {
			return source{}, err
		}
	default:
		return source{}, nil
	}
	if !policy.allows(languageOf(message.Unquote(*from.entry))) {
		return source{}, forbidden("language")
	}
	return from, nil
}

// entryOf returns the file to evaluate: the one that the client named, else the index file of the source tree.
func entryOf(named *message.Source, has func(path string) bool) (*message.Source, error) {
	if named == nil {
		path, ok := call.Entry(has)
		if !ok {
			return nil, invalidParams("file must be there where there is no index.js, index.mjs, index.cjs or index.ts")
		}
		entry := message.Source(message.AppendJSON(nil, path))
		return &entry, nil
	}
	if path := message.Unquote(*named); !has(path) {
		return nil, invalidParams(fmt.Sprintf("file must be one of the files, which %.600q is not", path))
	}
	return named, nil
}

// languageOf is the language of a file in a source tree.
func languageOf(file string) string {
	switch path.Ext(file) {
	case ".ts", ".mts", ".cts":
		return languageTypeScript
	default:
		return languageJavaScript
	}
}

// limits returns a call with its limits, without the script.
func (l *Policy) limits(p *script, from source) call.Call {
	job := call.Call{Timeout: l.Timeout, Stream: p.Stream.Is()}
	if from.bundle != nil {
		job.Bundle = &from.bundle.Bundle
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

// body returns the JSON object that the agent gets: the script, and the fields call, caller and args if there are any. Each value is
// passed on as the client wrote it.
func (p *script) body(from source, function, caller, args json.RawMessage) json.RawMessage {
	fields := [...]struct {
		name  string
		value json.RawMessage
	}{
		{`"code":`, raw(p.Code)}, {`"files":`, p.files()}, {`"file":`, raw(from.entry)}, {`"globals":`, raw(p.Globals)},
		{`"call":`, function}, {`"caller":`, caller}, {`"args":`, args}, {`"language":`, raw(p.Language)}, {`"secrets":`, p.secretsJSON()},
	}
	size := 2
	for _, f := range fields {
		size += len(f.name) + len(f.value) + 1
	}
	b := append(make([]byte, 0, size), '{')
	for _, f := range fields {
		if f.value == nil {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, f.name...)
		b = append(b, f.value...)
	}
	return append(b, '}')
}

func (p *script) files() json.RawMessage {
	if p.Files == nil {
		return nil
	}
	return p.Files.JSON
}

func (p *script) secretsJSON() json.RawMessage {
	if p.Secrets == nil {
		return nil
	}
	return p.Secrets.JSON
}

func raw[T ~[]byte](value *T) json.RawMessage {
	if value == nil {
		return nil
	}
	return json.RawMessage(*value)
}

// An attachment is a request that waits for the outcome of an execution, which may have ended already.
type attachment struct {
	attached
	service   *service
	execution *execution
	own       bool // cancelling the request cancels the call
	waiter    waiter
}

func (a *attachment) run(w waiter) {
	a.waiter = w
	a.service.executions.wait(a.execution, &a.waiter)
}

func (a *attachment) cancel(asked bool) {
	if asked && a.own {
		a.execution.running.Cancel()
		return
	}
	a.service.executions.abandon(a.execution, &a.waiter)
}

type attachParams struct {
	Execution *message.Name `json:"execution" required:"true"`
	tenantParam
}

// prepareAttach prepares a request that gets the same answer as the execution's own. Cancelling it ends only the wait.
func (s *service) prepareAttach(p *peer, req *message.Request, params attachParams) (preparedRequest, origin, error) {
	o := origin{tenant: p.tenantOf(params.Tenant)}
	if _, err := s.policyFor(&o, req); err != nil {
		return nil, origin{}, err
	}
	x := s.executions.find(executionName{o.tenant, string(*params.Execution)})
	if x == nil {
		return nil, o, errNotFound
	}
	return &attachment{service: s, execution: x}, o, nil
}
