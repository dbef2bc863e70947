package rpc

import (
	"encoding/json"
	"sync"

	"github.com/jsd-project/jsd/bundles"
	"github.com/jsd-project/jsd/rpc/wire"
)

// A service is what the methods work with: all that is not of one connection.
type service struct {
	cfg         Config
	bundles     *bundles.Store
	executions  *executions
	quota       *wire.Quota // of the requests in flight
	connections perTenant   // on which each tenant has made a call, where it may have fewer than there may be
	sessions    perTenant   // of each tenant, with those that are being opened
	lifetime    lifetime    // what Shutdown waits for
	reporter    reporter
	document    json.RawMessage // what rpc.discover answers
}

// countConnection counts a connection among those of the tenant. Where a tenant may have as many as there may be in all,
// nothing is counted.
func (s *service) countConnection(p *peer, o *origin) error {
	if o.connections < s.cfg.MaxConnections && !p.counted.add(&s.connections, o.tenant, o.connections) {
		return errConnectionLimit
	}
	return nil
}

// A lifetime counts what is under way, and tells when nothing is and nothing more may come.
type lifetime struct {
	mu      sync.Mutex // guards what follows
	open    int        // connections, from before their upgrade until nothing of them is left
	working int        // what no connection waits for: detached calls, and the watch over each session
	closing bool
	empty   chan struct{} // closed when closing, and open and working are 0
}

// A refusedConnection says why admit lets no connection in.
type refusedConnection string

// admit counts a connection in, unless there are most or the end has begun. Who is admitted leaves.
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

func (l *lifetime) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	l.closeIfEmptyLocked()
}

// add counts work in. It is called where a connection is open, or from other work.
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

// close lets no more connections in.
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
