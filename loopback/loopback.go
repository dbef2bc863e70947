// Package loopback tells which names stand for this machine as it sees itself. A daemon without a credential serves
// only these, and keys of tokens come without TLS only from these.
package loopback

import (
	"net/netip"
	"strings"
)

// Is reports whether host is localhost or a loopback address. It takes a name or address alone: without a port, and
// an IPv6 address without brackets. It resolves nothing, and an address with a zone is none.
func Is(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Zone() == "" && address.Unmap().IsLoopback()
}
