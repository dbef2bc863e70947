package rpc

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/bundles"
	"github.com/jsd-project/jsd/call"
)

// Runner is what runs scripts. Run ends soon after ctx does; its errors are *call.Failure,
// *call.LostError, a Busy, ctx's own, or internal ones that clients see nothing of. Where the call
// came into a container the result says Container, Queue and Cold, beside an error too.
type Runner interface {
	Run(ctx context.Context, tenant string, job call.Call) (call.Result, error)

	// OpenSession evaluates a script and keeps its context; ctx is for that alone. Errors are Run's, and the
	// result says where and after what wait that was, as Run's does.
	OpenSession(ctx context.Context, tenant string, job call.Call) (call.Session, call.Result, error)

	Stop(tenant string) // ends the tenant's containers, with the calls and sessions in them

	Ready() error // nil when a script could run right now
}

// Config is read once, by New. Where a default is named, zero stands for it.
type Config struct {
	Runner  Runner
	Version string
	Boot    string // changes when the daemon restarts

	Listen  net.Addr // the listener's address: Host and Origin are judged against it
	Origins []string // of web pages that may connect, beside the daemon's own; see ParseOrigin
	Hosts   []string // names that a listener on loopback goes by, beside loopback's own; see CheckHost

	// Authenticate says who a request comes from that leads to calls. Its error is a *Denial, or it is a 401
	// without a reason. It may wait, until the request's context ends. nil: anybody, who may name any tenant.
	Authenticate func(r *http.Request) (Identity, error)

	Playground http.Handler                         // serves GET /; nil: a line of text
	Modules    func() []string                      // for runtime.info: what scripts may require; nil: none are told
	Limits     func(tenant string) map[string]int64 // for runtime.info: limits beside those of Policy; nil: none

	Policy func(tenant string) Policy // must not wait; asked with each request; nil: the defaults for all

	MaxAllBundles int64 // bytes that the bundles of all tenants may take; default 1 GiB
	KeepAllBytes  int64 // that kept outcomes of all tenants may take; default 512 MiB

	MaxFrame        int64         // bytes of a frame or body from a client; default 16 MiB
	MaxConnections  int           // at once, POSTs among them; default 10,000
	MaxInFlight     int           // calls of one connection; default 1,024
	MaxUnsent       int           // bytes waiting for one client before it is disconnected; default 64 MiB
	MaxUnsentFrames int           // frames likewise; default 65,536
	MaxBuffered     int64         // bytes that all connections hold of frames and replies under way, and again all requests in flight, a quarter of that each tenant's; default 1 GiB
	PingInterval    time.Duration // and how long the answer may take, and a frame, a body or its reply without haste; default 30 s
	CloseGrace      time.Duration // for a peer to take its last replies and answer a close; default 5 s

	Log zerolog.Logger

	// Observe is told of every call when it has ended, before the client is. It is called by many goroutines
	// at once, and calls wait for it. nil: nobody is told.
	Observe func(Report)
}

