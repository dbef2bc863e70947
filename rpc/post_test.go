package rpc

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func (r *rig) post(body string) (int, string) {
	r.Helper()
	req, _ := http.NewRequest("POST", r.http.URL+"/rpc", strings.NewReader(body))
	return do(r, req)
}

func TestPost(t *testing.T) {
	r := start(t)
	for _, test := range jsonRPCCases {
		t.Run(test.name, func(t *testing.T) {
			r := &rig{TB: t, http: r.http}
			if status, body := r.post(test.frame); status != 200 || body != test.reply {
				t.Errorf("got  %d %s\nwant 200 %s", status, body, test.reply)
			}
		})
	}
	if _, body := r.post("SIMPLEX/1.0;json"); !strings.Contains(body, "-32700") {
		t.Errorf("Duplex by POST: %s", body)
	}
}

func TestPostIsBounded(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxFrame, c.MaxInFlight = 1000, 2 })
	status, body := r.post(strings.Repeat(" ", 1001))
	if want := failure1(`null`, -32600, `"message":"Invalid Request: the body is over the limit"`); status != 200 || body != want {
		t.Errorf("got %d %s, want %s", status, body, want)
	}
	wait := func(id string) string { return request1(id, "wait") }
	status, body = r.post(`[` + wait(`1`) + `,` + wait(`2`) + `,` + request1(`3`, "1") + `,` + cancelRequest(`4`, `1`) + `,` + cancelRequest(`5`, `2`) + `]`)
	want := `[` + strings.Join([]string{
		failure1(`1`, 1003, `"message":"Cancelled"`), failure1(`2`, 1003, `"message":"Cancelled"`),
		failure1(`3`, 1006, `"message":"Busy","data":{"retryAfter":100}`),
		`{"jsonrpc":"2.0","id":4,"result":{"cancelled":true}}`, `{"jsonrpc":"2.0","id":5,"result":{"cancelled":true}}`,
	}, ",") + `]`
	if status != 200 || body != want {
		t.Errorf("got  %d %s\nwant %s", status, body, want)
	}
}

func TestVanishedPostCancelsCalls(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "POST", r.http.URL+"/rpc", strings.NewReader(request1(`1`, "wait")))
	done := make(chan error, 1)
	go func() {
		resp, err := (&http.Transport{}).RoundTrip(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		done <- err
	}()
	r.running(1)
	cancel()
	if err := <-done; err == nil {
		t.Error("got an answer")
	}
	r.eventually("nothing is left", func() bool { return open(r) == 0 })
}

func TestPages(t *testing.T) {
	r := start(t, func(c *Config) { c.Authenticate = bySecret }) // not wanted here
	for _, test := range []struct {
		method, path string
		status       int
		body, allow  string
	}{
		{"GET", "/", 200, "ws://" + r.http.Listener.Addr().String(), ""},
		{"HEAD", "/", 200, "", ""},
		{"GET", "/healthz", 200, "ok", ""},
		{"GET", "/readyz", 200, "ready", ""},
		{"GET", "/nothing", 404, "not found", ""},
		{"GET", "/rpc", 405, "not allowed", "POST"},
		{"POST", "/", 405, "not allowed", "GET, HEAD"},
		{"DELETE", "/readyz", 405, "not allowed", "GET, HEAD"},
	} {
		req, _ := http.NewRequest(test.method, r.http.URL+test.path, nil)
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != test.status || !strings.Contains(string(body), test.body) || resp.Header.Get("Allow") != test.allow {
			t.Errorf("%s %s: got %d %q, Allow %q", test.method, test.path, resp.StatusCode, body, resp.Header.Get("Allow"))
		}
	}
	r.runner.ready = errSecretPlace
	req, _ := http.NewRequest("GET", r.http.URL+"/readyz", nil)
	if status, body := do(t, req); status != 503 || strings.Contains(body, "secret") {
		t.Errorf("got %d %q", status, body)
	}
}

func TestPlayground(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<h1>") })
	r := start(t, func(c *Config) { c.Playground = page })
	req, _ := http.NewRequest("GET", r.http.URL+"/", nil)
	if status, body := do(t, req); status != 200 || body != "<h1>" {
		t.Errorf("got %d %q", status, body)
	}
	p := r.dial() // on the same path
	p.send(request1(`1`, "1"))
	p.expect(result1(`1`))
}

// The calls of a POST end when its client stops sending. A 200 without a body would say that there was no reply.
func TestHalfClosedPostGetsNoEmptyReply(t *testing.T) {
	r := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.http.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := request1(`1`, "wait")
	fmt.Fprintf(conn, "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	r.running(1)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	r.running(0)
}
