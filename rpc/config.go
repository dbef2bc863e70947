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

// A Runner runs scripts. Its methods may be called from any goroutine; all but Stop return at once. Its errors are those of package
// call; of any other error clients see only InternalError.
type Runner interface {
	// Start runs a call in a container of the tenant, or with job.OneShot in one that runs nothing else. The job does
	// not change afterwards.
	Start(tenant string, job *call.Call, done call.Done) call.Running

	// OpenSession evaluates a script and opens a session in its context. done is called like a call.Done, with a session or an error.
	OpenSession(tenant string, job *call.Call, done func(call.Session, call.Result, error)) call.Running

	// Stop ends the tenant's containers, with the calls and sessions in them. It may wait for that.
	Stop(tenant string)

	// Ready returns nil if a script could run right now, else the reason.
	Ready() error
}

// Config is read once, by New. Where a default is named, zero stands for it.
type Config struct {
	Runner  Runner
	Version string
	Boot    string // changes when the daemon restarts

	Listen  net.Addr // the listener's address: Host and Origin are judged against it
	Origins []string // of web pages that may connect, beside the daemon's own; see ParseOrigin
	Hosts   []string // names in the Host header that a listener on loopback accepts, besides loopback's own; see CheckHost

	// Authenticate returns the identity behind an HTTP request that leads to calls. A *Denial says how the request is refused;
	// any other error refuses it with 401. Authenticate may wait until the request's context ends. nil: anybody may make calls,
	// and name any tenant.
	Authenticate func(r *http.Request) (Identity, error)

	Playground http.Handler                         // serves GET /; nil: a line of text
	Modules    func() []string                      // the modules in runtime.info, which scripts may load; nil: none
	Limits     func(tenant string) map[string]int64 // the limits in runtime.info, by name; nil: none

	Policy func(tenant string) Policy // called with each request, and must not wait; nil: the defaults for all tenants

	MaxAllBundles  int64 // bytes that the bundles of all tenants may take; default 1 GiB
	RetainAllBytes int64 // bytes that the retained outcomes of all tenants may take; default 512 MiB

	MaxFrame        int64         // bytes of a frame or body from a client; default 16 MiB
	MaxConnections  int           // at once, POSTs among them; default 10,000
	MaxInFlight     int           // calls of one connection; default 1,024
	MaxUnsent       int           // bytes waiting for one client before it is disconnected; default 64 MiB
	MaxUnsentFrames int           // frames likewise; default 65,536
	MaxBuffered     int64         // bytes of all unfinished frames and unsent replies, and as many again for all requests in flight; default 1 GiB
	PingInterval    time.Duration // between pings; also the time for the answer to one, and see package wire for slow frames; default 30 s
	CloseGrace      time.Duration // for a client to take its last replies and answer a close; default 5 s

	Log zerolog.Logger

	// Observe is called after the reply to every call. Many goroutines call it at once, and it must not wait. It may be nil.
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

// A Policy has the limits of one tenant that this package applies. Zero stands for the default, if one is named.
type Policy struct {
	Timeout    time.Duration // of a call without the param timeout; default 3 s
	MaxTimeout time.Duration // the largest value of that param; default 60 s, and never less than Timeout
	CPUBudget  time.Duration // CPU time of a call; default its timeout
	Memory     int           // MiB, the largest value of the param memory; default 256
	Languages  []string      // of scripts; default all
	OneShot    bool          // each call gets a container of its own, as with reuse: "call"; so there are no sessions

	Sessions    int           // at once; default 8
	SessionIdle time.Duration // after which a session without a call ends; default 10 min
	Bundles     int64         // bytes that its bundles may take; default 64 MiB
	RetainTime  time.Duration // for which the outcome of an execution stays known; default 5 min
	RetainBytes int64         // bytes that the retained outcomes may take; default 32 MiB

	// The default of these, and their upper bound, is the Config's.
	Connections int   // open connections on which the tenant has made a call
	InFlight    int   // calls in flight on one connection
	Frame       int64 // bytes of one request
}

// policy returns the policy of a tenant, with defaults. It is called for each request, so a change takes effect with the next one.
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

// Languages returns the languages that scripts may have.
func Languages() []string { return slices.Clone(allLanguages) }

func (p *Policy) allows(language string) bool { return slices.Contains(p.Languages, language) }

// cpu is the CPU budget of a call.
func (p *Policy) cpu(timeout time.Duration) time.Duration {
	if p.CPUBudget > 0 {
		return min(p.CPUBudget, timeout)
	}
	return timeout
}
