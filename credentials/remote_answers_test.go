package credentials

import (
	"bytes"
	"compress/gzip"
	"crypto/elliptic"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// An answer may be as long as the sender likes, also once it is unpacked: no more of it is read than keys take.
func TestAnswersWithoutEnd(t *testing.T) {
	by, after := newEdDSA(t).named("a"), newEdDSA(t).named("b")
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	fmt.Fprint(zip, strings.TrimSuffix(jwks(after.jwk(t)), "}"), strings.Repeat(" ", 64*maxSet), "}")
	must(t, zip.Close())
	for name, answer := range map[string]func(http.ResponseWriter){
		"1 GiB": func(w http.ResponseWriter) {
			for range 1024 {
				if _, err := w.Write(bytes.Repeat([]byte(" "), maxSet)); err != nil {
					return
				}
			}
			t.Error("all of it was read")
		},
		"compressed": func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		},
		"a header": func(w http.ResponseWriter) {
			w.Header().Set("X", strings.Repeat("x", 32<<20))
			fmt.Fprint(w, jwks(after.jwk(t)))
		},
	} {
		i := publish(t, by.jwk(t))
		c, _ := opened(t, Config{KeysURL: i.URL})
		i.does(answer)
		asked := i.asked.Load()
		if got := c.whose(t, bearing(after.token(good("acme")))); got != unknownKey || i.asked.Load() == asked {
			t.Errorf("%s: a key in it: %s", name, got)
		}
		if got := c.whose(t, bearing(by.token(good("acme")))); got != "tenant acme" {
			t.Errorf("%s: the key from before: %s", name, got)
		}
	}
}

// Of keys that share a name each may have signed.
func TestKeysOfTheSameName(t *testing.T) {
	one, other, ec := newEdDSA(t).named("a"), newEdDSA(t).named("a"), newECDSA(t, elliptic.P256()).named("a")
	c, _ := opened(t, Config{KeysURL: publish(t, one.jwk(t), other.jwk(t), ec.jwk(t)).URL})
	for _, by := range []*signer{one, other, ec} {
		if got := c.whose(t, bearing(by.token(good("acme")))); got != "tenant acme" {
			t.Errorf("%s: %s", by.algorithm, got)
		}
	}
	if got := c.whose(t, bearing(newEdDSA(t).named("a").token(good("acme")))); got != "the signature of the token does not hold" {
		t.Errorf("a stranger of that name: %s", got)
	}
}

func TestRedirects(t *testing.T) {
	by := newEdDSA(t).named("a")
	i := publish(t, by.jwk(t))
	const notThere = "the keys that tokens are checked with are not there yet"
	for target, want := range map[string]string{
		i.URL: "tenant acme", "http://192.0.2.1/keys": notThere, "/again": notThere, "file:///etc/passwd": notThere, "//192.0.2.1/keys": notThere,
	} {
		at := httptest.NewServer(http.RedirectHandler(target, http.StatusFound))
		c, _ := opened(t, Config{KeysURL: at.URL})
		if got := c.whose(t, bearing(by.token(good("acme")))); got != want {
			t.Errorf("to %s: %s", target, got)
		}
		at.Close()
	}
}
