package rpc

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// as is how a client dials that has a token, see bySecret.
func as(tenant string) *websocket.DialOptions {
	return &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + tenant}}}
}

func asks(id int, method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, params)
}

func no1007(id int, what string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":1007,"message":"Forbidden","data":{"what":%q}}}`, id, what)
}

func TestTenantOfACredential(t *testing.T) {
	var reports watcher
	r := start(t, func(c *Config) { c.Authenticate, c.Observe = bySecret, reports.observe })
	acme := r.dial(as("acme"))
	const foreign, own = `"tenant":"other"`, `"tenant":"acme"`
	for i, test := range []struct{ method, params string }{
		{"runtime.execute", `{"code":"1",%s}`},
		{"runtime.execute", `{"bundle":"b",%s}`},
		{"runtime.execute", `{"code":"1","execution":"x","detach":true,%s}`},
		{"runtime.execute", `{"session":"s","code":"1",%s}`},
		{"runtime.execute", `[{"code":"1",%s}]`},
		{"runtime.open", `{"code":"1",%s}`},
		{"runtime.attach", `{"execution":"x",%s}`},
		{"runtime.cancel", `{"execution":"x",%s}`},
		{"runtime.cancel", `{"id":1,%s}`},
		{"runtime.put", `{"files":{"index.js":"1"},%s}`},
		{"runtime.put", `{"files":{"index.js":"1"},"upload":"u","more":true,%s}`},
		{"runtime.stop", `{%s}`},
	} {
		acme.send(asks(i, test.method, fmt.Sprintf(test.params, foreign)))
		acme.expect(no1007(i, "tenant"))
		acme.send(asks(i, test.method, fmt.Sprintf(test.params, own)))
		if got := acme.receive(); strings.Contains(got, "1007") {
			t.Errorf("%s %s: its own: %s", test.method, test.params, got)
		}
		req, _ := http.NewRequest("POST", r.http.URL+"/rpc", strings.NewReader(asks(i, test.method, fmt.Sprintf(test.params, foreign))))
		req.Header.Set("Authorization", "Bearer acme")
		want := no1007(i, "tenant")
		if test.method == "runtime.open" {
			want = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":-32601,"message":"Method not found"}}`, i)
		}
		if _, body := do(t, req); body != want {
			t.Errorf("%s %s by POST: %s", test.method, test.params, body)
		}
	}
	for _, report := range reports.take(r, 17) {
		if report.Tenant == "other" {
			t.Errorf("what acme did is told of other: %+v", report)
		}
	}
	for _, tenant := range r.runner.tenants() {
		if tenant != "acme" {
			t.Errorf("something ran, or was stopped, for %s", tenant)
		}
	}
	acme.send(`[` + asks(1, "runtime.execute", `{"code":"1",`+foreign+`}`) + `,` + asks(2, "runtime.execute", `{"code":"1"}`) + `]`)
	acme.expect(`[` + no1007(1, "tenant") + `,` + result1(`2`) + `]`)
	acme.send(asks(3, "runtime.execute", `{"code":"1","tenant":"Acme"}`))
	acme.expect(no1007(3, "tenant"))
}

func TestSecretMayNameAnyTenant(t *testing.T) {
	r := start(t, func(c *Config) { c.Authenticate = bySecret })
	backend := r.dial(&websocket.DialOptions{HTTPHeader: http.Header{"X-Runtime-Secret": {"s3cret"}}})
	for _, tenant := range []string{"acme", "other", "default"} {
		backend.send(asks(1, "runtime.execute", `{"code":"1","tenant":"`+tenant+`"}`))
		backend.expect(result1(`1`))
	}
	backend.send(asks(1, "runtime.execute", `{"code":"1"}`))
	backend.expect(result1(`1`))
	if got := strings.Join(r.runner.tenants(), " "); got != "acme other default default" {
		t.Errorf("they ran for %s", got)
	}
}

