package rpc

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func tcp(addr string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)) }

func TestHostAllowed(t *testing.T) {
	const (
		v4, v6, named   = "127.0.0.1:8765", "[::1]:8765", "192.0.2.1:8765"
		any4, any6, alt = "0.0.0.0:8765", "[::]:8765", "127.0.0.5:8765"
	)
	for _, test := range []struct {
		listen, host string
		want         bool
	}{
		{v4, "localhost:8765", true}, {v4, "localhost", true}, {v4, "LocalHost:1", true},
		{v4, "127.0.0.1:8765", true}, {v4, "127.9.8.7", true}, {v4, "[::1]:8765", true}, {v4, "[::1]", true},
		{v6, "localhost:8765", true}, {v6, "[::1]:8765", true}, {alt, "127.0.0.5:8765", true},
		{v4, "", false}, {v4, "evil.example:8765", false}, {v4, "evil.example", false},
		{v4, "localhost.evil.example", false}, {v4, "127.0.0.1.evil.example:8765", false},
		{v4, "evil.example:8765@localhost", false}, {v4, "localhost:8765:evil", false}, {v4, "localhost:x", false},
		{v4, "0.0.0.0:8765", false}, {v4, "192.168.1.2:8765", false}, {v4, "127.1", false}, {v4, "2130706433", false},
		{v4, "[::1", false}, {v4, "[fe80::1%lo]", false}, {v4, "[::1%lo]:8765", false},
		{v6, "evil.example:8765", false},
		{named, "evil.example", true}, {any4, "evil.example", true}, {any6, "anything", true},
	} {
		if got := newAccess(tcp(test.listen), nil, nil, nil).hostHeaderAllowed(test.host); got != test.want {
			t.Errorf("listening on %s, Host %q: allowed %v", test.listen, test.host, got)
		}
	}
	if (access{}).hostHeaderAllowed("evil.example") {
		t.Error("a listener of which nothing is known is not judged like loopback")
	}
}