func (c Config) withDefaults() Config {
	c.KeepAllBytes = cmp.Or(c.KeepAllBytes, 512<<20)
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

// A Server is the http.Handler of the daemon's one port. Its methods may be called from any
// goroutine.
type Server struct {
	cfg        Config
	access     access
	methods    map[string]method
	bundles    *bundles.Store
	executions *executions
	buffers    *buffers
	load       *load
	document   json.RawMessage    // what rpc.discover answers
	background context.Context    // of detached calls
	abandon    context.CancelFunc // ends it

	mu       sync.Mutex // guards all below
	open     int        // connections, from before their upgrade until nothing of them is left
	working  int        // goroutines that no connection waits for: detached calls, and one of each session
	clients  map[*client]struct{}
	sessions map[string]int // of each tenant that has any, with those that are being opened
	joined   map[string]int // connections of each tenant that may have less than there may be
	closing  bool
	empty    chan struct{} // closed when closing, and open and working are 0
}

// New makes a server that takes connections until Shutdown.
func New(cfg Config) *Server {
	s := &Server{
		cfg:      cfg.withDefaults(),
		access:   newAccess(&cfg),
		clients:  map[*client]struct{}{},
		sessions: map[string]int{},
		joined:   map[string]int{},
		empty:    make(chan struct{}),
	}
	s.bundles = bundles.NewStore(bundles.Config{
		Tenant: func(tenant string) int64 { return s.cfg.policy(tenant).Bundles }, Total: cfg.MaxAllBundles,
	})
	s.executions = newExecutions(&s.cfg)
	s.buffers, s.load = newBuffers(s.cfg.MaxBuffered), newLoad(s.cfg.MaxBuffered)
	s.background, s.abandon = context.WithCancel(context.Background())
	methods := s.allMethods()
	s.methods, s.document = byName(methods), appendJSON(nil, describeAll(s.cfg.Version, methods))
	return s
}

// ServeHTTP returns when the request is answered. A WebSocket goes on behind it, and Shutdown waits for that.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d := s.access.host(r); d != nil {
		s.deny(w, r, d)
		return
	}
	switch {
	case isUpgrade(r):
		s.ifAllowed(s.serveSocket)(w, r)
	case r.URL.Path == "/rpc":
		allow(w, r, s.ifAllowed(s.servePost), http.MethodPost)
	case r.URL.Path == "/":
		allow(w, r, s.servePage, http.MethodGet, http.MethodHead)
	case r.URL.Path == "/healthz":
		allow(w, r, serveAlive, http.MethodGet, http.MethodHead)
	case r.URL.Path == "/readyz":
		allow(w, r, s.serveReady, http.MethodGet, http.MethodHead)
	default:
		http.Error(w, "not found: connect a WebSocket, or POST to /rpc", http.StatusNotFound)
	}
}

func isUpgrade(r *http.Request) bool {
	for _, value := range r.Header.Values("Upgrade") {
		if strings.EqualFold(strings.TrimSpace(value), "websocket") {
			return true
		}
	}
	return false
}

func (s *Server) ifAllowed(next func(http.ResponseWriter, *http.Request, Identity)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, d := s.access.call(r)
		if d != nil {
			s.deny(w, r, d)
			return
		}
		next(w, r, who)
	}
}

func (s *Server) deny(w http.ResponseWriter, r *http.Request, d *Denial) {
	s.cfg.Log.Debug().Str("remote", r.RemoteAddr).Int("status", d.Status).Str("why", d.Reason).Msg("refused")
	if d.Challenge != "" {
		w.Header().Set("WWW-Authenticate", d.Challenge)
	}
	http.Error(w, d.Reason, d.Status)
}

// serveSocket makes a WebSocket of the request, and a goroutine that holds it to its end: net/http's would hold all
// that the request had, too.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request, who Identity) {
	if !s.enter(w) {
		return
	}
	upgraded := &hijacker{ResponseWriter: w}
	conn, err := websocket.Accept(upgraded, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"jsd"}, // never the one that is a token
		InsecureSkipVerify: true,            // access has judged the Origin, and does not take the Host for it
	})
	if err != nil {
		s.leave()
		return // and Accept has answered
	}
	socket := newSocket(conn, upgraded.conn, &s.cfg, s.buffers)
	c := newClient(context.Background(), s, who)
	c.wire, c.trace = socket, strings.Clone(traceparentOf(r.Header))
	go func() {
		defer s.leave()
		defer socket.close()
		s.serve(c, socket.pings.stop)
	}()
}

// serve is the reader of a client, and returns when its calls have ended, too. unread is called when nothing more is
// read of it.
func (s *Server) serve(c *client, unread func()) {
	defer c.hangUp()
	if closing := s.add(c); closing {
		c.drain()
	}
	defer s.remove(c)
	c.read()
	unread()
	c.uploads.drop()
	c.abandonSessions()
	c.calls.Wait()
}
