package rpc

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

// Runner is what runs scripts. Its methods but Stop return at once. Errors are those of package call, or internal ones that
// clients see nothing of.
type Runner interface {
	// Start runs a call in a container of the tenant, or with job.OneShot in one that runs nothing else. The job does
	// not change afterwards.
	Start(tenant string, job *call.Call, done call.Done) call.Running

	// OpenSession evaluates a script and keeps its context. done is called as a call.Done is.
	OpenSession(tenant string, job *call.Call, done func(call.Session, call.Result, error)) call.Running

	// Stop ends the tenant's containers, with the calls and sessions in them. It may wait for that.
	Stop(tenant string)

	// Ready is nil when a script could run right now.
	Ready() error
}

// Config is read once, by New. Where a default is named, zero stands for it.
type Config struct {
	Runner  Runner
	Version string
	Boot    string // changes when the daemon restarts

	Listen  net.Addr // the listener's address: Host and Origin are judged against it
	Origins []string // of web pages that may connect, beside the daemon's own; see ParseOrigin
	Hosts   []string // names that a listener on loopback goes by, beside loopback's own; see CheckHost

	// Authenticate says who a request comes from that leads to calls. Its error is a *Denial, or it is a 401 without a
	// reason. It may wait, until the request's context ends. nil: anybody, who may name any tenant.
	Authenticate func(r *http.Request) (Identity, error)

	Playground http.Handler                         // serves GET /; nil: a line of text
	Modules    func() []string                      // for runtime.info: what scripts may require; nil: none are told
	Limits     func(tenant string) map[string]int64 // for runtime.info: limits beside those of Policy; nil: none

	Policy func(tenant string) Policy // must not wait; asked with each request; nil: the defaults for all

	MaxAllBundles  int64 // bytes that the bundles of all tenants may take; default 1 GiB
	RetainAllBytes int64 // bytes that the retained outcomes of all tenants may take; default 512 MiB

	MaxFrame        int64         // bytes of a frame or body from a client; default 16 MiB
	MaxConnections  int           // at once, POSTs among them; default 10,000
	MaxInFlight     int           // calls of one connection; default 1,024
	MaxUnsent       int           // bytes waiting for one client before it is disconnected; default 64 MiB
	MaxUnsentFrames int           // frames likewise; default 65,536
	MaxBuffered     int64         // bytes that all connections hold of frames and replies under way, and again all requests in flight, a quarter of that each tenant's; default 1 GiB
	PingInterval    time.Duration // and how long the answer may take, and a frame, a body or its reply without haste; default 30 s
	CloseGrace      time.Duration // for a peer to take its last replies and answer a close; default 5 s

	Log zerolog.Logger

	// Observe is told of every call when it has ended, behind its reply. It is called by many goroutines at once, and
	// must not wait. nil: nobody is told.
	Observe func(Report)
}

func (c Config) withDefaults() Config {
	c.RetainAllBytes = cmp.Or(c.RetainAllBytes, 512<<20)
	c.MaxFrame = cmp.Or(c.MaxFrame, 16<<20)
	c.MaxConnections = cmp.Or(c.MaxConnections, 10_000)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 1024)
	c.MaxUnsent = cmp.Or(c.MaxUnsent, 64<<20)
	c.MaxUnsentFrames = cmp.Or(c.MaxUnsentFrames, 65_536)
	c.MaxBuffered = cmp.Or(c.MaxBuffered, 1<<30)
	c.PingInterval = cmp.Or(c.PingInterval, 30*time.Second)
	c.CloseGrace = cmp.Or(c.CloseGrace, 5*time.Second)
	return c
}

// Policy is what one tenant may have, as far as it is judged here. Where a default is named, zero stands for it.
type Policy struct {
	Timeout    time.Duration // of a call that names none; default 3 s
	MaxTimeout time.Duration // a call may name; default 60 s, and not below Timeout
	CPUBudget  time.Duration // of a call, at most; default its timeout
	Memory     int           // MiB that a call may name; default 256
	Languages  []string      // of its scripts; default all
	OneShot    bool          // each call gets a container of its own, as with reuse: "call"; so there are no sessions

	Sessions    int           // at once; default 8
	SessionIdle time.Duration // after which a session without a call ends; default 10 min
	Bundles     int64         // bytes that its bundles may take; default 64 MiB
	RetainTime  time.Duration // for which the outcome of an execution stays known; default 5 min
	RetainBytes int64         // bytes that the retained outcomes may take; default 32 MiB

	// Default, and at most: what the Config says of every connection.
	Connections int   // on which it has made a call, and that are open
	InFlight    int   // its calls of one connection
	Frame       int64 // bytes of one request
}

// policy is asked anew with each request, so that a change shows in the next one.
func (c *Config) policy(tenant string) Policy {
	var p Policy
	if c.Policy != nil {
		p = c.Policy(tenant)
	}
	p.Timeout = cmp.Or(p.Timeout, 3*time.Second)
	p.MaxTimeout = max(cmp.Or(p.MaxTimeout, time.Minute), p.Timeout)
	p.Memory = cmp.Or(p.Memory, 256)
	p.Sessions = cmp.Or(p.Sessions, 8)
	p.SessionIdle = cmp.Or(p.SessionIdle, 10*time.Minute)
	p.Bundles = cmp.Or(p.Bundles, 64<<20)
	p.RetainTime = cmp.Or(p.RetainTime, 5*time.Minute)
	p.RetainBytes = cmp.Or(p.RetainBytes, 32<<20)
	p.Connections = min(cmp.Or(p.Connections, c.MaxConnections), c.MaxConnections)
	p.InFlight = min(cmp.Or(p.InFlight, c.MaxInFlight), c.MaxInFlight)
	p.Frame = min(cmp.Or(p.Frame, c.MaxFrame), c.MaxFrame)
	if p.Languages == nil {
		p.Languages = allLanguages
	}
	return p
}

const (
	languageJavaScript = "javascript"
	languageTypeScript = "typescript"
)

var allLanguages = []string{languageJavaScript, languageTypeScript}

// Languages are those that there are.
func Languages() []string { return slices.Clone(allLanguages) }

func (p *Policy) allows(language string) bool { return slices.Contains(p.Languages, language) }

// cpu is the CPU budget of a call.
func (p *Policy) cpu(timeout time.Duration) time.Duration {
	if p.CPUBudget > 0 {
		return min(p.CPUBudget, timeout)
	}
	return timeout
}
