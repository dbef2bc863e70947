package egress

import (
	"net/netip"
	"slices"
)

// reserved are the ranges of addresses that are not public, or that stand for other addresses. Each has the word for
// it that error messages use. The first range that contains an address counts.
var reserved = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared by a carrier"}, // with 100.100.100.200, metadata of a cloud
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "metadata of a cloud"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"}, // with 169.254.169.254, metadata of most clouds
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"}, // with 192.0.0.192, metadata of a cloud
	{netip.MustParsePrefix("192.0.2.0/24"), "reserved"},
	{netip.MustParsePrefix("192.88.99.0/24"), "reserved"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "reserved"},
	{netip.MustParsePrefix("198.51.100.0/24"), "reserved"},
	{netip.MustParsePrefix("203.0.113.0/24"), "reserved"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},

	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fc00::/7"), "private"}, // with fd00:ec2::254, metadata of a cloud
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "private"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("2001::/23"), "a tunnel or reserved"}, // Teredo among them, which holds an IPv4 address
	{netip.MustParsePrefix("2001:db8::/32"), "reserved"},
	{netip.MustParsePrefix("2002::/16"), "a tunnel"}, // 6to4, likewise
	{netip.MustParsePrefix("3fff::/20"), "reserved"},
}

// public is the range of the public addresses of IPv6.
var public = netip.MustParsePrefix("2000::/3")

// nat64 is the range of addresses that lead to the IPv4 address in their last 4 bytes.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func within(addr netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// outside returns the reason why the daemon may not connect to an address, or an empty string if it may. It always
// may connect to an address in networks.
func outside(addr netip.Addr, networks []netip.Prefix) string {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.Zone() != "" {
		return "link-local"
	}
	if within(addr, networks) {
		return ""
	}
	if nat64.Contains(addr) {
		bytes := addr.As16()
		return outside(netip.AddrFrom4([4]byte(bytes[12:])), networks)
	}
	for _, r := range reserved {
		if r.prefix.Contains(addr) {
			return r.what
		}
	}
	if addr.Is6() && !public.Contains(addr) {
		return "reserved"
	}
	return ""
}
