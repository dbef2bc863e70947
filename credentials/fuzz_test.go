package credentials

import (
	"crypto/elliptic"
	"net/http"
	"strings"
	"testing"
)

// Whatever is sent, nobody becomes a tenant by anything but a token that was signed.
func FuzzToken(f *testing.F) {
	ec := newECDSA(f, elliptic.P256()).named("a")
	c, log := opened(f, Config{Key: secretKey, KeyFile: write(f, "keys.json", jwks(ec.jwk(f))), Secret: "s3cret"})
	signed := ec.token(good("acme"))
	for _, seed := range []string{
		signed, newHMAC([]byte(secretKey)).token(good("acme")), ec.token(good("acme"), claims{"alg": "none"}), "..", "a.b.c",
		signed + ", Bearer " + signed, strings.TrimRight(signed, "=") + "=", `{"payload":""}`, "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, header := range []http.Header{{"Authorization": {"Bearer " + token}}, {"Sec-Websocket-Protocol": {"jsd, bearer." + token}}, {"Authorization": {token}}} {
			who, err := c.Of(&http.Request{Header: header})
			if _, refused := err.(*Refusal); err != nil && !refused {
				t.Errorf("%v is no refusal", err)
			}
			if err == nil && who.Tenant != "acme" {
				t.Errorf("%q is taken for %q", token, who.Tenant)
			}
		}
		if log.String() != "" {
			t.Errorf("it logs %s", log)
		}
	})
}
