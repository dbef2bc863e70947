package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jsd-project/jsd/rpc"
)

// An admin serves the operators of the daemon at an address of its own: /metrics, /status, /debug/pprof/. Every user of this
// machine may read all of it.
type admin struct {
	listener net.Listener
	http     *http.Server
	served   chan error // closed when the server has stopped
}

func openAdmin(address string) (*admin, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--admin-listen %s: %w; choose another with --admin-listen", address, err)
	}
	return &admin{listener: listener, http: newHTTPServer(nil), served: make(chan error, 1)}, nil
}

func (a *admin) serve(d *Daemon) {
	routes := http.NewServeMux()
	routes.Handle("/metrics", promhttp.HandlerFor(d.watched.metrics.registry, promhttp.HandlerOpts{}))
	routes.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(d.Status())
	})
	// The command line may hold the secret.
	routes.HandleFunc("/debug/pprof/", pprof.Index)
	routes.HandleFunc("/debug/pprof/cmdline", http.NotFound)
	routes.HandleFunc("/debug/pprof/profile", pprof.Profile)
	routes.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	routes.HandleFunc("/debug/pprof/trace", pprof.Trace)
	routes.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "jsd %s. /metrics for Prometheus, /status for jsd status, /debug/pprof/ for go tool pprof\n", d.version)
	})
	a.http.Handler = endOfBody(forThisMachine(routes))
	go func() {
		defer close(a.served)
		a.served <- a.http.Serve(limitListener(a.listener, adminConnections, d.log))
	}()
}

// forThisMachine refuses requests of web pages, including pages whose own host name points to this machine. They could not
// read the answers, but could make the daemon work for them.
func forThisMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := r.Header.Get("Sec-Fetch-Site")
		switch {
		case !rpc.IsLoopbackHost(r.Host):
			http.Error(w, "the Host must be localhost or a loopback address", http.StatusForbidden)
		case r.Header.Get("Origin") != "", from != "" && from != "none" && from != "same-origin":
			http.Error(w, "this is not for web pages", http.StatusForbidden)
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (a *admin) close() error {
	err := a.http.Close()
	if a.http.Handler == nil { // serve was not called
		return a.listener.Close()
	}
	if served := <-a.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serving the admin address: %w", served))
	}
	return err
}
