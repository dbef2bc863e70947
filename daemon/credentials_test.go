package daemon_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/jsdtest"
)

// post gives the status and the body of a call by POST.
func post(t *testing.T, client *http.Client, url string, header http.Header, params string) (int, string) {
	t.Helper()
	request, err := http.NewRequest("POST", url+"/rpc", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":`+params+`}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(body))
}

var alone = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// Everything that a credential is goes past a daemon here, rightly and wrongly, and nothing of it is logged.
func TestCredentialsOfADaemon(t *testing.T) {
	t.Parallel()
	first, second := jsdtest.NewIssuer(t, "first"), jsdtest.NewIssuer(t, "second")
	var published atomic.Pointer[string]
	publish := func(set string) { published.Store(&set) }
	publish(first.Published(t))
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if *published.Load() == "" {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, *published.Load())
	}))
	t.Cleanup(keys.Close)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "hush-hush-1\n")
	const key = "key-of-tokens-that-nobody-may-see-0123456789"
	d, log := jsdtest.StartQuiet(t, "--secret-file", secret, "--jwks-url", strings.Replace(keys.URL, "http://", "http://me:hush-hush-3@", 1), "--jwt-key", key, "--jwt-audience", "jsd")
	address := d.Address()
	url := "http://" + address
	var sent []string
	may := func(why string, header http.Header, params, want string) {
		t.Helper()
		for _, values := range header {
			sent = append(sent, values...)
		}
		if status, body := post(t, alone, url, header, params); !strings.Contains(fmt.Sprint(status, " ", body), want) {
			t.Errorf("%s: %d %s, want %s", why, status, body, want)
		}
	}
	const one, ran, forbidden = `{"code":"1"}`, `200 {"jsonrpc":"2.0","id":1,"result":{"value":1,`, `"code":1007,"message":"Forbidden","data":{"what":"tenant"}`
	backend := func(secret string) http.Header { return http.Header{"X-Runtime-Secret": {secret}} }
	token := first.Token(t, "acme", time.Hour)
	may("nobody", http.Header{}, one, "401 a token is missing")
	may("a token", bearer(token), one, ran)
	may("a token, its tenant", bearer(token), `{"code":"1","tenant":"acme"}`, ran)
	may("a token, another tenant", bearer(token), `{"code":"1","tenant":"other"}`, forbidden)
	may("a token that is over", bearer(first.Token(t, "acme", -time.Hour)), one, "401 the token has expired")
	may("a token of nobody", bearer(jsdtest.NewIssuer(t, "first").Token(t, "acme", time.Hour)), one, "401 the signature of the token does not hold")
	may("a token of somebody else", bearer(jsdtest.NewIssuer(t, "evil").Token(t, "acme", time.Hour)), one, "401 the token is signed with a key that is not known")
	may("no token", bearer("hush-hush-4"), one, "401 the token is malformed")
	may("the secret", backend("hush-hush-1"), `{"code":"1","tenant":"other"}`, ran)
	may("another secret", backend("hush-hush-2"), one, "401 the header x-runtime-secret must hold")
	both := bearer(token)
	both.Set("X-Runtime-Secret", "hush-hush-1")
	may("both, another tenant", both, `{"code":"1","tenant":"other"}`, forbidden)

	publish("")
	may("a token while the keys are away", bearer(token), one, ran)
	publish(second.Published(t))
	may("a token of the next key", bearer(second.Token(t, "acme", time.Hour)), one, ran)
	may("a token of the key before", bearer(token), one, "401 the token is signed with a key that is not known")

	conn, response, err := websocket.Dial(t.Context(), "ws://"+address, &websocket.DialOptions{Subprotocols: []string{"jsd", "bearer." + second.Token(t, "acme", time.Hour)}})
	if err != nil || conn.Subprotocol() != "jsd" || strings.Contains(fmt.Sprint(response.Header), "bearer") {
		t.Errorf("by subprotocol: %v, %v", response, err)
	}
	conn.CloseNow()
	_, response, err = websocket.Dial(t.Context(), "ws://"+address, &websocket.DialOptions{
		Subprotocols: []string{"jsd", "bearer." + second.Token(t, "acme", time.Hour)}, HTTPHeader: http.Header{"Origin": {"http://evil.example"}},
	})
	if err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a token on a foreign page: %v, %v", response, err)
	}

	connected := dial(t, address, "json-rpc", backend("hush-hush-1"))
	write(t, secret, "hush-hush-2")
	d.ReloadCredentials()
	may("the secret from before", backend("hush-hush-1"), one, "401")
	may("the new secret", backend("hush-hush-2"), one, ran)
	write(t, secret, "\n")
	d.ReloadCredentials()
	may("the new secret, after a bad file", backend("hush-hush-2"), one, ran)
	if got := connected.Execute(script{"code": "6 * 7", "tenant": "other"}).String(); got != "42" {
		t.Errorf("who was connected gets %s", got)
	}

	text := log.String()
	for _, want := range []string{`"message":"call"`, "refused", "the header x-runtime-secret must hold", "secret file " + secret + ": is empty", "read the credentials again"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	sent = append(sent, key, "hush-hush")
	for _, value := range sent {
		for _, piece := range append(strings.Split(strings.TrimPrefix(value, "Bearer "), "."), value) {
			if strings.Contains(text, piece) {
				t.Errorf("the log has %s", piece)
			}
		}
	}
}