// What a token's tenant keeps is found by it alone, and by a backend that names it.
func TestStateOfACredential(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Authenticate = bySecret
		c.Limits = func(tenant string) map[string]int64 { return map[string]int64{"of-" + tenant: 1} }
	})
	acme, other := r.dial(as("acme")), r.dial(as("other"))
	backend := r.dial(&websocket.DialOptions{HTTPHeader: http.Header{"X-Runtime-Secret": {"s3cret"}}})
	const notFound = `{"jsonrpc":"2.0","id":1,"error":{"code":1009,"message":"Not found"}}`

	acme.send(asks(1, "runtime.put", `{"files":{"index.js":"1"}}`))
	_, bundle, _ := strings.Cut(acme.receive(), `"bundle":"`)
	bundle, _, _ = strings.Cut(bundle, `"`)
	acme.send(asks(1, "runtime.execute", `{"bundle":"`+bundle+`","execution":"x"}`))
	outcome := acme.receive()
	for who, p := range map[string]*client{"other": other, "default": backend} {
		p.send(asks(1, "runtime.execute", `{"bundle":"`+bundle+`"}`), asks(1, "runtime.attach", `{"execution":"x"}`))
		if a, b := p.receive(), p.receive(); a != notFound || b != notFound {
			t.Errorf("%s finds what is acme's: %s %s", who, a, b)
		}
	}
	backend.send(asks(1, "runtime.attach", `{"execution":"x","tenant":"acme"}`))
	backend.expect(outcome)

	acme.send(asks(1, "runtime.execute", `{"code":"wait","execution":"w"}`))
	r.running(1)
	other.send(asks(1, "runtime.cancel", `{"execution":"w"}`))
	other.expect(`{"jsonrpc":"2.0","id":1,"result":{"cancelled":false}}`)
	backend.send(asks(1, "runtime.cancel", `{"execution":"w","tenant":"acme"}`))
	backend.expect(`{"jsonrpc":"2.0","id":1,"result":{"cancelled":true}}`)
	acme.receive()

	for who, p := range map[string]*client{"acme": acme, "other": other, "default": backend} {
		p.send(asks(1, "runtime.info", `{}`))
		got := p.receive()
		if !strings.Contains(got, `"limits":{"of-`+who+`":1}`) {
			t.Errorf("%s is told %s", who, got)
		}
	}
}

func TestEndOfACredential(t *testing.T) {
	var end atomic.Pointer[time.Time]
	var reports watcher
	r := start(t, func(c *Config) {
		c.Observe = reports.observe
		c.Authenticate = func(*http.Request) (Identity, error) { return Identity{Tenant: "acme", Expires: *end.Load()}, nil }
	})
	ending := func(in time.Duration) {
		at := time.Now().Add(in)
		end.Store(&at)
	}
	ending(time.Hour)
	p := r.dial()
	ending(time.Second)
	short := r.dial()
	p.send(asks(1, "runtime.execute", `{"code":"1"}`))
	p.expect(result1(`1`))
	release := make(chan struct{})
	r.runner.scripts["held"] = r.runner.held(release, "2")
	short.send(asks(7, "runtime.execute", `{"code":"wait"}`), asks(8, "runtime.execute", `{"code":"held","execution":"w"}`))
	r.running(2)
	time.Sleep(time.Until(*end.Load()))

	for i, test := range []struct{ method, params string }{
		{"runtime.execute", `{"code":"1"}`}, {"runtime.execute", `{"session":"s","code":"1"}`}, {"runtime.execute", `{"nonsense":1}`},
		{"runtime.open", `{"code":"1"}`}, {"runtime.close", `{"session":"s"}`},
		{"runtime.attach", `{"execution":"w"}`}, {"runtime.cancel", `{"execution":"w"}`},
		{"runtime.put", `{"files":{"index.js":"1"}}`}, {"runtime.stop", `{}`}, {"runtime.info", `{}`}, {"rpc.discover", `{}`}, {"runtime.nothing", `{}`},
	} {
		short.send(asks(i+10, test.method, test.params))
		short.expect(no1007(i+10, "credential"))
	}
	short.send(`[` + asks(1, "runtime.execute", `{"code":"1"}`) + `,` + asks(2, "runtime.info", `{}`) + `]`)
	short.expect(`[` + no1007(1, "credential") + `,` + no1007(2, "credential") + `]`)
	p.send(asks(1, "runtime.execute", `{"code":"1"}`))
	p.expect(result1(`1`))

	// Those in flight go on, until they end or are cancelled.
	short.send(asks(9, "runtime.cancel", `{"id":7}`))
	short.expectAll(`{"jsonrpc":"2.0","id":9,"result":{"cancelled":true}}`, `{"jsonrpc":"2.0","id":7,"error":{"code":1003,"message":"Cancelled"}}`)
	close(release)
	short.expect(`{"jsonrpc":"2.0","id":8,"result":{"value":2,"console":[],"time":3}}`)
	for _, report := range reports.take(r, 9) {
		if report.Code == 1007 && report.Tenant != "acme" {
			t.Errorf("it is told of %q", report.Tenant)
		}
	}

	ending(-time.Second)
	req, _ := http.NewRequest("POST", r.http.URL+"/rpc", strings.NewReader(asks(1, "runtime.execute", `{"code":"1"}`)))
	if _, body := do(t, req); body != no1007(1, "credential") {
		t.Errorf("by POST: %s", body)
	}
}

