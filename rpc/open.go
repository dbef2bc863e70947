package rpc

import (
	"crypto/rand"
	"encoding/json"
	"sync"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

type openParams struct {
	script
}

// OpenResult is the result of runtime.open.
type OpenResult struct {
	Session string `json:"session"`
}

func (s *service) prepareOpen(p *peer, req *message.Request, params openParams) (preparedRequest, origin, error) {
	c := &preparedCall{service: s, peer: p, req: req, method: openMethod, secrets: params.Secrets.Strings()}
	c.origin = origin{tenant: p.tenantOf(params.Tenant), trace: p.traceOf(params.Trace)}
	if err := params.check(p); err != nil {
		return nil, c.origin, err
	}
	if params.Reuse != nil && *params.Reuse != message.ReuseTenant {
		return nil, c.origin, invalidParams(`reuse must be "tenant" for a session`)
	}
	var err error
	if c.policy, err = s.policyFor(&c.origin, req); err != nil {
		return nil, c.origin, err
	}
	if c.policy.OneShot {
		return nil, c.origin, forbidden("reuse")
	}
	if err := c.policy.permit(&params.script, false); err != nil {
		return nil, c.origin, err
	}
	source, err := s.sourceOf(c.origin.tenant, &params.script, &c.policy)
	if err != nil {
		return nil, c.origin, err
	}
	c.job = c.policy.limits(&params.script, source)
	c.job.Script = params.body(source, nil, nil, nil)
	c.start = startOpening
	return opening{c}, c.origin, nil
}

// An opening is a preparedCall that opens a session. It acquires a place for the session before it runs.
type opening struct{ *preparedCall }

func (o opening) run(w waiter) {
	if !o.service.sessions.acquire(o.origin.tenant, o.policy.Sessions) {
		w.answer(nil, errSessionLimit)
		o.service.reporter.refused(o.method, o.origin.tenant, o.origin.trace, errSessionLimit)
		w.done()
		return
	}
	o.preparedCall.run(w)
}

// startOpening evaluates the script of a session.
func startOpening(c *preparedCall) call.Running {
	return c.service.cfg.Runner.OpenSession(c.origin.tenant, &c.job, c.opened)
}

// opened takes the session that a container has opened, or the error. The place of the session is released when it has ended.
func (c *preparedCall) opened(inner call.Session, used call.Result, err error) {
	if err != nil {
		c.service.sessions.release(c.origin.tenant)
		c.complete(nil, used, err)
		return
	}
	ss := newSession(rand.Text(), c.origin.tenant, c.secrets, c.policy.SessionIdle, inner)
	added := c.peer.sessions.add(ss)
	c.service.lifetime.add()
	go func() {
		defer c.service.lifetime.done()
		<-inner.Done()
		ss.timer.Stop()
		c.peer.sessions.remove(ss)
		c.service.sessions.release(ss.tenant)
		close(ss.gone)
	}()
	if !added {
		inner.Close()
		c.complete(nil, used, errCancelled)
		return
	}
	c.complete(message.AppendJSON(nil, OpenResult{Session: ss.id}), used, nil)
}

type closeParams struct {
	Session *message.Text `json:"session" required:"true"`
}

func (s *service) prepareClose(p *peer, _ *message.Request, params closeParams) (preparedRequest, origin, error) {
	ss := p.sessions.find(string(*params.Session))
	if ss == nil {
		return nil, origin{}, errNotFound
	}
	return &closeSession{session: ss, cancelled: make(chan struct{})}, origin{}, nil
}

// A closeSession is a prepared runtime.close. It is answered when the session's place is free, so that the client can open another
// session at once.
type closeSession struct {
	attached
	session   *session
	cancelled chan struct{}
	once      sync.Once
}

func (c *closeSession) run(w waiter) {
	c.session.inner.Close()
	go func() {
		select {
		case <-c.session.gone:
			w.finish(emptyObject, nil)
		case <-c.cancelled:
			w.finish(nil, errCancelled)
		}
	}()
}

func (c *closeSession) cancel(bool) { c.once.Do(func() { close(c.cancelled) }) }

var emptyObject = json.RawMessage("{}")
