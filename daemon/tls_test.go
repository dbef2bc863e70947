package daemon_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/jsdtest"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	certificate, key, pool := jsdtest.SelfSigned(t, time.Hour)
	d, log := jsdtest.StartQuiet(t, "--secret", "hush-hush", "--tls-cert", certificate, "--tls-key", key)
	address := d.Address()
	trusting := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	backend := http.Header{"X-Runtime-Secret": {"hush-hush"}}
	if status, body := post(t, trusting, "https://"+address, backend, `{"code":"1"}`); status != 200 || !strings.Contains(body, `"value":1`) {
		t.Errorf("POST: %d %s", status, body)
	}
	if status, _ := post(t, trusting, "https://"+address, http.Header{}, `{"code":"1"}`); status != 401 {
		t.Errorf("POST without the secret: %d", status)
	}
	for origin, want := range map[string]int{"": 101, "https://" + address: 101, "https://evil.example": 403} {
		header := backend.Clone()
		if origin != "" {
			header.Set("Origin", origin)
		}
		conn, response, err := websocket.Dial(t.Context(), "wss://"+address, &websocket.DialOptions{HTTPClient: trusting, HTTPHeader: header})
		if err == nil {
			conn.CloseNow()
		}
		if response == nil || response.StatusCode != want {
			t.Errorf("WebSocket from %q: %v, %v", origin, response, err)
		}
	}

	handshake := func(c *tls.Config) (tls.ConnectionState, error) {
		c.RootCAs = pool
		conn, err := tls.Dial("tcp", address, c)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer conn.Close()
		return conn.ConnectionState(), nil
	}
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		if _, err := handshake(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}); (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	if state, err := handshake(&tls.Config{NextProtos: []string{"h2", "http/1.1"}}); err != nil || state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("HTTP/2: %q, %v", state.NegotiatedProtocol, err)
	}
	if got := plainly(t, address); !strings.HasPrefix(got, "HTTP/1.0 400 ") || !strings.Contains(got, "Client sent an HTTP request to an HTTPS server") {
		t.Errorf("plain HTTP: %s", got)
	}

	newCertificate, newKey, newPool := jsdtest.SelfSigned(t, time.Hour)
	replace := func(from, to string) {
		t.Helper()
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, to, string(content))
	}
	replace(newCertificate, certificate)
	d.ReloadCredentials()
	if _, err := handshake(&tls.Config{}); err != nil {
		t.Errorf("after a certificate without its key: %v", err)
	}
	replace(newKey, key)
	d.ReloadCredentials()
	pool = newPool
	if _, err := handshake(&tls.Config{}); err != nil {
		t.Errorf("after both: %v", err)
	}
	text := log.String()
	for _, want := range []string{"the certificate is not taken", "read the certificate again", "TLS handshake error"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	if strings.Contains(text, "hush-hush") {
		t.Errorf("it logs %s", text)
	}
}

// plainly is what a client without TLS gets.
func plainly(t *testing.T, address string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", address)
	got, _ := io.ReadAll(bufio.NewReader(conn))
	return string(got)
}

func TestCertificatesThatAreOdd(t *testing.T) {
	t.Parallel()
	certificate, key, _ := jsdtest.SelfSigned(t, -time.Hour)
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	_, log := jsdtest.StartQuiet(t, "--tls-cert", certificate, "--tls-key", key)
	for _, want := range []string{"the certificate has expired", "everybody on this machine can read this private key"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	other, _, _ := jsdtest.SelfSigned(t, time.Hour)
	if err := jsdtest.Try(t, "--driver", "process", "--tls-cert", other, "--tls-key", key); err == nil || !strings.Contains(err.Error(), "private key does not match public key") {
		t.Errorf("a key of another: %v", err)
	}
}
