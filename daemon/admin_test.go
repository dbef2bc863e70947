package daemon_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/jsdtest"
)

// get asks the admin address, with headers of which Host may be one.
func get(t *testing.T, d *jsdtest.Daemon, path string, header map[string]string) (int, string) {
	t.Helper()
	return ask(t, d, http.MethodGet, path, header)
}

func ask(t *testing.T, d *jsdtest.Daemon, method, path string, header map[string]string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.AdminAddr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
		if name == "Host" {
			request.Host = value
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%s: web pages may read it", path)
	}
	return response.StatusCode, string(body)
}

func TestAdminAddress(t *testing.T) {
	t.Parallel()
	d := start(t, "process", "--admin-listen", "127.0.0.1:0", "--secret", "hush-hush")
	_, port, _ := net.SplitHostPort(d.AdminAddr().String())
	for _, test := range []struct {
		method, path string
		header       map[string]string
		status       int
		body         string
	}{
		{"GET", "/", nil, 200, "/metrics"},
		{"GET", "/status", nil, 200, `"containers":[`},
		{"GET", "/metrics", map[string]string{"Host": "localhost:" + port}, 200, "jsd_ready"},
		{"GET", "/debug/pprof/", map[string]string{"Host": "[::1]"}, 200, "goroutine"},
		{"GET", "/debug/pprof/goroutine?debug=1", nil, 200, "goroutine profile"},
		{"GET", "/debug/pprof/heap", nil, 200, ""},
		{"GET", "/debug/pprof/profile?seconds=1", nil, 200, ""},
		{"GET", "/debug/pprof/symbol?1", nil, 200, "num_symbols"},
		{"GET", "/debug/pprof/cmdline", nil, 404, ""},
		{"GET", "/rpc", nil, 404, ""},
		{"GET", "/metrics", map[string]string{"Host": "evil.example:" + port}, 403, "Host"},
		{"GET", "/metrics", map[string]string{"Host": "localhost.evil.example"}, 403, "Host"},
		{"GET", "/status", map[string]string{"Origin": "http://evil.example"}, 403, "web pages"},
		{"GET", "/status", map[string]string{"Origin": "null"}, 403, "web pages"},
		{"GET", "/debug/pprof/profile", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, "web pages"},
		{"GET", "/metrics", map[string]string{"Sec-Fetch-Site": "none"}, 200, ""},
		{"POST", "/status", nil, 405, "GET"},
		{"OPTIONS", "/metrics", nil, 405, "GET"},
	} {
		status, body := ask(t, d, test.method, test.path, test.header)
		if status != test.status || !strings.Contains(body, test.body) {
			t.Errorf("%s %s %v: %d %.200s", test.method, test.path, test.header, status, body)
		}
	}
	// And nothing of it is on the port of clients.
	for _, path := range []string{"/metrics", "/status", "/debug/pprof/"} {
		response, err := http.Get("http://" + d.Address() + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s for clients: %s", path, response.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAdminSettings(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	const wrong = "has to be a loopback address"
	for _, test := range []struct{ flag, value, want string }{
		{"--admin-listen", "0.0.0.0:8766", wrong},
		{"--admin-listen", ":8766", wrong},
		{"--admin-listen", "192.0.2.1:8766", wrong},
		{"--admin-listen", "example.com:8766", wrong},
		{"--admin-listen", "8766", "has to be ADDRESS:PORT"},
		{"--admin-listen", taken.Addr().String(), "choose another with --admin-listen"},
		{"--metrics-tenants", "-1", "--metrics-tenants may not be negative"},
	} {
		err := jsdtest.Try(t, "--driver", "process", test.flag+"="+test.value)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: got %v, want %s", test.flag, test.value, err, test.want)
		}
	}
	// What comes after it fails: the address is free again.
	free := jsdtest.FreeAddress(t)
	if err := jsdtest.Try(t, "--driver", "process", "--node", "no-such-node", "--admin-listen", free); err == nil {
		t.Error("it started without Node")
	}
	if again, err := net.Listen("tcp", free); err != nil {
		t.Error(err)
	} else {
		again.Close()
	}
	d := start(t, "process")
	if d.IsWatched() {
		t.Error("something is watched that nobody asked for")
	}
}
