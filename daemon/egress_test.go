package daemon_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/jsdtest"
)

// localCertificate makes one for localhost that signs itself, with its PEM.
func localCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(text)
}

// A site is a server for scripts, over http and https on loopback.
type site struct {
	plain, secure int // ports
	ca            string
}

func newSite(t *testing.T) *site {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.Method) })
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		if kind, message, err := conn.Read(r.Context()); err == nil {
			_ = conn.Write(r.Context(), kind, message)
		}
	})
	mux.HandleFunc("/proto", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.RawQuery, http.StatusFound) })
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.RawQuery)
		chunk := make([]byte, 1<<16)
		for n > 0 {
			k, err := w.Write(chunk[:min(n, len(chunk))])
			if n -= k; err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	plain := httptest.NewServer(mux)
	t.Cleanup(plain.Close)
	cert, ca := localCertificate(t)
	secure := httptest.NewUnstartedServer(mux)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	port := func(s *httptest.Server) int { return s.Listener.Addr().(*net.TCPAddr).Port }
	return &site{port(plain), port(secure), ca}
}

// hosts are the arguments that let scripts reach the site.
func (s *site) hosts() []string {
	return []string{"--hosts", fmt.Sprintf("localhost:%d,localhost:%d", s.plain, s.secure), "--networks", "127.0.0.0/8,::1/128"}
}

func (s *site) script(code string) script {
	return script{"code": code, "timeout": 20000, "globals": map[string]any{
		"http_": fmt.Sprintf("http://localhost:%d", s.plain), "https_": fmt.Sprintf("https://localhost:%d", s.secure), "ca": s.ca, "port": s.plain, "securePort": s.secure,
	}}
}

