package rpc

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jsd-project/jsd/loopback"
)

// An access decides which HTTP requests are served, by their Host and Origin headers and by the address at which they arrived. It
// leaves the identity to authenticate. The client chooses the Host header: a wrong one refuses a request, but the right one never
// makes an Origin allowed.
type access struct {
	listen       netip.AddrPort // invalid: unknown, and treated like loopback
	origins      []string       // in the form of ParseOrigin
	hosts        []string       // Config.Hosts
	authenticate func(*http.Request) (Identity, error)
}

func newAccess(listen net.Addr, origins, hosts []string, authenticate func(*http.Request) (Identity, error)) access {
	a := access{hosts: hosts, authenticate: authenticate}
	if tcp, ok := listen.(*net.TCPAddr); ok {
		a.listen = tcp.AddrPort()
	}
	for _, o := range origins {
		if o, err := ParseOrigin(o); err == nil {
			a.origins = append(a.origins, o)
		}
	}
	return a
}

// ParseOrigin returns an origin in the form in which origins are compared: lower case, without the port that its scheme implies. Its
// error says what an origin looks like.
func ParseOrigin(origin string) (string, error) {
	u, err := url.Parse(strings.ToLower(origin))
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("origin %.100q: want one like https://example.com", origin)
	}
	host := u.Host
	if port := u.Port(); u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, nil
}

// hostHeaderAllowed reports whether a request with this Host header is served. It defends against DNS rebinding, where a web page makes
// its own name resolve to this machine: a daemon on loopback accepts only loopback names and Config.Hosts.
func (a access) hostHeaderAllowed(host string) bool {
	if a.listen.IsValid() && !a.listen.Addr().Unmap().IsLoopback() || IsLoopbackHost(host) {
		return true
	}
	name, ok := hostHeaderName(host)
	return ok && slices.ContainsFunc(a.hosts, func(own string) bool { return strings.EqualFold(own, name) })
}

// CheckHost returns an error if name cannot be one of Config.Hosts.
func CheckHost(name string) error {
	u, err := url.Parse("http://" + name)
	if err != nil || name == "" || u.Host != name || u.Hostname() != name || strings.Contains(name, "*") {
		return fmt.Errorf("host %.100q: want a name alone, like jsd.example.com", name)
	}
	return nil
}

// IsLoopbackHost reports whether a Host header, with or without a port, is localhost or a loopback address.
func IsLoopbackHost(host string) bool {
	name, ok := hostHeaderName(host)
	return ok && loopback.Is(name)
}

// hostHeaderName returns a Host header without its port. ok is false if the header is malformed.
func hostHeaderName(host string) (name string, ok bool) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, ""
		if inner, ok := strings.CutPrefix(host, "["); ok {
			name, ok = strings.CutSuffix(inner, "]")
			if !ok {
				return "", false
			}
		}
	}
	return name, strings.Trim(port, "0123456789") == ""
}

// originAllowed reports whether a request with this Origin header is served. arrived is the local address of the connection, which is
// used if the daemon listens on all addresses.
func (a access) originAllowed(origin string, arrived netip.AddrPort) bool {
	origin, err := ParseOrigin(origin)
	if err != nil {
		return false
	}
	return slices.Contains(a.origins, origin) || slices.Contains(a.own(arrived), origin)
}

// own returns the origins of pages that the daemon itself serves.
func (a access) own(arrived netip.AddrPort) (origins []string) {
	at := a.listen
	if at.Addr().IsUnspecified() {
		at = arrived
	}
	if !at.IsValid() {
		return nil
	}
	ip := at.Addr().Unmap().WithZone("")
	names := []string{ip.String()}
	if ip.Is6() {
		names[0] = "[" + ip.String() + "]"
	}
	if ip.IsLoopback() {
		names = append(names, "localhost", "127.0.0.1", "[::1]")
	}
	for _, name := range names {
		for _, scheme := range []string{"http", "https"} {
			o, err := ParseOrigin(fmt.Sprintf("%s://%s:%d", scheme, name, at.Port()))
			if err == nil {
				origins = append(origins, o)
			}
		}
	}
	return origins
}

// A Denial refuses an HTTP request. It is the error of Config.Authenticate.
type Denial struct {
	Status    int    // of HTTP
	Reason    string // one line for the client and the log, without any part of a credential
	Challenge string // the header WWW-Authenticate of a 401; empty: none
}

func (d *Denial) Error() string { return d.Reason }

// checkHostHeader returns a Denial if the Host header of a request is not allowed. Every request has to pass it.
func (a access) checkHostHeader(r *http.Request) *Denial {
	if !a.hostHeaderAllowed(r.Host) {
		return &Denial{Status: http.StatusForbidden, Reason: "this daemon listens on loopback: the Host must be localhost, a loopback address, or one of --host"}
	}
	return nil
}

// identify returns the identity behind a request that leads to calls, or a Denial.
func (a access) identify(r *http.Request) (Identity, *Denial) {
	origins := r.Header.Values("Origin")
	if len(origins) > 1 || len(origins) == 1 && !a.originAllowed(origins[0], arrivedAt(r)) {
		return Identity{}, &Denial{Status: http.StatusForbidden, Reason: "this Origin is not allowed: start jsd with --origin to allow it"}
	}
	if a.authenticate == nil {
		return Identity{}, nil
	}
	who, err := a.authenticate(r)
	if err == nil {
		return who, nil
	}
	var denial *Denial
	if !errors.As(err, &denial) {
		denial = &Denial{Status: http.StatusUnauthorized, Reason: "not authenticated"}
	}
	return Identity{}, denial
}

func arrivedAt(r *http.Request) netip.AddrPort {
	if tcp, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}

// An Identity is what a credential says about the client of a connection or a POST.
type Identity struct {
	Tenant  string    // of all its requests; empty: requests may name any tenant
	Expires time.Time // calls are refused from then on; zero: never
}

func (i *Identity) expired() bool { return !i.Expires.IsZero() && !time.Now().Before(i.Expires) }
