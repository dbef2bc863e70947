package credentials

import (
	"crypto/elliptic"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

// patience is how long a test waits for what should come soon.
const patience = 10 * time.Second

// An issuer publishes keys.
type issuer struct {
	*httptest.Server
	asked  atomic.Int32
	answer atomic.Pointer[func(http.ResponseWriter)]
}

func publish(t testing.TB, keys ...map[string]any) *issuer {
	i := &issuer{}
	i.says(jwks(keys...))
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		(*i.answer.Load())(w)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) does(f func(http.ResponseWriter)) { i.answer.Store(&f) }

func (i *issuer) says(content string) {
	i.does(func(w http.ResponseWriter) { fmt.Fprint(w, content) })
}

func (i *issuer) goesAway() {
	i.does(func(http.ResponseWriter) { panic(http.ErrAbortHandler) })
}

// hurried has a remote asked as often as a test wants it.
func hurried(c *Credentials) {
	c.tokens.remote.unknown.SetLimit(rate.Inf)
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

const unknownKey = "the token is signed with a key that is not known"

func TestKeysFromURL(t *testing.T) {
	rsa, ec, ed := newRSA(t, 2048).named("a"), newECDSA(t, elliptic.P256()).named("b"), newEdDSA(t).named("c")
	i := publish(t, rsa.jwk(t))
	c, _ := opened(t, Config{KeysURL: i.URL})
	hurried(c)
	is := func(when string, by *signer, want string) {
		t.Helper()
		if got := c.whose(t, bearing(by.token(good("acme")))); got != want {
			t.Errorf("%s, %s: %s, want %s", when, by.algorithm, got, want)
		}
	}
	is("at first", rsa, "tenant acme")
	is("at first", ec, unknownKey)
	if asked := i.asked.Load(); asked != 2 {
		t.Errorf("it is asked %d times, want once at start and once for the unknown key", asked)
	}

	i.says(jwks(rsa.jwk(t), ec.jwk(t)))
	is("rotated", ec, "tenant acme")
	is("rotated", rsa, "tenant acme")

	i.goesAway()
	is("away", rsa, "tenant acme")
	is("away", ec, "tenant acme")
	is("away", ed, unknownKey)

	for _, bad := range []string{"", "<html>", `{"keys":[]}`, `{"keys":"a"}`, jwks(many(65, rsa.jwk(t))...), strings.Repeat(" ", maxSet+1)} {
		i.says(bad)
		is("with a bad answer", ed, unknownKey)
		is("with a bad answer", ec, "tenant acme")
	}
	i.does(func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, jwks(ed.jwk(t)))
	})
	is("with an error", ed, unknownKey)

	i.says(jwks(ed.jwk(t)))
	is("back with another key", ed, "tenant acme")
	is("back with another key", rsa, unknownKey)

	before := i.asked.Load()
	i.says(jwks(rsa.jwk(t)))
	must(t, c.Reload())
	eventually(t, "asked again by Reload", func() bool { return i.asked.Load() > before })
	eventually(t, "the key from before the last is taken", func() bool { return c.whose(t, bearing(rsa.token(good("acme")))) == "tenant acme" })
}

// Without a name a token may be signed with a key that is new.
func TestTokenWithoutANameAfterRotation(t *testing.T) {
	before, after := newEdDSA(t), newEdDSA(t)
	i := publish(t, before.jwk(t))
	c, _ := opened(t, Config{KeysURL: i.URL, Key: newEdDSA(t).pem(t)})
	if got := c.whose(t, bearing(before.token(good("acme")))); got != "tenant acme" {
		t.Error(got)
	}
	i.says(jwks(after.jwk(t)))
	if got := c.whose(t, bearing(after.token(good("acme")))); got != "tenant acme" {
		t.Error(got)
	}
}

func TestOthersKeysInASet(t *testing.T) {
	ec := newECDSA(t, elliptic.P256()).named("a")
	c, log := opened(t, Config{KeysURL: publish(t,
		claims{"kty": "AKP", "alg": "ML-DSA-44", "kid": "new"},
		claims{"kty": "oct", "kid": "secret", "k": encode([]byte(secretKey))},
		newECDSA(t, elliptic.P384()).named("b").jwk(t, claims{"alg": "ES384"}),
		newRSA(t, 1024).named("small").jwk(t),
		newEdDSA(t).named("private").jwk(t, claims{"d": encode(make([]byte, 32))}),
		ec.jwk(t),
	).URL})
	if got := c.whose(t, bearing(ec.token(good("acme")))); got != "tenant acme" {
		t.Errorf("got %s", got)
	}
	if got := c.whose(t, bearing(newHMAC([]byte(secretKey)).named("secret").token(good("acme")))); got != unknownKey {
		t.Errorf("a published secret: %s", got)
	}
	if !strings.Contains(log.String(), `"keys":1,"others":5`) {
		t.Errorf("it logs %s", log)
	}
}