// Everything that connects, in a script, in whatever the driver isolates it by.
func TestScriptsReachListedHosts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const read = `const read = (r) => new Promise((ok, no) => { let t = ''; r.setEncoding('utf8'); r.on('data', (c) => { t += c; }).on('end', () => ok(t)).on('error', no); });`
	for _, driver := range []string{"docker", "process"} {
		t.Run(driver, func(t *testing.T) {
			c := start(t, driver, s.hosts()...).Dial(t, "json-rpc")
			for _, test := range []struct{ name, code, want string }{
				{"fetch", `(async () => (await fetch(http_ + '/hello')).text())()`, `"hello GET"`},
				{"fetch that posts", `(async () => (await fetch(http_ + '/count', { method: 'POST', body: 'x'.repeat(300000) })).text())()`, `"300000"`},
				{"fetch of what is not trusted", `fetch(https_ + '/hello').catch((e) => e.cause.code)`, `"DEPTH_ZERO_SELF_SIGNED_CERT"`},
				{"fetch, redirected to where it may not go", `fetch(http_ + '/to?http://127.0.0.1:` + strconv.Itoa(s.plain) + `/hello').catch((e) => e.message.replace(port, 'P'))`,
					`"fetch failed: connect to 127.0.0.1:P is not allowed: it is not in hosts of tenant default"`},
				{"fetch, redirected", `(async () => (await fetch(http_ + '/to?' + http_ + '/hello')).text())()`, `"hello GET"`},
				{"fetch that is aborted", `fetch(http_ + '/bytes?100000000', { signal: AbortSignal.timeout(50) }).then((r) => r.arrayBuffer()).catch((e) => e.name)`, `"TimeoutError"`},
				{"fetch over HTTP/2", `(async () => { require('tls').setDefaultCACertificates([ca]); const texts = await Promise.all(['proto', 'proto', 'bytes?3000000'].map(async (p) => (await fetch(https_ + '/' + p)).text())); return texts.map((t) => t.length > 100 ? t.length : t); })()`, `["HTTP/2.0","HTTP/2.0",3000000]`},
				{"WebSocket", `new Promise((ok) => { const s = new WebSocket(http_.replace("http", "ws") + "/ws"); s.onopen = () => s.send("echo"); s.onmessage = (e) => ok(e.data); s.onerror = (e) => ok(e.message); })`, `"echo"`},
				{"WebSocket that may not", `new Promise((ok) => { new WebSocket('wss://api.example.com').onerror = (e) => ok([e.message, e.error.code]); })`,
					`["connect to api.example.com:443 is not allowed: it is not in hosts of tenant default","EACCES"]`},
				{"classes of fetch", `[new Request(http_) instanceof Request, new Headers({ a: '1' }).get('a'), typeof FormData, typeof WebSocket]`, `[true,"1","function","function"]`},
				{"http", read + `(async () => read(await new Promise((ok, no) => require('http').get(http_ + '/hello', ok).on('error', no))))()`, `"hello GET"`},
				{"https", read + `(async () => read(await new Promise((ok, no) => require('https').get(https_ + '/hello', { ca }, ok).on('error', no))))()`, `"hello GET"`},
				{"https with an agent", read + `(async () => { const { Agent, get } = require('https'); const agent = new Agent({ keepAlive: true, ca }); const ports = new Set(); const texts = [];
					for (let i = 0; i < 3; i++) texts.push(await read(await new Promise((ok, no) => get(https_ + '/hello', { agent }, (r) => { ports.add(r.socket); ok(r); }).on('error', no))));
					return [texts.join(), ports.size]; })()`, `["hello GET,hello GET,hello GET",1]`},
				{"https with another name", `new Promise((ok) => require('https').get(https_ + '/hello', { ca, servername: 'example.com' }, ok).on('error', (e) => ok(e.code)))`, `"ERR_TLS_CERT_ALTNAME_INVALID"`},
				{"import", `import { get } from 'node:http'; export default await new Promise((ok) => get(http_ + '/hello', (r) => ok(r.statusCode)));`, `200`},
				{"net", read + `(async () => { const s = require('net').connect(port, 'localhost'); s.end('GET /hello HTTP/1.0\r\n\r\n'); return (await read(s)).split('\r\n\r\n')[1]; })()`, `"hello GET"`},
				{"net, seen from outside", `new Promise((ok) => { const s = require('net').connect({ port, host: 'localhost' }, () => ok([s.readyState, s.pending, s.connecting, s.remotePort === port, /^(127\.0\.0\.1|::1)$/.test(s.remoteAddress)])); })`,
					`["open",false,false,true,true]`},
				{"tls", read + `(async () => { const s = require('tls').connect({ port: securePort, host: 'localhost', ca }); s.write('GET /hello HTTP/1.0\r\n\r\n'); return [(await read(s)).split('\r\n\r\n')[1], s.authorized]; })()`, `["hello GET",true]`},
				{"tls on a socket that is connected", read + `(async () => { const socket = require('net').connect(securePort, 'localhost'); await new Promise((ok) => socket.on('connect', ok));
					const s = require('tls').connect({ socket, servername: 'localhost', ca }); s.write('GET /hello HTTP/1.0\r\n\r\n'); return (await read(s)).split('\r\n\r\n')[1]; })()`, `"hello GET"`},
				{"a host that is not listed", `new Promise((ok) => require('net').connect(80, 'api.example.com').on('error', (e) => ok([e.message, e.code, e.syscall, e instanceof Error])))`,
					`["connect to api.example.com:80 is not allowed: it is not in hosts of tenant default","EACCES","connect",true]`},
				{"the same by tls", `new Promise((ok) => require('tls').connect(443, 'api.example.com').on('error', (e) => ok([e.message, e.code])))`,
					`["connect to api.example.com:443 is not allowed: it is not in hosts of tenant default","EACCES"]`},
				{"a socket of the file system", `new Promise((ok) => require('net').connect('/var/run/docker.sock').on('error', (e) => ok(e.code)))`, `"EACCES"`},
				{"a TLSSocket that connects by itself", `new Promise((ok) => { const { TLSSocket } = require("tls"); new TLSSocket().on("error", (e) => ok(e.message)).connect(port, "localhost"); })`, `"a TLSSocket connects by tls.connect"`},
				{"listening", `(() => { try { require('net').createServer().listen(0); } catch (e) { return e.code; } })()`, `"EACCES"`},
				{"modules that are no part of it", `['dgram', 'dns', 'http2', 'cluster'].map((name) => { try { require(name); } catch (e) { return e.code; } })`, `["MODULE_NOT_FOUND","MODULE_NOT_FOUND","MODULE_NOT_FOUND","MODULE_NOT_FOUND"]`},
				{"many at once", `(async () => (await Promise.all(Array.from({ length: 100 }, async () => (await fetch(http_ + '/hello')).text()))).length)()`, `100`},
				{"what it leaves open", `require('net').connect(port, 'localhost'); 1`, `1`},
			} {
				if driver == "process" && !slices.Contains([]string{"fetch", "https", "net"}, test.name) {
					continue // as in a container, where nothing but this way leads out
				}
				t.Run(test.name, func(t *testing.T) {
					if got := c.Execute(s.script(test.code)).String(); got != test.want {
						t.Errorf("got  %s\nwant %s", got, test.want)
					}
				})
			}
		})
	}
}

