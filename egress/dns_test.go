package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// ask makes resolvers ask a server at address.
func ask(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", address)
	}
}

// nameServer answers each question for IPv4 addresses with what answer gives, and others with nothing.
func nameServer(t *testing.T, answer func() [][4]byte) (address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if err := m.Unpack(buffer[:n]); err != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Authoritative, m.Additionals = true, true, nil
			if q.Type == dnsmessage.TypeA {
				for _, a := range answer() {
					m.Answers = append(m.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
						Body:   &dnsmessage.AResource{A: a},
					})
				}
			}
			if reply, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return conn.LocalAddr().String()
}

// A name that resolves to one address when somebody looks, and to another when it is connected to, as in rebinding.
func TestRebinding(t *testing.T) {
	port := server(t)
	answers := [][4]byte{{93, 184, 216, 34}, {127, 0, 0, 1}}
	resolver := resolver(ask(nameServer(t, func() [][4]byte {
		answer := answers[0]
		answers = append(answers[1:], answer)
		return [][4]byte{answer}
	})))
	p := &Policy{Tenant: "acme", Hosts: hosts(t, "rebind.example:"+strconv.Itoa(port))}
	if seen, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.example"); err != nil || seen[0].String() != "93.184.216.34" {
		t.Fatal(seen, err)
	}
	conn, err := (&Dialer{Resolver: resolver, Timeout: 5 * time.Second}).Dial(t.Context(), p, "rebind.example", port)
	if err == nil {
		_ = conn.Close()
	}
	var said *Error
	if !errors.As(err, &said) || said.Outcome != Refused || !strings.Contains(said.Message, "127.0.0.1 is loopback") {
		t.Errorf("got %v", err)
	}
}

// A name that has several addresses is connected to by those of them that may be.
func TestSeveralAddresses(t *testing.T) {
	port := server(t)
	resolver := resolver(ask(nameServer(t, func() [][4]byte {
		return [][4]byte{{169, 254, 169, 254}, {10, 0, 0, 1}, {127, 0, 0, 1}, {127, 0, 0, 2}}
	})))
	hosts := hosts(t, "many.example:"+strconv.Itoa(port))
	for network, want := range map[string]string{"127.0.0.1/32": "", "192.168.0.0/16": "and not in networks of tenant acme"} {
		p := &Policy{Tenant: "acme", Hosts: hosts, Networks: []netip.Prefix{netip.MustParsePrefix(network)}}
		conn, err := (&Dialer{Resolver: resolver}).Dial(t.Context(), p, "many.example", port)
		if err == nil {
			if at := conn.RemoteAddr().(*net.TCPAddr).IP.String(); at != "127.0.0.1" {
				t.Errorf("connected to %s", at)
			}
			_ = conn.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", network, err, want)
		}
	}
}

// An asked is a question to a server of DNS.
type asked struct {
	*net.UDPConn
	open *atomic.Int64
	once *sync.Once
}

func (a asked) Close() error {
	a.once.Do(func() { a.open.Add(-1) })
	return a.UDPConn.Close()
}

// Names that take long to be looked up hold nothing when nobody waits for them any more.
func TestLookupsThatAreGivenUp(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var open atomic.Int64
	dial := ask(silent.LocalAddr().String())
	d := Dialer{Resolver: resolver(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return asked{conn.(*net.UDPConn), &open, &sync.Once{}}, nil
	})}
	p := &Policy{Hosts: hosts(t, "*.slow.example")}
	ctx, cancel := context.WithCancel(t.Context())
	var dials sync.WaitGroup
	for i := range 20 {
		dials.Go(func() {
			if _, err := d.Dial(ctx, p, fmt.Sprintf("n%d.slow.example", i), 80); err == nil {
				t.Error("connected")
			}
		})
	}
	for end := time.Now().Add(4 * time.Second); open.Load() < 20 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	cancel()
	dials.Wait()
	end := time.Now().Add(3 * time.Second) // by itself Go gives up after 5
	for open.Load() > 0 {
		if time.Now().After(end) {
			t.Fatalf("%d questions are open", open.Load())
		}
		time.Sleep(time.Millisecond)
	}
}
