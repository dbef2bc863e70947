package rpc

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// allow calls next for requests with one of these HTTP methods, and refuses all others.
func allow(w http.ResponseWriter, r *http.Request, next http.HandlerFunc, methods ...string) {
	if !slices.Contains(methods, r.Method) {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	next(w, r)
}

// pages answers GET: the playground, /healthz and /readyz.
type pages struct{ service *service }

func (p pages) page(w http.ResponseWriter, r *http.Request) {
	if p.service.cfg.Playground != nil {
		p.service.cfg.Playground.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	scheme := "ws"
	if r.TLS != nil {
		scheme = "wss"
	}
	fmt.Fprintf(w, "jsd %s. Connect a WebSocket to %s://%s/ and call runtime.execute.\n", p.service.cfg.Version, scheme, r.Host)
}

func (pages) alive(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// ready tells the reason only to the log, since /readyz needs no credential.
func (p pages) ready(w http.ResponseWriter, _ *http.Request) {
	if p.service.lifetime.isClosing() {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return
	}
	if err := p.service.cfg.Runner.Ready(); err != nil {
		p.service.cfg.Log.Debug().Err(err).Msg("not ready")
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
