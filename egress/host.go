package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A Host is an entry of a list of hosts: NAME or *.NAME, with or without a port. The zero value matches nothing.
type Host struct {
	name string // in the form of canonical, without the star
	wild bool   // stands for all names below name, and not for name itself
	port int    // 0: 80 and 443
}

// The ports of a Host without a port.
const (
	portHTTP  = 80
	portHTTPS = 443
)

// ParseHost parses an entry of a list. The error says what an entry looks like.
func ParseHost(text string) (Host, error) {
	name, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 && (text[0] == '[' || strings.Count(text, ":") == 1) && !strings.HasSuffix(text, "]") {
		name, port = text[:i], text[i+1:]
	}
	h := Host{}
	if port != "" || strings.HasSuffix(text, ":") {
		n, err := strconv.ParseUint(port, 10, 16)
		if strings.Trim(port, "0123456789") != "" {
			return Host{}, fmt.Errorf("%.100q: %w", text, errNoHost)
		}
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return Host{}, fmt.Errorf("%.100q: a port is a number from 1 to 65535", text)
		}
		h.port = int(n)
	}
	name, h.wild = strings.CutPrefix(name, "*.")
	name = unbracketed(name)
	canonical, err := canonical(name)
	if err == nil && h.wild && !isName(canonical) {
		err = errNoHost
	}
	if err != nil {
		return Host{}, fmt.Errorf("%.100q: %w", text, err)
	}
	h.name = canonical
	return h, nil
}

// unbracketed takes the brackets off an IPv6 address.
func unbracketed(name string) string {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok && strings.Contains(inner, ":") {
			return inner
		}
	}
	return name
}

func (h Host) String() string {
	s := h.name
	if h.wild {
		s = "*." + s
	}
	if h.port == 0 {
		return s
	}
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	return s + ":" + strconv.Itoa(h.port)
}

// matches reports whether the entry stands for a name, which is in canonical form, and a port.
func (h Host) matches(name string, port int) bool {
	if h.port != port && (h.port != 0 || port != portHTTP && port != portHTTPS) {
		return false
	}
	if h.wild {
		return strings.HasSuffix(name, "."+h.name)
	}
	return name == h.name
}

const maxName = 253 // characters, by the rules of DNS

var errNoHost = errors.New("a host is a name such as api.example.com (in letters, digits, - and _; others as xn--…), *.example.com or an IP address, and perhaps :PORT")

// canonical returns the form of a host in which hosts are compared: lower case, without the last dot, an address as
// Go writes it. Some resolvers take names such as 127.1 or 0x7f000001 for addresses. Such a name is an error.
func canonical(name string) (string, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		if addr.Zone() != "" {
			return "", errNoHost
		}
		return addr.Unmap().String(), nil
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > maxName {
		return "", errNoHost
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", errNoHost
		}
		last = label
	}
	if isNumber(last) {
		return "", errNoHost
	}
	return name, nil
}

// isNumber reports whether the last part of a name makes the whole name an address, by the rules of inet_aton and of
// URLs.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// isName reports whether a canonical name is not an address.
func isName(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil
}
