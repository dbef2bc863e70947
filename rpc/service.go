package rpc

import (
	"encoding/json"
	"sync"

	"github.com/jsd-project/jsd/bundles"
)

// A service has the state that all connections share. The handlers of the methods are its methods.
type service struct {
	cfg         Config
	bundles     *bundles.Store
	executions  *executions
	quota       *requestQuota // of the requests in flight
	connections perTenant     // on which a tenant has made a call; counted only for tenants with a bound of their own
	sessions    perTenant     // including the ones that are being opened
	lifetime    lifetime      // what Shutdown waits for
	reporter    reporter
	document    json.RawMessage // what rpc.discover answers
}

// countConnection counts a connection for the tenant of a request. It counts nothing if the tenant may have as many connections as
// the daemon.
func (s *service) countConnection(p *peer, o *origin) error {
	if o.connections < s.cfg.MaxConnections && !p.counted.add(&s.connections, o.tenant, o.connections) {
		return errConnectionLimit
	}
	return nil
}

// A lifetime counts connections and work, so that Shutdown can wait for their end.
type lifetime struct {
	mu      sync.Mutex // guards what follows
	open    int        // connections, from before their upgrade until they are released
	working int        // detached calls and open sessions, which no connection waits for
	closing bool
	empty   chan struct{} // closed when closing, and open and working are 0
}

// A refusedConnection says why admit lets no connection in.
type refusedConnection string

// admit counts a connection, and returns why if there are most already or the daemon shuts down. The caller releases a connection
// that was admitted.
func (l *lifetime) admit(most int) (why refusedConnection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closing:
		return "shutting down"
	case l.open >= most:
		return "too many connections"
	}
	l.open++
	return ""
}

func (l *lifetime) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	l.closeIfEmptyLocked()
}

// add counts a piece of work. Its caller is an open connection or other work, so the lifetime is not empty meanwhile.
func (l *lifetime) add() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.working++
}

func (l *lifetime) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.working--
	l.closeIfEmptyLocked()
}

func (l *lifetime) closeIfEmptyLocked() {
	if l.closing && l.open == 0 && l.working == 0 {
		close(l.empty)
	}
}

// close admits no more connections.
func (l *lifetime) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing {
		l.closing = true
		l.closeIfEmptyLocked()
	}
}

func (l *lifetime) isClosing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

func (l *lifetime) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}