func TestOriginAllowed(t *testing.T) {
	listed := []string{"https://app.example", "HTTP://Other.Example:8080/", "chrome-extension://abc"}
	for _, test := range []struct {
		listen, arrived, origin string
		want                    bool
	}{
		// its own
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://127.0.0.1:8765", true},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://localhost:8765", true},
		{"127.0.0.1:8765", "127.0.0.1:8765", "https://LOCALHOST:8765", true},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://[::1]:8765", true},
		{"[::1]:80", "[::1]:80", "http://localhost", true},
		{"127.0.0.1:443", "127.0.0.1:443", "https://localhost", true},
		{"192.0.2.1:8765", "192.0.2.1:8765", "http://192.0.2.1:8765", true},
		{"[2001:db8::1]:8765", "[2001:db8::1]:8765", "http://[2001:db8::1]:8765", true},
		{"0.0.0.0:8765", "192.0.2.7:8765", "http://192.0.2.7:8765", true},
		{"[::]:8765", "[::ffff:192.0.2.7]:8765", "http://192.0.2.7:8765", true},
		{"[::]:8765", "127.0.0.1:8765", "http://localhost:8765", true},
		// others
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://localhost:8766", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://localhost", false},
		{"127.0.0.1:443", "127.0.0.1:443", "http://localhost", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "ftp://localhost:8765", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://evil.example:8765", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://localhost.evil.example:8765", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://localhost:8765@evil.example", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://localhost:8765/path", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "null", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "file://", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "localhost:8765", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://localhost:8765 http://evil.example", false},
		{"192.0.2.1:8765", "192.0.2.1:8765", "http://localhost:8765", false},
		{"0.0.0.0:8765", "192.0.2.7:8765", "http://localhost:8765", false},
		{"0.0.0.0:8765", "192.0.2.7:8765", "http://0.0.0.0:8765", false},
		{"0.0.0.0:8765", "192.0.2.7:8765", "http://evil.example:8765", false},
		// listed
		{"127.0.0.1:8765", "127.0.0.1:8765", "https://app.example", true},
		{"127.0.0.1:8765", "127.0.0.1:8765", "https://app.example:443", true},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://other.example:8080", true},
		{"127.0.0.1:8765", "127.0.0.1:8765", "chrome-extension://abc", true},
		{"127.0.0.1:8765", "127.0.0.1:8765", "http://app.example", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "https://app.example:8443", false},
		{"127.0.0.1:8765", "127.0.0.1:8765", "https://sub.app.example", false},
	} {
		a := newAccess(tcp(test.listen), listed, nil, nil)
		if got := a.originAllowed(test.origin, netip.MustParseAddrPort(test.arrived)); got != test.want {
			t.Errorf("listening on %s, arrived at %s, Origin %q: allowed %v", test.listen, test.arrived, test.origin, got)
		}
	}
}

func TestParseOriginRefuses(t *testing.T) {
	for _, bad := range []string{"", "null", "*", "example.com", "https://", "https://u@example.com", "https://example.com/x", "https://example.com?x", "http://[::1"} {
		if got, err := ParseOrigin(bad); err == nil {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

// bySecret takes a secret for any tenant's, and a token for its own name's.
func bySecret(r *http.Request) (Identity, error) {
	if tenant, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return Identity{Tenant: tenant}, nil
	}
	if r.Header.Get("x-runtime-secret") != "s3cret" {
		return Identity{}, &Denial{Status: 401, Reason: "who are you?", Challenge: "x-runtime-secret"}
	}
	return Identity{}, nil
}

// What a page whose name points to this machine sends: its own name as Host and Origin.
func TestAccess(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Authenticate, c.Origins = bySecret, []string{"https://app.example"}
		c.Hosts = []string{"jsd.example.com"}
	})
	own := r.http.URL
	_, port, _ := net.SplitHostPort(r.http.Listener.Addr().String())
	for _, test := range []struct {
		name, host, origin, secret string
		status                     int
	}{
		{"nothing but the secret", "", "", "s3cret", 0},
		{"own origin", "", own, "s3cret", 0},
		{"own origin by name", "", "http://localhost:" + port, "s3cret", 0},
		{"listed origin", "", "https://app.example", "s3cret", 0},
		{"no secret", "", "", "", 401},
		{"wrong secret", "", "", "s3cre", 401},
		{"longer secret", "", "", "s3cret ", 0}, // headers are trimmed
		{"own name behind a proxy, without an Origin", "JSD.example.com", "", "s3cret", 0},
		{"own name behind a proxy, with a port", "jsd.example.com:8443", "https://app.example", "s3cret", 0},
		{"own name behind a proxy as Origin", "jsd.example.com", "https://jsd.example.com", "s3cret", 403},
		{"no secret behind a proxy", "jsd.example.com", "https://app.example", "", 401},
		{"name like the own one", "evil.jsd.example.com", "https://app.example", "s3cret", 403},
		{"own name as a user", "jsd.example.com@evil.example", "https://app.example", "s3cret", 403},
		{"rebound name with a listed origin", "evil.example", "https://app.example", "s3cret", 403},
		{"other secret", "", "", "S3cret", 401},
		{"foreign origin", "", "http://evil.example", "s3cret", 403},
		{"origin null", "", "null", "s3cret", 403},
		{"rebound name", "evil.example:" + port, "http://evil.example:" + port, "s3cret", 403},
		{"rebound name, no origin", "evil.example:" + port, "", "s3cret", 403},
		{"origin like the host", "localhost:1", "http://localhost:1", "s3cret", 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{}
			if test.origin != "" {
				header.Set("Origin", test.origin)
			}
			if test.secret != "" {
				header.Set("X-Runtime-Secret", test.secret)
			}
			want := test.status
			if want == 0 {
				want = http.StatusSwitchingProtocols
			}
			conn, resp, err := websocket.Dial(t.Context(), r.url(), &websocket.DialOptions{HTTPHeader: header, Host: test.host})
			if err == nil {
				defer conn.CloseNow()
			}
			if resp == nil || resp.StatusCode != want {
				t.Fatalf("WebSocket: got %v, %v, want %d", resp, err, want)
			}
			if want = test.status; want == 0 {
				want = http.StatusOK
			}
			req, _ := http.NewRequest("POST", r.http.URL+"/rpc", strings.NewReader(request1(`1`, "1")))
			req.Header, req.Host = header, test.host
			status, body := do(t, req)
			if status != want || want != 200 && strings.Count(body, "\n") != 1 {
				t.Errorf("POST: got %d %q, want %d and a line", status, body, want)
			}
		})
	}
}

func TestTwoOrigins(t *testing.T) {
	r := start(t)
	req, _ := http.NewRequest("POST", r.http.URL+"/rpc", strings.NewReader(request1(`1`, "1")))
	req.Header["Origin"] = []string{r.http.URL, "http://evil.example"}
	if status, _ := do(t, req); status != 403 {
		t.Errorf("got %d", status)
	}
}

func do(t testing.TB, req *http.Request) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (r *rig) get(path string) int {
	r.Helper()
	req, _ := http.NewRequest("GET", r.http.URL+path, nil)
	status, _ := do(r, req)
	return status
}