func TestDenials(t *testing.T) {
	for _, test := range []struct {
		err       error
		status    int
		body      string
		challenge string
	}{
		{&Denial{Status: 401, Reason: "because", Challenge: "Bearer"}, 401, "because\n", "Bearer"},
		{fmt.Errorf("wrapped: %w", &Denial{Status: 503, Reason: "later"}), 503, "later\n", ""},
		{errors.New("t0ken is wrong"), 401, "not authenticated\n", ""},
	} {
		r := start(t, func(c *Config) {
			c.Authenticate = func(*http.Request) (Identity, error) { return Identity{}, test.err }
		})
		for _, path := range []string{"/rpc", "/upgrade"} {
			req, _ := http.NewRequest("POST", r.http.URL+"/rpc", strings.NewReader("{}"))
			if path == "/upgrade" {
				req, _ = http.NewRequest("GET", r.http.URL, nil)
				req.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
			}
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, 100)
			n, _ := resp.Body.Read(body)
			resp.Body.Close()
			if resp.StatusCode != test.status || string(body[:n]) != test.body || resp.Header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("%s: %d %q %q", path, resp.StatusCode, body[:n], resp.Header.Get("WWW-Authenticate"))
			}
		}
		if strings.Contains(r.log.String(), "t0ken") {
			t.Errorf("it logs %s", r.log)
		}
	}
}

// A browser sends its token among the subprotocols, of which the daemon chooses none but its own.
func TestTokenAsSubprotocolIsNotEchoed(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Authenticate = func(r *http.Request) (Identity, error) { return Identity{Tenant: "acme"}, nil }
	})
	for _, test := range []struct {
		offered []string
		want    string
	}{{[]string{"jsd", "bearer.t0ken"}, "jsd"}, {[]string{"bearer.t0ken", "jsd"}, "jsd"}, {[]string{"bearer.t0ken"}, ""}} {
		conn, resp, err := websocket.Dial(t.Context(), r.url(), &websocket.DialOptions{Subprotocols: test.offered})
		if err != nil {
			t.Fatal(err)
		}
		conn.CloseNow()
		if conn.Subprotocol() != test.want || strings.Contains(fmt.Sprint(resp.Header), "t0ken") {
			t.Errorf("%v: %q, %v", test.offered, conn.Subprotocol(), resp.Header)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for _, good := range []string{"jsd.example.com", "jsd", "192.0.2.1"} {
		if err := CheckHost(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "*", "*.example.com", "jsd.example.com:80", "https://jsd.example.com", "a b", "a/b", "u@a"} {
		if CheckHost(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