func TestEndOfAToken(t *testing.T) {
	t.Parallel()
	by := jsdtest.NewIssuer(t, "a")
	file := filepath.Join(t.TempDir(), "keys.json")
	write(t, file, by.Published(t))
	d, _ := jsdtest.StartQuiet(t, "--jwt-key-file", file, "--jwt-audience", "jsd")
	c := dial(t, d.Address(), "json-rpc", bearer(by.Token(t, "acme", 3*time.Second-30*time.Second)))
	_, running := c.Start("runtime.execute", with(f("setTimeout(() => cb(5), 4000)"), "timeout", 20000))
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if got := c.Execute(script{"code": "1"}).Whole(); got == `1007 Forbidden {"what":"credential"}` {
			break
		} else if got != "1" || time.Now().After(end) {
			t.Fatalf("got %s", got)
		}
	}
	if got := c.Wait(running).String(); got != "5" {
		t.Errorf("the call in flight: %s", got)
	}
}

func TestCredentialsAreReloaded(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, "one")
	d, log := jsdtest.StartQuiet(t, "--secret-file", file)
	status := func(secret string) int {
		status, _ := post(t, alone, "http://"+d.Address(), http.Header{"X-Runtime-Secret": {secret}}, `{"code":"1"}`)
		return status
	}
	if status("one") != 200 || status("two") != 401 {
		t.Error("at first")
	}
	write(t, file, "two")
	d.Reload()
	log.Says(t, "read the credentials again")
	if status("one") != 401 || status("two") != 200 {
		t.Error("after a reload")
	}
}

// A proxy in front of a daemon on loopback sends its own name as Host, if it is told to.
func TestBehindAProxy(t *testing.T) {
	t.Parallel()
	d, _ := jsdtest.StartQuiet(t, "--host", "jsd.example.com", "--origin", "https://app.example")
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{"jsd.example.com", "https://app.example", 101}, {"jsd.example.com", "", 101}, {"localhost", "https://app.example", 101},
		{"jsd.example.com", "https://jsd.example.com", 403}, {"evil.example", "https://app.example", 403},
		{"evil.example", "http://evil.example", 403}, {"jsd.example.com", "null", 403}, {"jsd.example.com", "http://evil.example", 403},
	} {
		header := http.Header{}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		header.Set("X-Forwarded-Host", "localhost")
		conn, response, err := websocket.Dial(t.Context(), "ws://"+d.Address(), &websocket.DialOptions{Host: c.host, HTTPHeader: header})
		if err == nil {
			conn.CloseNow()
		}
		if response == nil || response.StatusCode != c.want {
			t.Errorf("Host %s, Origin %s: %v, %v", c.host, c.origin, response, err)
		}
	}
}
