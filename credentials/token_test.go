package credentials

import (
	"crypto/elliptic"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEachAlgorithm(t *testing.T) {
	rsa, ec, ed := newRSA(t, 2048), newECDSA(t, elliptic.P256()), newEdDSA(t)
	for _, test := range []struct {
		name string
		by   *signer
		cfg  Config
	}{
		{"HS256", newHMAC([]byte(secretKey)), Config{Key: secretKey}},
		{"HS256 by JWK", newHMAC([]byte(secretKey)), Config{Key: string(asJSON(claims{"kty": "oct", "k": encode([]byte(secretKey))}))}},
		{"RS256", rsa, Config{Key: rsa.pem(t)}},
		{"ES256", ec, Config{Key: ec.pem(t)}},
		{"EdDSA", ed, Config{Key: ed.pem(t)}},
		{"PEM of one line", ec, Config{Key: strings.ReplaceAll(ec.pem(t), "\n", `\n`)}},
		{"file of PEM", rsa, Config{KeyFile: write(t, "keys.pem", "the keys of our issuer\n"+ed.pem(t)+"\n"+rsa.pem(t))}},
		{"file of a JWK", ed, Config{KeyFile: write(t, "key.json", string(asJSON(ed.jwk(t))))}},
		{"file of a JWK set", ec, Config{KeyFile: write(t, "keys.json", jwks(rsa.named("a").jwk(t), ec.named("b").jwk(t)))}},
		{"named", ec.named("b"), Config{KeyFile: write(t, "keys.json", jwks(rsa.named("a").jwk(t), ec.named("b").jwk(t)))}},
		{"key without a name", ec.named("whatever"), Config{Key: ec.pem(t)}},
		{"allowed", ec, Config{Key: ec.pem(t), Algorithms: []string{"RS256", "ES256"}}},
		{"key and file", ec, Config{Key: secretKey, KeyFile: write(t, "keys.pem", ec.pem(t))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := opened(t, test.cfg)
			token := test.by.token(good("acme"))
			if got := c.whose(t, bearing(token)); got != "tenant acme" {
				t.Errorf("got %s", got)
			}
			at := strings.LastIndexByte(token, '.') + 5
			other := byte('A')
			if token[at] == other {
				other = 'B'
			}
			if got := c.whose(t, bearing(token[:at]+string(other)+token[at+1:])); got != "the signature of the token does not hold" {
				t.Errorf("with another signature: %s", got)
			}
		})
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	by := newRSA(t, 2048).named("a")
	ec := newECDSA(t, elliptic.P256()).named("b")
	stranger := newRSA(t, 2048).named("a")
	c, log := opened(t, Config{
		KeyFile: write(t, "keys.json", jwks(by.jwk(t), ec.jwk(t))),
		Issuers: []string{"https://issuer.example", "other"}, Audiences: []string{"jsd", "runner"},
	})
	ok := func(more ...claims) claims {
		return good("acme", append([]claims{{"iss": "other", "aud": []string{"web", "jsd"}}}, more...)...)
	}
	now := time.Now().Unix()
	der := []byte(by.pem(t))
	valid := by.token(ok())
	parts := strings.Split(valid, ".")
	const (
		malformed = "the token is malformed"
		algorithm = "the algorithm of the token is not allowed"
		signature = "the signature of the token does not hold"
		unknown   = "the token is signed with a key that is not known"
		expired   = "the token has expired"
		early     = "the token is not valid yet"
		issuer    = "the token is of another issuer"
		audience  = "the token is for another audience"
		claim     = `the claim "tenant" of the token has to name a tenant: 1 to 64 characters of A-Z a-z 0-9 . _ -`
		extension = "the token asks for extensions that are not known here"
	)
	for _, test := range []struct{ why, token, want string }{
		{"good", valid, "tenant acme"},
		{"audience as a string", by.token(ok(claims{"aud": "runner"})), "tenant acme"},
		{"expired within the leeway", by.token(ok(claims{"exp": now - 20})), "tenant acme"},
		{"early within the leeway", by.token(ok(claims{"nbf": now + 20, "iat": now + 20})), "tenant acme"},
		{"fractions", by.token(ok(claims{"exp": float64(now) + 60.5})), "tenant acme"},

		{"none", (&signer{algorithm: "none", sign: func([]byte) []byte { return nil }}).token(ok()), algorithm},
		{"None", by.token(ok(), claims{"alg": "None"}), malformed},
		{"no signature", parts[0] + "." + parts[1] + ".", malformed},
		{"no algorithm", by.raw(`{"kid":"a"}`, string(asJSON(ok()))), algorithm},
		{"HS256 with the PEM", newHMAC(der).named("a").token(ok()), unknown},
		{"HS256 with the PEM, trimmed", newHMAC([]byte(strings.TrimSpace(by.pem(t)))).token(ok()), unknown},
		{"RS256 called ES256", by.token(ok(), claims{"alg": "ES256"}), unknown},
		{"RS256 called ES256 with the name of that", by.token(ok(), claims{"alg": "ES256", "kid": "b"}), signature},
		{"RS512", by.token(ok(), claims{"alg": "RS512"}), algorithm},
		{"PS256", by.token(ok(), claims{"alg": "PS256"}), algorithm},
		{"two algorithms", by.raw(`{"alg":"none","kid":"a","alg":"HS256"}`, string(asJSON(ok()))), unknown},
		{"stranger", stranger.token(ok()), signature},
		{"stranger without a name", stranger.named("").token(ok()), signature},
		{"stranger with a key of its own", stranger.token(ok(), claims{"jwk": stranger.jwk(t)}), signature},
		{"stranger with the address of its key", stranger.token(ok(), claims{"jku": "http://127.0.0.1:1/"}), signature},
		{"stranger with the address of its certificate", stranger.token(ok(), claims{"x5u": "http://127.0.0.1:1/", "x5t": "a"}), signature},
		{"stranger with a key that is none", stranger.token(ok(), claims{"jwk": claims{"kty": "none"}}), malformed},
		{"unknown name", stranger.named("c").token(ok()), unknown},
		{"a name that is a path", by.named("../../dev/null").token(ok()), unknown},
		{"a name with nothing behind it", by.named("a\x00").token(ok()), unknown},
		{"a name that is a number", by.token(ok(), claims{"kid": 1}), malformed},
		{"a name that is a list", by.token(ok(), claims{"kid": []string{"a"}}), malformed},
		{"an algorithm that is a list", by.token(ok(), claims{"alg": []string{"RS256"}}), malformed},
		{"an algorithm in small letters", by.token(ok(), claims{"alg": "rs256"}), malformed},
		{"encrypted", by.token(ok(), claims{"alg": "dir", "enc": "A256GCM"}), malformed},
		{"payload of another", parts[0] + "." + encode(asJSON(ok(claims{"tenant": "other"}))) + "." + parts[2], signature},
		{"critical", by.token(ok(), claims{"crit": []string{"exp"}, "exp": 1}), extension},
		{"critical b64", by.token(ok(), claims{"crit": []string{"b64"}, "b64": false}), extension},
		{"b64", by.token(ok(), claims{"b64": false}), extension},

		{"expired", by.token(ok(claims{"exp": now - 31})), expired},
		{"expired in 1970", by.token(ok(claims{"exp": 0})), expired},
		{"expired before", by.token(ok(claims{"exp": -1})), malformed},
		{"not yet valid", by.token(ok(claims{"nbf": now + 90})), early},
		{"of tomorrow", by.token(ok(claims{"iat": now + 86400})), early},
		{"never expires", by.token(without(ok(), "exp")), "the token never expires: it needs the claim exp"},
		{"expires at null", by.token(ok(claims{"exp": nil})), malformed},
		{"expires in a list", by.token(ok(claims{"exp": []int{1}})), malformed},

		{"other issuer", by.token(ok(claims{"iss": "https://issuer.example/"})), issuer},
		{"no issuer", by.token(without(ok(), "iss")), issuer},
		{"issuer is a list", by.token(ok(claims{"iss": []string{"other"}})), malformed},
		{"other audience", by.token(ok(claims{"aud": "web"})), audience},
		{"no audience", by.token(without(ok(), "aud")), audience},
		{"empty audience", by.token(ok(claims{"aud": []string{}})), audience},
		{"audience like ours", by.token(ok(claims{"aud": "JSD"})), audience},

		{"no tenant", by.token(without(ok(), "tenant")), claim},
		{"empty tenant", by.token(ok(claims{"tenant": ""})), claim},
		{"tenant is a number", by.token(ok(claims{"tenant": 5})), claim},
		{"tenant is a list", by.token(ok(claims{"tenant": []string{"acme"}})), claim},
		{"tenant is an object", by.token(ok(claims{"tenant": claims{"id": "acme"}})), claim},
		{"tenant is null", by.token(ok(claims{"tenant": nil})), claim},
		{"tenant is a path", by.token(ok(claims{"tenant": "../acme"})), claim},
		{"tenant with a line", by.token(ok(claims{"tenant": "acme\n"})), claim},
		{"long tenant", by.token(ok(claims{"tenant": strings.Repeat("a", 65)})), claim},

		{"nothing", "", malformed}, {"dots", "..", malformed}, {"a word", "token", malformed},
		{"two parts", parts[0] + "." + parts[1], malformed},
		{"a signature with more behind it", valid + "AAAA", signature},
		{"five parts", valid + ".a.b", malformed},
		{"JSON", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, malformed},
		{"header is no JSON", by.raw(`{"alg":"RS256"`, "{}"), malformed},
		{"header is a list", by.raw(`["RS256"]`, "{}"), malformed},
		{"payload is no JSON", by.raw(`{"alg":"RS256","kid":"a"}`, "acme"), malformed},
		{"payload is a list", by.raw(`{"alg":"RS256","kid":"a"}`, "[]"), malformed},
		{"payload is null", by.raw(`{"alg":"RS256","kid":"a"}`, "null"), malformed},
		{"payload is a token", by.raw(`{"alg":"RS256","kid":"a"}`, valid), malformed},
		{"bytes", "\xff.\xff.\xff", malformed},
		{"huge", by.token(ok(claims{"more": strings.Repeat("x", maxToken)})), "the token is longer than 8192 bytes"},
		{"huge garbage", strings.Repeat("a.", 1<<19), "the token is longer than 8192 bytes"},
		{"deep", by.raw(strings.Repeat("[", 4000), "{}"), malformed},
	} {
		t.Run(test.why, func(t *testing.T) {
			if got := c.whose(t, bearing(test.token)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	if strings.Contains(log.String(), parts[2]) || log.String() != "" {
		t.Errorf("it is logged: %s", log)
	}
}

// The end of a token is that of its identity: a second is a second.
func TestExpiry(t *testing.T) {
	by := newHMAC([]byte(secretKey))
	c, _ := opened(t, Config{Key: secretKey})
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	who, err := c.Of(bearing(by.token(good("acme", claims{"exp": end.Unix()}))))
	if err != nil || !who.Expires.Equal(end.Add(leeway)) {
		t.Errorf("got %v, %v", who, err)
	}
	for _, test := range []struct {
		after time.Duration
		want  string
	}{{leeway - time.Millisecond, "tenant acme"}, {leeway, "the token has expired"}} {
		c.tokens.now = func() time.Time { return end.Add(test.after) }
		if got := c.whose(t, bearing(by.token(good("acme", claims{"exp": end.Unix()})))); got != test.want {
			t.Errorf("%s after its end: %s", test.after, got)
		}
	}
	c.tokens.now = time.Now
	for _, far := range []any{1e300, 1e18, int64(9223372036854775807), 253402300800} {
		who, err := c.Of(bearing(by.token(good("acme", claims{"exp": far}))))
		if err == nil && !who.Expires.After(time.Now()) {
			t.Errorf("exp %v: taken until %v", far, who.Expires)
		}
	}
}

func TestWithoutAudienceTokensAreForNobody(t *testing.T) {
	by := newHMAC([]byte(secretKey))
	c, _ := opened(t, Config{Key: secretKey, Claim: "https://acme.example/org"})
	for _, test := range []struct {
		claims claims
		want   string
	}{
		{good("no", claims{"https://acme.example/org": "acme"}), "tenant acme"},
		{good("no", claims{"https://acme.example/org": "acme", "iss": "anybody"}), "tenant acme"},
		{good("no", claims{"https://acme.example/org": "acme", "aud": "web"}), "the token is for another audience"},
		{good("acme"), `the claim "https://acme.example/org" of the token has to name a tenant: 1 to 64 characters of A-Z a-z 0-9 . _ -`},
	} {
		if got := c.whose(t, bearing(by.token(test.claims))); got != test.want {
			t.Errorf("%v: %s", test.claims, got)
		}
	}
	c, _ = opened(t, Config{Key: secretKey, Claim: "sub"})
	if got := c.whose(t, bearing(by.token(good("no", claims{"sub": "acme"})))); got != "tenant acme" {
		t.Errorf("by the subject: %s", got)
	}
}

func TestAlgorithmsAllowed(t *testing.T) {
	ec, ed := newECDSA(t, elliptic.P256()), newEdDSA(t)
	c, _ := opened(t, Config{Key: ec.pem(t) + ed.pem(t), Algorithms: []string{"EdDSA"}})
	if got := c.whose(t, bearing(ec.token(good("acme")))); got != "the algorithm of the token is not allowed" {
		t.Errorf("ES256: %s", got)
	}
	if got := c.whose(t, bearing(ed.token(good("acme")))); got != "tenant acme" {
		t.Errorf("EdDSA: %s", got)
	}
}

func TestWhereTokensAndSecretsAre(t *testing.T) {
	by := newHMAC([]byte(secretKey))
	token, other := by.token(good("acme")), by.token(good("other"))
	const (
		anybody = "tenant "
		acme    = "tenant acme"
		secret  = "the header x-runtime-secret must hold"
		missing = "a token is missing"
		noKeys  = "this daemon takes no tokens"
		several = "there are several"
		bad     = "the token is malformed"
	)
	type header = http.Header
	authorization := func(values ...string) header { return header{"Authorization": values} }
	protocols := func(values ...string) header { return header{"Sec-Websocket-Protocol": values} }
	both := func(secret string, h header) header {
		h = h.Clone()
		h.Set("X-Runtime-Secret", secret)
		return h
	}
	for _, test := range []struct {
		name                    string
		header                  header
		none, secret, jwt, both string // what each daemon says
	}{
		{"nothing", header{}, anybody, secret, missing, missing},
		{"secret", both("s3cret", header{}), anybody, anybody, missing, anybody},
		{"wrong secret", both("s3cre", header{}), anybody, secret, missing, secret},
		{"empty secret", both("", header{}), anybody, secret, missing, secret},
		{"two secrets", header{"X-Runtime-Secret": {"s3cret", "s3cret"}}, anybody, secret, missing, secret},
		{"token", authorization("Bearer " + token), anybody, noKeys, acme, acme},
		{"token, as others write it", authorization("bearer   " + token), anybody, noKeys, acme, acme},
		{"token behind a tab", authorization("Bearer\t" + token), anybody, noKeys, acme, acme},
		{"token behind a tab, and secret", both("s3cret", authorization("Bearer\t"+token)), anybody, noKeys, acme, acme},
		{"subprotocol", protocols("jsd, bearer." + token), anybody, noKeys, acme, acme},
		{"subprotocol alone", protocols("bearer." + token), anybody, noKeys, acme, acme},
		{"subprotocol in a line of its own", protocols("bearer."+token, "jsd"), anybody, noKeys, acme, acme},
		{"token and secret", both("s3cret", authorization("Bearer "+token)), anybody, noKeys, acme, acme},
		{"subprotocol and secret", both("s3cret", protocols("jsd, bearer."+token)), anybody, noKeys, acme, acme},
		{"token and wrong secret", both("no", authorization("Bearer "+token)), anybody, secret, acme, secret},
		{"wrong token and secret", both("s3cret", authorization("Bearer x")), anybody, noKeys, bad, bad},
		{"empty token and secret", both("s3cret", authorization("Bearer ")), anybody, noKeys, bad, bad},
		{"empty subprotocol and secret", both("s3cret", protocols("jsd, bearer.")), anybody, noKeys, bad, bad},
		{"two headers", authorization("Bearer "+token, "Bearer "+token), anybody, noKeys, several, several},
		{"two headers and the secret", both("s3cret", authorization("Bearer "+token, "Bearer "+other)), anybody, noKeys, several, several},
		{"two kinds of headers", authorization("Basic YTpi", "Bearer "+token), anybody, noKeys, several, several},
		{"two subprotocols", protocols("jsd, bearer." + token + ", bearer." + other), anybody, noKeys, several, several},
		{"header and subprotocol", header{"Authorization": {"Bearer " + token}, "Sec-Websocket-Protocol": {"bearer." + token}}, anybody, noKeys, several, several},
		{"password of a proxy", authorization("Basic YTpi"), anybody, secret, missing, missing},
		{"password of a proxy and secret", both("s3cret", authorization("Basic YTpi")), anybody, anybody, missing, anybody},
		{"password of a proxy and subprotocol", header{"Authorization": {"Basic YTpi"}, "Sec-Websocket-Protocol": {"jsd, bearer." + token}}, anybody, noKeys, acme, acme},
		{"two tokens in one", authorization("Bearer " + token + " " + other), anybody, noKeys, bad, bad},
		{"two tokens in one, by a comma", authorization("Bearer " + token + ", Bearer " + other), anybody, noKeys, bad, bad},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, daemon := range []struct {
				name, want string
				cfg        Config
			}{
				{"none", test.none, Config{}},
				{"secret", test.secret, Config{Secret: "s3cret"}},
				{"jwt", test.jwt, Config{Key: secretKey}},
				{"both", test.both, Config{Secret: "s3cret", Key: secretKey}},
			} {
				c, _ := opened(t, daemon.cfg)
				got := c.whose(t, &http.Request{Header: test.header})
				if got != daemon.want && (strings.HasPrefix(daemon.want, "tenant ") || !strings.HasPrefix(got, daemon.want)) {
					t.Errorf("%s: got %s, want %s", daemon.name, got, daemon.want)
				}
			}
		})
	}
}
