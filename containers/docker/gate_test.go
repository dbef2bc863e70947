package docker

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"
)

// A gate is a way to the real engine that can be closed, and that can lose what passes.
type gate struct {
	t      *testing.T
	socket string
	engine func(context.Context) (net.Conn, error)

	mu     sync.Mutex // guards all below
	server *http.Server
	served chan struct{}
	conns  []net.Conn // to the engine
	pass   func(w http.ResponseWriter, r *http.Request, engine http.Handler)
}

// newGate makes the drivers that the test makes after it go through the gate, which is open.
func newGate(t *testing.T, engine *client.Client) *gate {
	g := &gate{t: t, socket: filepath.Join(t.TempDir(), "gate"), engine: engine.Dialer()}
	t.Setenv("DOCKER_HOST", "unix://"+g.socket)
	g.open()
	t.Cleanup(g.close)
	return g
}

func (g *gate) open() {
	g.t.Helper()
	listener, err := net.Listen("unix", g.socket)
	if err != nil {
		g.t.Fatal(err)
	}
	transport := &http.Transport{DialContext: g.dial, DisableKeepAlives: true}
	engine := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine" },
		Transport:    transport,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		pass := g.pass
		g.mu.Unlock()
		if pass == nil {
			engine.ServeHTTP(w, r)
			return
		}
		pass(w, r, engine)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.server, g.served = server, served
}

func (g *gate) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := g.engine(ctx)
	if err == nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.conns = append(g.conns, conn)
	}
	return conn, err
}

// close is as if the engine ended: nobody listens, and every connection is gone.
func (g *gate) close() {
	g.mu.Lock()
	server, conns := g.server, g.conns
	g.conns = nil
	g.mu.Unlock()
	_ = server.Close()
	for _, conn := range conns {
		_ = conn.Close()
	}
	<-g.served
}

// passing says what becomes of requests from now on; nil: they pass.
func (g *gate) passing(pass func(w http.ResponseWriter, r *http.Request, engine http.Handler)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass = pass
}

// unanswered hands a request to the engine, and the answer to nobody.
func unanswered(r *http.Request, engine http.Handler) {
	engine.ServeHTTP(deaf{http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
	panic(http.ErrAbortHandler)
}

type deaf struct{ header http.Header }

func (d deaf) Header() http.Header         { return d.header }
func (d deaf) Write(b []byte) (int, error) { return len(b), nil }
func (d deaf) WriteHeader(int)             {}

func isCreate(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/containers/create") }
