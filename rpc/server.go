// Package rpc serves clients: JSON-RPC 2.0 and Duplex over WebSocket, JSON-RPC over POST. Package message turns bytes into
// requests, package wire carries frames.
//
// The way of a warm call, on two goroutines:
//
//	the connection's reader                           the goroutine that completes the call, as a rule the container's reader
//	connection.read                                   call.Done, for a call in a session by turn.complete
//	  readFrame ── carrier.Read                         preparedCall.completed ── encodeResult
//	    codec.Decode ─► message.Request                   complete
//	    serve ── register                                   executions.complete ── the request's waiter.answer:
//	      handle                                              connection.reply
//	        call ── method.handle                               encode
//	          message.Decode ─► params                          send ── carrier.Write, in place
//	          prepareExecute ─► preparedCall                reporter.report: log and metrics, after the reply
//	        admit: slot and quota
//	        run ── preparedCall.run
//	          executions.claim
//	          start ── Runner.Start, or session.start
//
// A request does not change after it was decoded. Prepare checks a call, and run starts it. Neither waits. Both are called on
// the reader, so calls start in the order of their requests. An execution (executions.go) is a run of a script that has a name.
// The name is known while it runs, and for some time after if the client asks for that. A session (sessions.go) belongs to its
// connection and keeps the order of its calls.
package rpc

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/jsd-project/jsd/bundles"
	"github.com/jsd-project/jsd/rpc/message"
	"github.com/jsd-project/jsd/rpc/wire"
)

// A Server is the http.Handler of the daemon's one port. Its methods may be called from any goroutine.
type Server struct {
	service *service
	access  access
	methods map[string]method
	wire    wire.Config

	mu          sync.Mutex // guards what follows
	connections map[*connection]struct{}
}

// New makes a server that serves connections until Shutdown.
func New(cfg Config) *Server {
	s := &Server{access: newAccess(cfg.Listen, cfg.Origins, cfg.Hosts, cfg.Authenticate), connections: map[*connection]struct{}{}}
	cfg = cfg.withDefaults()
	s.service = &service{cfg: cfg, quota: newRequestQuota(cfg.MaxBuffered)}
	s.service.lifetime.empty = make(chan struct{})
	s.service.reporter = reporter{cfg.Log, cfg.Observe}
	s.service.bundles = bundles.NewStore(bundles.Config{
		Tenant: func(tenant string) int64 { return s.service.cfg.policy(tenant).Bundles }, Total: cfg.MaxAllBundles,
	})
	s.service.executions = newExecutions(&s.service.cfg)
	s.wire = wire.Config{
		MaxFrame: cfg.MaxFrame, MaxUnsent: cfg.MaxUnsent, MaxUnsentFrames: cfg.MaxUnsentFrames,
		PingInterval: cfg.PingInterval, CloseGrace: cfg.CloseGrace, Budget: wire.NewBudget(cfg.MaxBuffered), Log: cfg.Log,
	}
	s.methods = map[string]method{}
	for _, m := range s.service.methods() {
		s.methods[m.name] = m
	}
	s.service.document = message.AppendJSON(nil, describeAll(cfg.Version, s.service.methods()))
	return s
}

// ServeHTTP serves a request. It returns when a POST is answered, and when a WebSocket was accepted; Shutdown waits for the WebSocket.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d := s.access.checkHostHeader(r); d != nil {
		s.deny(w, r, d)
		return
	}
	switch {
	case isUpgrade(r):
		s.ifAllowed(s.serveSocket)(w, r)
	case r.URL.Path == "/rpc":
		allow(w, r, s.ifAllowed(s.servePost), http.MethodPost)
	case r.URL.Path == "/":
		allow(w, r, pages{s.service}.page, http.MethodGet, http.MethodHead)
	case r.URL.Path == "/healthz":
		allow(w, r, pages{s.service}.alive, http.MethodGet, http.MethodHead)
	case r.URL.Path == "/readyz":
		allow(w, r, pages{s.service}.ready, http.MethodGet, http.MethodHead)
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
		who, d := s.access.identify(r)
		if d != nil {
			s.deny(w, r, d)
			return
		}
		next(w, r, who)
	}
}

func (s *Server) deny(w http.ResponseWriter, r *http.Request, d *Denial) {
	s.service.cfg.Log.Debug().Str("remote", r.RemoteAddr).Int("status", d.Status).Str("why", d.Reason).Msg("refused")
	if d.Challenge != "" {
		w.Header().Set("WWW-Authenticate", d.Challenge)
	}
	http.Error(w, d.Reason, d.Status)
}

// admit counts a connection, or answers why it may not be opened. After true the caller calls lifetime.release at its end.
func (s *Server) admit(w http.ResponseWriter) bool {
	why := s.service.lifetime.admit(s.service.cfg.MaxConnections)
	if why != "" {
		http.Error(w, string(why), http.StatusServiceUnavailable)
	}
	return why == ""
}

// serveSocket upgrades the request to a WebSocket and serves that in a goroutine of its own. The goroutine of net/http would hold
// the memory of the request.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request, who Identity) {
	if !s.admit(w) {
		return
	}
	socket, err := wire.Accept(w, r, &s.wire)
	if err != nil {
		s.service.lifetime.release()
		return // Accept has answered
	}
	c := newConnection(context.Background(), s.service, s.methods, who)
	c.peer.wire, c.trace = socket, strings.Clone(traceparentOf(r.Header))
	go func() {
		defer s.service.lifetime.release()
		defer socket.Close()
		s.serve(c, socket.StopPings)
	}()
}

// servePost answers with HTTP 200, also if the reply is an error of JSON-RPC.
func (s *Server) servePost(w http.ResponseWriter, r *http.Request, who Identity) {
	if !s.admit(w) {
		return
	}
	defer s.service.lifetime.release()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c := newConnection(ctx, s.service, s.methods, who)
	body := wire.NewBody(w, r, &s.wire, cancel)
	defer body.Release()
	c.post, c.codec, c.trace = true, &message.JSONRPC{}, traceparentOf(r.Header)
	c.peer.wire = &postCarrier{Body: body, connection: c}
	s.serve(c, func() {})
	if body.IsUnanswered() && r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone, and with it the reply: a response would say that there was none
	}
	body.Respond()
}

// serve reads the requests of a connection, and returns when its calls have ended. It calls unread when it has stopped reading.
func (s *Server) serve(c *connection, unread func()) {
	defer c.hangUp()
	s.mu.Lock()
	s.connections[c] = struct{}{}
	s.mu.Unlock()
	if s.service.lifetime.isClosing() {
		c.drain()
	}
	defer s.remove(c)
	c.read()
	unread()
	c.uploads.drop()
	c.sessions.abandonAll()
	c.calls.Wait()
}

func (s *Server) remove(c *connection) {
	c.counted.release(&s.service.connections)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, c)
}

// Connections returns the number of open connections, including POSTs.
func (s *Server) Connections() int { return s.service.lifetime.connections() }

func (s *Server) connected() []*connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.connections))
}

// Shutdown refuses new connections and calls, and lets the calls in flight end. It closes each WebSocket with 1001 after its last
// reply. It returns when all connections, sessions and detached calls have ended. If ctx ends before that, Shutdown cancels the
// calls, which then end with 1003, and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.service.executions.stop()
	s.service.lifetime.close()
	for _, c := range s.connected() {
		c.drain()
	}
	select {
	case <-s.service.lifetime.empty:
		return nil
	case <-ctx.Done():
	}
	for _, c := range s.connected() {
		c.cancelAll(true)
	}
	s.service.executions.cancelAll()
	<-s.service.lifetime.empty
	return ctx.Err()
}
