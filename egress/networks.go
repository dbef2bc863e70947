package egress

import (
	"fmt"
	"net/netip"
)

// ParseNetwork parses a range of addresses, such as 10.1.0.0/16 or fd00::/8. The error says what a range looks like.
func ParseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%.100q: a network is a range of addresses such as 10.1.0.0/16 or fd00::/8", text)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has more than its first %d bits set: write %v, or %v/%d", text, p.Bits(), p.Masked(), p.Addr(), p.Addr().BitLen())
	}
	return p, nil
}
