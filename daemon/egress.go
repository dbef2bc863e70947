package daemon

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/egress"
	"github.com/jsd-project/jsd/scheduler"
)

// networked is the scheduler, which gets each call with its Network.
type networked struct {
	*scheduler.Scheduler
	daemon *Daemon
}

func (n *networked) Start(tenant string, job *call.Call, done call.Done) call.Running {
	job.Network = n.daemon.network(tenant, job)
	return n.Scheduler.Start(tenant, job, done)
}

func (n *networked) OpenSession(tenant string, job *call.Call, done func(call.Session, call.Result, error)) call.Running {
	job.Network = n.daemon.network(tenant, job)
	return n.Scheduler.OpenSession(tenant, job, func(s call.Session, result call.Result, err error) {
		if err == nil {
			s = &networkedSession{s, n.daemon, tenant}
		}
		done(s, result, err)
	})
}

type networkedSession struct {
	call.Session
	daemon *Daemon
	tenant string
}

func (s *networkedSession) Start(job *call.Call, done call.Done) call.Running {
	job.Network = s.daemon.network(s.tenant, job)
	return s.Session.Start(job, done)
}

// network returns the call.Network of a call.
func (d *Daemon) network(tenant string, job *call.Call) call.Network {
	return &network{daemon: d, tenant: tenant, execution: job.Execution}
}

type network struct {
	daemon    *Daemon
	tenant    string
	execution string
	asked     atomic.Int64 // connections
}

// loggedConnections is how many connections of a call have a line in the log: a script can ask for thousands a
// second.
const loggedConnections = 100

// A connection is what log and metrics say about a connection that a script asked for.
type connection struct {
	host           string
	port           int
	address        string // empty: there was none
	outcome        egress.Outcome
	sent, received int64
	began          time.Time
	number         int64 // in its call
}

// Dial implements call.Network. It applies the policy that the tenant has now.
func (n *network) Dial(ctx context.Context, host string, port int) (net.Conn, error) {
	p := n.daemon.policies.Of(n.tenant)
	e := &connection{host: host, port: port, began: time.Now(), outcome: egress.Connected, number: n.asked.Add(1)}
	hosts, networks := p.Reach()
	conn, err := n.daemon.dialer.Dial(ctx, &egress.Policy{Tenant: n.tenant, Hosts: hosts, Networks: networks}, host, port)
	if err != nil {
		why := &egress.Error{Outcome: egress.Failed}
		errors.As(err, &why)
		e.outcome = why.Outcome
		n.tell(e)
		return nil, &call.DialError{Code: why.Code, Message: why.Message}
	}
	e.address = conn.RemoteAddr().(*net.TCPAddr).IP.String()
	return egress.Counted(conn, func(sent, received int64) {
		e.sent, e.received = sent, received
		n.tell(e)
	}), nil
}

func (n *network) tell(e *connection) {
	if m := n.daemon.watched.metrics; m != nil {
		m.connection(e)
	}
	if e.number > loggedConnections+1 {
		return
	}
	log := n.daemon.log.Info().Str("tenant", n.tenant).Str("execution", n.execution)
	if e.number > loggedConnections {
		log.Int("logged", loggedConnections).Msg("more connections of this call are not logged")
		return
	}
	if e.address != "" {
		log.Str("address", e.address)
	}
	log.Str("host", e.host).Int("port", e.port).Str("outcome", string(e.outcome)).Int64("sent", e.sent).Int64("received", e.received).
		Int64("ms", time.Since(e.began).Milliseconds()).Msg("connection")
}