// Who makes the image may have scripts trust more than Node does.
func TestMoreCertificates(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(s.ca), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NODE_EXTRA_CA_CERTS", file)
	c := start(t, "process", s.hosts()...).Dial(t, "json-rpc")
	if got := c.Execute(s.script(`(async () => (await fetch(https_ + '/hello')).text())()`)).String(); got != `"hello GET"` {
		t.Error(got)
	}
}

func TestScriptsReachNothingElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	t.Run("without hosts", func(t *testing.T) {
		c := start(t, "process", "--modules", "http,net,assert").Dial(t, "json-rpc")
		for code, want := range map[string]string{
			`typeof fetch + typeof WebSocket + typeof Request`: `"undefinedundefinedundefined"`,
			`try { require('http') } catch (e) { e.message }`:  `"Cannot find module 'http': there are no hosts that scripts may reach (jsd serve --hosts)"`,
			`try { require('tls') } catch (e) { e.message }`:   `"Cannot find module 'tls': there are no hosts that scripts may reach (jsd serve --hosts)"`,
		} {
			if got := c.Execute(s.script(code)).String(); got != want {
				t.Errorf("%s: got %s, want %s", code, got, want)
			}
		}
	})
	t.Run("without networks", func(t *testing.T) {
		hosts := fmt.Sprintf("localhost:%d,127.0.0.1:%[1]d,*.localhost:%[1]d", s.plain)
		c := start(t, "process", "--hosts", hosts).Dial(t, "json-rpc")
		for host, want := range map[string]string{
			"localhost":           "is loopback, and not in networks of tenant default",
			"127.0.0.1":           "its address 127.0.0.1 is loopback, and not in networks of tenant default",
			"2130706433":          "its address 127.0.0.1 is loopback, and not in networks of tenant default", // which URLs take for 127.0.0.1
			"0x7f.1":              "its address 127.0.0.1 is loopback, and not in networks of tenant default",
			"[::ffff:127.0.0.1]":  "its address 127.0.0.1 is loopback, and not in networks of tenant default",
			"169.254.169.254":     "it is not in hosts of tenant default",
			"metadata.google.com": "it is not in hosts of tenant default",
		} {
			got := c.Execute(s.script(fmt.Sprintf(`fetch('http://%s:%d/hello').catch((e) => e.message)`, host, s.plain))).String()
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %s, want %s", host, got, want)
			}
		}
	})
}

func TestConnectionsAreLoggedAndCounted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	log := &journal{}
	d := jsdtest.StartLogged(t, zerolog.New(log), "process", append(s.hosts(), "--admin-listen", "127.0.0.1:0")...)
	c := d.Dial(t, "json-rpc")
	call := s.script(`(async () => { await (await fetch(http_ + '/bytes?100000')).arrayBuffer(); await fetch('http://other.test').catch(() => {}); })()`)
	call["execution"] = "nightly"
	if got := c.Execute(call).String(); got != "null" {
		t.Fatal(got)
	}
	var entry struct {
		Tenant, Execution, Host, Address, Outcome, Message string
		Port, Sent, Received                               int64
	}
	seen := map[string]bool{}
	eventually(t, "a line for each connection", func() bool {
		for _, line := range log.With() {
			if err := json.Unmarshal([]byte(line), &entry); err == nil && entry.Message == "connection" {
				seen[fmt.Sprint(entry.Tenant, " ", entry.Execution, " ", entry.Host, ":", entry.Port, " ", entry.Outcome, " ", entry.Sent > 0, entry.Received > 100_000)] = true
			}
		}
		return len(seen) == 2
	})
	for _, want := range []string{fmt.Sprintf("default nightly localhost:%d connected true true", s.plain), "default nightly other.test:80 refused false false"} {
		if !seen[want] {
			t.Errorf("no line says %q: %v", want, seen)
		}
	}
	m := scrape(t, d)
	for outcome, want := range map[string]float64{"connected": 1, "refused": 1, "failed": 0, "dropped": 0} {
		if got := m.value("jsd_egress_connections_total", "outcome", outcome); got != want {
			t.Errorf("%s: got %v, want %v", outcome, got, want)
		}
	}
	if got := m.value("jsd_egress_bytes_total", "direction", "received"); got < 100_000 || got > 110_000 {
		t.Errorf("received %v", got)
	}
}
