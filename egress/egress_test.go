package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

func hosts(t *testing.T, texts ...string) []Host {
	t.Helper()
	var all []Host
	for _, text := range texts {
		h, err := ParseHost(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

func TestParseHost(t *testing.T) {
	for text, want := range map[string]string{
		"api.example.com":      "api.example.com",
		"API.Example.com.:80":  "api.example.com:80",
		"*.example.com:8443":   "*.example.com:8443",
		"my_host":              "my_host",
		"xn--bcher-kva.ch":     "xn--bcher-kva.ch",
		"127.0.0.1:8080":       "127.0.0.1:8080",
		"::1":                  "::1",
		"[::1]":                "::1",
		"[::FFFF:10.0.0.1]:80": "10.0.0.1:80",
		"[2001:DB8::0:1]:9":    "[2001:db8::1]:9",
	} {
		h, err := ParseHost(text)
		if err != nil || h.String() != want {
			t.Errorf("%s: got %v, %v, want %s", text, h, err, want)
		}
	}
	for _, text := range []string{
		"", ":80", "*", "*.", "*.*.com", "a.*.com", "*.10.0.0.1", "a b", "http://a.com", "a.com/x", "a..com", ".com", "a.com:", "a.com:0",
		"a.com:65536", "a.com:080", "a.com:x", "a:1:2", "[::1", "::1]", "[a.com]:80", "fe80::1%eth0", "bücher.ch", "127.1", "2130706433", "0x7f.1",
		"0x7f000001", "a.0x1", "017700000001", "1.2.3.4.5", "256.1.1.1", strings.Repeat("a.", 127) + "com", strings.Repeat("a", 64),
	} {
		if h, err := ParseHost(text); err == nil {
			t.Errorf("%q is taken for %v", text, h)
		}
	}
}

func TestWhatAListHolds(t *testing.T) {
	p := Policy{Hosts: hosts(t, "a.com", "*.b.com", "c.com:8080", "10.0.0.1:22")}
	for place, want := range map[string]bool{
		"a.com:80": true, "a.com:443": true, "A.COM.:443": true, "a.com:22": false, "x.a.com:80": false, "xa.com:80": false, "a.com.evil.org:80": false,
		"b.com:80": false, "x.b.com:443": true, "x.y.b.com:80": true, "xb.com:80": false, ".b.com:80": false,
		"c.com:8080": true, "c.com:80": false, "10.0.0.1:22": true, "10.1:22": false, "167772161:22": false, "0xa.0.0.1:22": false, "012.0.0.1:22": false,
	} {
		host, port, _ := net.SplitHostPort(place)
		n, _ := strconv.Atoi(port)
		name, err := canonical(host)
		if got := err == nil && p.lists(name, n); got != want {
			t.Errorf("%s: got %v, want %v", place, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, refused := range []string{
		"0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254",
		"172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1",
		"2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
		"fe80::1%lo", "2600::1%lo",
	} {
		if what := outside(netip.MustParseAddr(refused), nil); what == "" {
			t.Errorf("%s may be connected to", refused)
		}
	}
	for _, allowed := range []string{"8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111", "2a00:1450::1"} {
		if what := outside(netip.MustParseAddr(allowed), nil); what != "" {
			t.Errorf("%s is %s", allowed, what)
		}
	}
	networks := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/64")}
	for addr, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::a01:203": true, "10.2.0.1": false, "fd00::1": true, "fd00:0:0:1::1": false} {
		if got := outside(netip.MustParseAddr(addr), networks) == ""; got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
}

// server answers each connection with a word. It is closed with the test.
func server(t *testing.T) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).Port
}

func TestDial(t *testing.T) {
	port := server(t)
	at := strconv.Itoa(port)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, c := range []struct {
		host     string
		hosts    []Host
		networks []netip.Prefix
		code     string
		says     string
	}{
		{host: "localhost", hosts: hosts(t, "localhost:"+at), networks: append(loopback, netip.MustParsePrefix("::1/128"))},
		{host: "127.0.0.1", hosts: hosts(t, "127.0.0.1:"+at), networks: loopback},
		{host: "::ffff:127.0.0.1", hosts: hosts(t, "127.0.0.1:"+at), networks: loopback},
		{host: "127.0.0.1", hosts: hosts(t, "127.0.0.1:"+at), code: "EACCES", says: "its address 127.0.0.1 is loopback, and not in networks of tenant acme"},
		{host: "localhost", hosts: hosts(t, "localhost:"+at), code: "EACCES", says: "is loopback, and not in networks of tenant acme"},
		{host: "localhost", hosts: hosts(t, "localhost"), networks: loopback, code: "EACCES", says: "it is not in hosts of tenant acme"},
		{host: "2130706433", hosts: hosts(t, "127.0.0.1:"+at), networks: loopback, code: "EACCES", says: "it is not in hosts of tenant acme"},
		{host: "localhost\x00.example.com", hosts: hosts(t, "*.example.com:"+at), networks: loopback, code: "EACCES", says: "it is not in hosts of tenant acme"},
		{host: strings.Repeat("x", 10_000), code: "EACCES", says: "it is not in hosts of tenant acme"},
		{host: "nothing.invalid", hosts: hosts(t, "nothing.invalid:"+at), code: "", says: ""},
	} {
		p := &Policy{Tenant: "acme", Hosts: c.hosts, Networks: c.networks}
		conn, err := (&Dialer{}).Dial(t.Context(), p, c.host, port)
		var said *Error
		switch {
		case c.host == "nothing.invalid":
			if !errors.As(err, &said) || said.Code != "ENOTFOUND" && said.Code != "EAI_AGAIN" {
				t.Errorf("%s: got %v", c.host, err)
			}
		case c.code == "":
			if err != nil {
				t.Errorf("%s: got %v", c.host, err)
				continue
			}
			word, _ := io.ReadAll(conn)
			_ = conn.Close()
			if string(word) != "hello" {
				t.Errorf("%s: got %q", c.host, word)
			}
		case !errors.As(err, &said) || said.Code != c.code || said.Outcome != Refused || !strings.Contains(said.Message, c.says) || len(said.Message) > 400:
			t.Errorf("%s: got %v, want %s: %s", c.host, err, c.code, c.says)
		}
	}
}

// What others reach this machine by is public, and no way around them.
func TestAddressesOfThisMachine(t *testing.T) {
	own := net.IPNet{IP: net.IPv4(93, 184, 216, 34), Mask: net.CIDRMask(24, 32)}
	d := &Dialer{addresses: func() ([]net.Addr, error) { return []net.Addr{&own}, nil }}
	for address, want := range map[string]bool{"93.184.216.34:80": false, "[::ffff:93.184.216.34]:80": false, "93.184.216.35:80": true} {
		if err := d.check(&Policy{}, address); (err == nil) != want {
			t.Errorf("%s: got %v", address, err)
		}
	}
	if err := d.check(&Policy{Networks: []netip.Prefix{netip.MustParsePrefix("93.184.216.34/32")}}, "93.184.216.34:80"); err != nil {
		t.Error(err)
	}
	var said *Error
	_, err := d.Dial(t.Context(), &Policy{Tenant: "acme", Hosts: hosts(t, "93.184.216.34")}, "93.184.216.34", 80)
	if !errors.As(err, &said) || said.Outcome != Refused || !strings.Contains(said.Message, "its address 93.184.216.34 is this machine's, and not in networks of tenant acme") {
		t.Errorf("got %v", err)
	}
}

func TestFailures(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	p := &Policy{Hosts: hosts(t, "127.0.0.1:"+strconv.Itoa(port)), Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	var said *Error
	if _, err := (&Dialer{}).Dial(t.Context(), p, "127.0.0.1", port); !errors.As(err, &said) || said.Code != "ECONNREFUSED" || said.Outcome != Failed {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Dialer{}).Dial(ended, p, "127.0.0.1", port); !errors.As(err, &said) || said.Outcome != Dropped {
		t.Errorf("got %v", err)
	}
	if _, err := (&Dialer{Timeout: time.Nanosecond}).Dial(t.Context(), p, "127.0.0.1", port); !errors.As(err, &said) || said.Code != "ETIMEDOUT" {
		t.Errorf("got %v", err)
	}
}
