package egress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
)

// A Policy is what a tenant may reach.
type Policy struct {
	Tenant   string // as errors name it
	Hosts    []Host
	Networks []netip.Prefix // that may be reached although they are not public
}

// A Dialer opens connections. Its zero value is ready; its methods may be called from any goroutine.
type Dialer struct {
	Timeout  time.Duration // to resolve a name and connect; 0: 10 s
	Resolver *net.Resolver // nil: one that asks the system's DNS servers

	addresses func() ([]net.Addr, error) // of this machine; nil: net.InterfaceAddrs
}

// An Error says why there is no connection. Its message is for the script.
type Error struct {
	Code    string // one of Node's, such as EACCES or ECONNREFUSED
	Message string
	Outcome Outcome
}

func (e *Error) Error() string { return e.Message }

// An Outcome is what became of a request for a connection.
type Outcome string

const (
	Connected Outcome = "connected"
	Refused   Outcome = "refused" // by the policy
	Failed    Outcome = "failed"  // to resolve or to connect
	Dropped   Outcome = "dropped" // because its call ended first
)

// outsideError means that the daemon may not connect to an address.
type outsideError struct {
	addr netip.Addr
	what string
}

func (e *outsideError) Error() string { return fmt.Sprintf("%v is %s", e.addr, e.what) }

// Dial connects to a host if the policy lists it. The host is a name or an address. Errors are of type *Error.
func (d *Dialer) Dial(ctx context.Context, p *Policy, host string, port int) (*net.TCPConn, error) {
	place := net.JoinHostPort(clip(host), strconv.Itoa(port))
	name, err := canonical(unbracketed(host))
	if err != nil || !p.lists(name, port) {
		return nil, &Error{"EACCES", fmt.Sprintf("connect to %s is not allowed: it is not in hosts of tenant %s", place, p.Tenant), Refused}
	}
	dialer := net.Dialer{
		Timeout: cmp.Or(d.Timeout, 10*time.Second), Resolver: cmp.Or(d.Resolver, resolver(new(net.Dialer).DialContext)),
		Control: func(_, address string, _ syscall.RawConn) error { return d.check(p, address) },
	}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(name, strconv.Itoa(port)))
	if err == nil {
		return conn.(*net.TCPConn), nil // the network is tcp
	}
	return nil, explain(ctx, p, place, host, err)
}

func (p *Policy) lists(name string, port int) bool {
	for _, h := range p.Hosts {
		if h.matches(name, port) {
			return true
		}
	}
	return false
}

// check returns an error if the dialer may not connect to an address.
func (d *Dialer) check(p *Policy, address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address: %w", address, err)
	}
	addr := at.Addr().Unmap()
	if what := outside(addr, p.Networks); what != "" {
		return &outsideError{addr, what}
	}
	if within(addr, p.Networks) {
		return nil
	}
	addresses := d.addresses
	if addresses == nil {
		addresses = net.InterfaceAddrs
	}
	all, err := addresses()
	if err != nil {
		return fmt.Errorf("addresses of this machine: %w", err)
	}
	for _, own := range all {
		if n, ok := own.(*net.IPNet); ok && n.IP.Equal(addr.AsSlice()) {
			return &outsideError{addr, "this machine's"} // a service there is as exposed as on loopback
		}
	}
	return nil
}

// explain turns an error of Go into the one that Node would have. It tells nothing about the resolver of the daemon.
func explain(ctx context.Context, p *Policy, place, host string, err error) *Error {
	var out *outsideError
	var dns *net.DNSError
	failed := func(code string) *Error { return &Error{code, fmt.Sprintf("connect %s %s", code, place), Failed} }
	switch {
	case ctx.Err() != nil:
		return &Error{"ECONNABORTED", "connect to " + place + " was given up: the call has ended", Dropped}
	case errors.As(err, &out):
		return &Error{"EACCES", fmt.Sprintf("connect to %s is not allowed: its address %v is %s, and not in networks of tenant %s", place, out.addr, out.what, p.Tenant), Refused}
	case errors.As(err, &dns) && dns.IsNotFound:
		return &Error{"ENOTFOUND", "getaddrinfo ENOTFOUND " + clip(host), Failed}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &dns) && dns.IsTimeout:
		return failed("ETIMEDOUT")
	case errors.As(err, &dns):
		return &Error{"EAI_AGAIN", "getaddrinfo EAI_AGAIN " + clip(host), Failed}
	}
	for _, known := range []struct {
		errno syscall.Errno
		code  string
	}{
		{syscall.ECONNREFUSED, "ECONNREFUSED"}, {syscall.EHOSTUNREACH, "EHOSTUNREACH"}, {syscall.ENETUNREACH, "ENETUNREACH"},
		{syscall.ETIMEDOUT, "ETIMEDOUT"}, {syscall.ECONNRESET, "ECONNRESET"}, {syscall.EADDRNOTAVAIL, "EADDRNOTAVAIL"},
	} {
		if errors.Is(err, known.errno) {
			return failed(known.code)
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return failed("ETIMEDOUT")
	}
	return failed("ECONNREFUSED")
}

// clip shortens a host. A script may invent a long one, which would fill errors and logs.
func clip(host string) string {
	const most = 100
	if len(host) > most {
		return host[:most] + "…"
	}
	return host
}
