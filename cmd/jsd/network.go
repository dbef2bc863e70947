package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/egress"
	"github.com/jsd-project/jsd/scheduler"
)

// networkFlags say what scripts reach, for every command that runs some.
type networkFlags struct {
	Hosts    []string `env:"JSD_HOSTS" placeholder:"NAME[:PORT]" help:"Hosts that scripts may connect to, *.NAME among them, on ports 80 and 443 where none is named. Default: none."`
	Networks []string `env:"JSD_NETWORKS" placeholder:"CIDR" help:"Ranges of addresses, such as 10.1.0.0/16, that these hosts may be in although they are not public. Default: none."`
}

// reachable takes them apart.
func (f *networkFlags) reachable() (hosts []egress.Host, networks []netip.Prefix, err error) {
	for _, text := range f.Hosts {
		h, err := egress.ParseHost(text)
		if err != nil {
			return nil, nil, fmt.Errorf("--hosts %w", err)
		}
		hosts = append(hosts, h)
	}
	for _, text := range f.Networks {
		n, err := egress.ParseNetwork(text)
		if err != nil {
			return nil, nil, fmt.Errorf("--networks %w", err)
		}
		networks = append(networks, n)
	}
	return hosts, networks, nil
}

// networked is the scheduler, where calls get what they connect through.
type networked struct {
	*scheduler.Scheduler
	daemon *daemon
}

func (n *networked) Run(ctx context.Context, tenant string, job call.Call) (call.Result, error) {
	job.Network = n.daemon.network(tenant, job)
	return n.Scheduler.Run(ctx, tenant, job)
}

func (n *networked) OpenSession(ctx context.Context, tenant string, job call.Call) (call.Session, call.Result, error) {
	job.Network = n.daemon.network(tenant, job)
	s, result, err := n.Scheduler.RunOpen(ctx, tenant, job)
	if err == nil {
		s = &networkedSession{s, n.daemon, tenant}
	}
	return s, result, err
}

type networkedSession struct {
	call.Session
	daemon *daemon
	tenant string
}

func (s *networkedSession) Execute(ctx context.Context, job call.Call) (call.Result, error) {
	job.Network = s.daemon.network(s.tenant, job)
	return s.Session.Execute(ctx, job)
}

// network is what a call of a tenant connects through.
func (d *daemon) network(tenant string, job call.Call) call.Network {
	return &network{daemon: d, tenant: tenant, execution: job.Execution}
}

type network struct {
	daemon    *daemon
	tenant    string
	execution string
	asked     atomic.Int64 // connections
}

// loggedConnections is how many connections of a call have a line in the log: a script can ask for thousands a
// second.
const loggedConnections = 100

// A connection is what is told of one that a script asked for.
type connection struct {
	host           string
	port           int
	address        string // empty: there was none
	outcome        egress.Outcome
	sent, received int64
	began          time.Time
	number         int64 // in its call
}

// Dial judges by the policy as it is now.
func (n *network) Dial(ctx context.Context, host string, port int) (net.Conn, error) {
	p := n.daemon.policies.Of(n.tenant)
	e := &connection{host: host, port: port, began: time.Now(), outcome: egress.Connected, number: n.asked.Add(1)}
	conn, err := n.daemon.dialer.Dial(ctx, &egress.Policy{Tenant: n.tenant, Hosts: p.Hosts, Networks: p.Networks}, host, port)
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