func TestStartWithoutTheURL(t *testing.T) {
	by := newEdDSA(t).named("a")
	i := publish(t, by.jwk(t))
	i.goesAway()
	c, log := opened(t, Config{KeysURL: strings.Replace(i.URL, "http://", "http://user:passw0rd@", 1) + "/?key=passw0rd"})
	_, err := c.Of(bearing(by.token(good("acme"))))
	if refusal, ok := err.(*Refusal); !ok || !refusal.Later {
		t.Errorf("got %v, want a refusal that asks to come later", err)
	}
	i.says(jwks(by.jwk(t)))
	if got := c.whose(t, bearing(by.token(good("acme")))); got != "tenant acme" {
		t.Errorf("once it is there: %s", got)
	}
	if got := log.String(); !strings.Contains(got, "no token is taken until they are") || !strings.Contains(got, "fetched the keys") || strings.Contains(got, "passw0rd") {
		t.Errorf("it logs %s", got)
	}
}

// Nobody asks for what the background gets.
func TestRefreshInTheBackground(t *testing.T) {
	by := newEdDSA(t).named("a")
	i := publish(t, by.jwk(t))
	i.goesAway()
	r, err := newRemote(i.URL, zerolog.Nop())
	must(t, err)
	r.every, r.retry = 20*time.Millisecond, 10*time.Millisecond
	r.open(t.Context())
	defer r.close()
	eventually(t, "it is asked again after failures", func() bool { return i.asked.Load() > 3 })
	i.says(jwks(by.jwk(t)))
	eventually(t, "the keys are there", func() bool { return r.set() != nil })
	asked := i.asked.Load()
	eventually(t, "it is asked again after a success", func() bool { return i.asked.Load() > asked+2 })
}

func TestFloodOfUnknownKeys(t *testing.T) {
	by := newEdDSA(t)
	i := publish(t, by.named("a").jwk(t))
	c, _ := opened(t, Config{KeysURL: i.URL})
	var flood sync.WaitGroup
	for n := range 40 {
		flood.Go(func() {
			for m := range 25 {
				if got := c.whose(t, bearing(by.named(fmt.Sprintf("%d-%d", n, m)).token(good("acme")))); got != unknownKey {
					t.Errorf("got %s", got)
				}
			}
		})
	}
	flood.Wait()
	if asked := i.asked.Load(); asked < 2 || asked > 1+askedAtOnce+3 { // one more for each 10 s that it takes here
		t.Errorf("for 1,000 unknown keys it is asked %d times", asked)
	}
	if got := c.whose(t, bearing(by.named("a").token(good("acme")))); got != "tenant acme" {
		t.Errorf("got %s", got)
	}
}

// Those who wait for a URL that says nothing are bounded, and go when their client does.
func TestWaitingForAURLThatHangs(t *testing.T) {
	by := newEdDSA(t)
	i := publish(t, by.named("a").jwk(t))
	c, _ := opened(t, Config{KeysURL: i.URL})
	release := make(chan struct{})
	i.does(func(http.ResponseWriter) { <-release })
	defer close(release)
	waiting := func() int {
		r := c.tokens.remote
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.waiting
	}
	request, cancel := withCancel(bearing(by.named("new").token(good("acme"))))
	var waiters sync.WaitGroup
	defer waiters.Wait()
	defer cancel()
	for range maxWaiting {
		waiters.Go(func() { _, _ = c.Of(request) })
	}
	eventually(t, "all that may are waiting", func() bool { return waiting() == maxWaiting })
	began := time.Now()
	if got := c.whose(t, bearing(by.named("new").token(good("acme")))); got != unknownKey {
		t.Errorf("one too many: %s", got)
	}
	if took := time.Since(began); took > fetchTime/2 {
		t.Errorf("one too many waits %s", took)
	}
	if got := c.whose(t, bearing(by.named("a").token(good("acme")))); got != "tenant acme" {
		t.Errorf("a known key: %s", got)
	}
	cancel()
	eventually(t, "nobody is waiting", func() bool { return waiting() == 0 })
}
