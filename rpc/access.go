package rpc

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

const secretHeader = "x-runtime-secret"

// An access decides who may come in, by nothing but the request and where it arrived. The Host is
// what the client says it is, so nothing is ever allowed because of it.
type access struct {
	listen  netip.AddrPort // invalid where unknown, and judged like loopback
	origins []string       // in the form of ParseOrigin
	secret  *[sha256.Size]byte
}

func newAccess(listen net.Addr, origins []string, secret string) (a access) {
	if tcp, ok := listen.(*net.TCPAddr); ok {
		a.listen = tcp.AddrPort()
	}
	for _, o := range origins {
		if o, err := ParseOrigin(o); err == nil {
			a.origins = append(a.origins, o)
		}
	}
	if secret != "" {
		sum := sha256.Sum256([]byte(secret))
		a.secret = &sum
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
// daemon listens on loopback, it goes by loopback names only.
func (a access) hostAllowed(host string) bool {
	loopback := !a.listen.IsValid() || a.listen.Addr().Unmap().IsLoopback()
	return !loopback || IsLoopbackHost(host)
}

// IsLoopbackHost judges a Host header, with or without port: whether it names this machine to itself.
func IsLoopbackHost(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, ""
		if inner, ok := strings.CutPrefix(host, "["); ok {
			name, ok = strings.CutSuffix(inner, "]")
			if !ok {
				return false
			}
		}
	}
	if strings.Trim(port, "0123456789") != "" {
		return false
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
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

// secretAllowed takes the same time for any wrong secret.
func (a access) secretAllowed(secret string) bool {
	if a.secret == nil {
		return true
	}
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], a.secret[:]) == 1
}

// A denial is a status and a line that says why.
type denial struct {
	status int
	reason string
}

// host judges any request.
func (a access) host(r *http.Request) *denial {
	if !a.hostAllowed(r.Host) {
		return &denial{http.StatusForbidden, "this daemon listens on loopback: the Host must be localhost or a loopback address"}
	}
	return nil
}

// call judges a request that leads to calls.
func (a access) call(r *http.Request) *denial {
	origins := r.Header.Values("Origin")
	if len(origins) > 1 || len(origins) == 1 && !a.originAllowed(origins[0], arrivedAt(r)) {
		return &denial{http.StatusForbidden, "this Origin is not allowed: start jsd with --origin to allow it"}
	}
	if !a.secretAllowed(r.Header.Get(secretHeader)) {
		return &denial{http.StatusUnauthorized, "the header " + secretHeader + " must hold the secret of this daemon"}
	}
	return nil
}

func arrivedAt(r *http.Request) netip.AddrPort {
	if tcp, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}
