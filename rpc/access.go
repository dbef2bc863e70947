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

// An access decides from where a request may come in, by nothing but itself and where it arrived, and has
// somebody else say who it comes from. The Host is what the client says it is: it can keep a
// request out, but never vouch for an Origin.
type access struct {
	listen       netip.AddrPort // invalid where unknown, and judged like loopback
	origins      []string       // in the form of ParseOrigin
	hosts        []string       // names that the daemon goes by on loopback, beside loopback's own
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

// ParseOrigin brings an origin into the form in which origins are compared: lower case, without the
// port that its scheme implies. An error says what a web page's origin looks like.
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

// hostAllowed keeps web pages out whose own name was made to point to this machine: where the
// daemon listens on loopback, it goes by loopback names only, and by those that a proxy in front has.
func (a access) hostAllowed(host string) bool {
	if a.listen.IsValid() && !a.listen.Addr().Unmap().IsLoopback() || IsLoopbackHost(host) {
		return true
	}
	name, ok := hostName(host)
	return ok && slices.ContainsFunc(a.hosts, func(own string) bool { return strings.EqualFold(own, name) })
}

// CheckHost says what is wrong with a name that a daemon is to go by.
func CheckHost(name string) error {
	u, err := url.Parse("http://" + name)
	if err != nil || name == "" || u.Host != name || u.Hostname() != name || strings.Contains(name, "*") {
		return fmt.Errorf("host %.100q: want a name alone, like jsd.example.com", name)
	}
	return nil
}

// IsLoopbackHost judges a Host header, with or without port: whether it names this machine to itself.
func IsLoopbackHost(host string) bool {
	name, ok := hostName(host)
	return ok && loopback.Is(name)
}

// hostName is a Host header without its port, if it has the form of one.
func hostName(host string) (name string, ok bool) {
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

// originAllowed judges an Origin header. arrived is the local address of the connection, which
// stands for the one listened on where that is all addresses.
func (a access) originAllowed(origin string, arrived netip.AddrPort) bool {
	origin, err := ParseOrigin(origin)
	if err != nil {
		return false
	}
	return slices.Contains(a.origins, origin) || slices.Contains(a.own(arrived), origin)
}

// own is the origins of pages that the daemon itself serves.
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

// A Denial is how a request is refused before anything else is looked at.
type Denial struct {
	Status    int    // of HTTP
	Reason    string // a line, for the client and the log: nothing of a credential may be in it
	Challenge string // the header WWW-Authenticate, which belongs to 401; empty: none
}

func (d *Denial) Error() string { return d.Reason }

// host judges any request.
func (a access) host(r *http.Request) *Denial {
	if !a.hostAllowed(r.Host) {
		return &Denial{Status: http.StatusForbidden, Reason: "this daemon listens on loopback: the Host must be localhost, a loopback address, or one of --host"}
	}
	return nil
}

// call judges a request that leads to calls.
func (a access) call(r *http.Request) (Identity, *Denial) {
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

// An Identity is who a connection, or a POST, comes from.
type Identity struct {
	Tenant  string    // whose all its requests are; empty: they may name any
	Expires time.Time // no call is taken from then on; zero: never
}

func (i *Identity) expired() bool { return !i.Expires.IsZero() && !time.Now().Before(i.Expires) }
