package credentials

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestKeysThatCannotBe(t *testing.T) {
	small, p384 := newRSA(t, 1024), newECDSA(t, elliptic.P384())
	ec, ed := newECDSA(t, elliptic.P256()), newEdDSA(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	privatePEM := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
	bare := func(of *signer) string {
		block, _ := pem.Decode([]byte(of.pem(t)))
		return base64.StdEncoding.EncodeToString(block.Bytes)
	}
	oct := func(n int) string {
		return string(asJSON(claims{"kty": "oct", "k": encode([]byte(strings.Repeat("k", n)))}))
	}
	for _, test := range []struct{ why, content, want string }{
		{"empty", " \n", "is empty"},
		{"a secret", secretKey, "holds neither PEM nor a JWK or JWK set"},
		{"broken PEM", strings.Replace(ec.pem(t), "-----END", "----END", 1), "holds PEM that cannot be read"},
		{"the second is broken", ed.pem(t) + strings.Replace(ec.pem(t), "-----END", "----END", 1), "holds PEM that cannot be read"},
		{"PEM of nothing", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "holds a PUBLIC KEY that cannot be read"},
		{"private PEM", privatePEM, `holds a "RSA PRIVATE KEY": give the public key alone`},
		{"private JWK", string(asJSON(ed.jwk(t, claims{"d": encode(make([]byte, 32))}))), "key 1: is a private key"},
		{"small RSA", small.pem(t), "an RSA key has at least 2048 bits, this one has 1024"},
		{"small RSA as JWK", jwks(ec.jwk(t), small.jwk(t)), "that can be read"},
		{"another curve", p384.pem(t), "a key for ES256 is on the curve P-256, this one is on P-384"},
		{"a short secret", oct(31), "a secret for HS256 has at least 32 bytes, this one has 31"},
		{"broken JSON", `{"keys":[`, "holds no JWK or JWK set that can be read"},
		{"no keys", `{"keys":[]}`, "holds no key"},
		{"other JSON", `{"a":1}`, "holds no JWK or JWK set that can be read"},
		{"for encryption", string(asJSON(ec.jwk(t, claims{"use": "enc"}))), `key 1: is not for signatures, its use is "enc"`},
		{"for signing only", string(asJSON(ec.jwk(t, claims{"key_ops": []string{"sign"}}))), "key 1: is not for checking signatures"},
		{"for another algorithm", string(asJSON(newRSA(t, 2048).jwk(t, claims{"alg": "PS256"}))), `key 1: is for "PS256", and such a key is taken for RS256 only`},
		{"a key taken for a secret", string(asJSON(ed.jwk(t, claims{"alg": "HS256"}))), `key 1: is for "HS256"`},
		{"no point", string(asJSON(ec.jwk(t, claims{"x": encode(make([]byte, 32))}))), "that can be read"},
		{"too many", jwks(many(65, ec.jwk(t))...), "of at most 64 keys"},
		{"too many in PEM", strings.Repeat(ec.pem(t), 65), "holds more than 64 keys"},
		{"too large", strings.Repeat(" ", maxFile+1), "is larger than 1048576 bytes"},
	} {
		t.Run(test.why, func(t *testing.T) {
			file := write(t, "keys", test.content)
			_, err := Open(t.Context(), Config{KeyFile: file})
			if err == nil || !strings.HasPrefix(err.Error(), "key file "+file+": ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	for want, cfg := range map[string]Config{
		"the key is too short: a secret for HS256 has at least 32 bytes":  {Key: "s3cret"},
		`the key holds a "RSA PRIVATE KEY"`:                               {Key: privatePEM},
		"the key has no key for the algorithms allowed, RS256":            {Key: ec.pem(t), Algorithms: []string{"RS256"}},
		"the key is a public key or certificate without the lines around": {Key: bare(ed)},
		"certificate without the lines":                                   {Key: bare(newRSA(t, 2048))},
		"lines around it":                                                 {Key: strings.ReplaceAll(bare(ec), "A", "A\n ")},
		"the key is an address: give the URL of keys as --jwks-url":       {Key: "https://issuer.example/.well-known/jwks.json"},
		"the key is the name of a file: give that as --jwt-key-file":      {Key: write(t, "the-keys-of-our-issuer-are-here.pem", ec.pem(t))},
		`the algorithm "none" is none of HS256, RS256, ES256, EdDSA`:      {Key: secretKey, Algorithms: []string{"none"}},
		"no such file or directory":                                       {KeyFile: "/nowhere"},
		"is a directory":                                                  {KeyFile: t.TempDir()},
		"has to begin with https":                                         {KeysURL: "http://issuer.example/keys"},
		"has to be one like https://":                                     {KeysURL: "issuer.example/keys"},
	} {
		if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func many(n int, key map[string]any) (keys []map[string]any) {
	for range n {
		keys = append(keys, key)
	}
	return keys
}

func TestKeyFileIsReadAgain(t *testing.T) {
	before, after := newECDSA(t, elliptic.P256()), newEdDSA(t)
	file := write(t, "keys.pem", before.pem(t))
	c, log := opened(t, Config{KeyFile: file})
	check := func(when, wantBefore, wantAfter string) {
		t.Helper()
		for by, want := range map[*signer]string{before: wantBefore, after: wantAfter} {
			if got := c.whose(t, bearing(by.token(good("acme")))); got != want {
				t.Errorf("%s: %s: %s, want %s", when, by.algorithm, got, want)
			}
		}
	}
	const yes, no = "tenant acme", "the token is signed with a key that is not known"
	check("at first", yes, no)
	for _, bad := range []string{"", "rubbish", before.pem(t)[:60], jwks()} {
		write(t, file, bad)
		if err := c.Reload(); err == nil || !strings.HasPrefix(err.Error(), "key file "+file) {
			t.Errorf("%q is taken: %v", bad, err)
		}
		check("after a bad file", yes, no)
	}
	must(t, os.Remove(file))
	if err := c.Reload(); err == nil {
		t.Error("no file is taken")
	}
	check("without a file", yes, no)
	write(t, file, before.pem(t)+after.pem(t))
	must(t, c.Reload())
	check("with both", yes, yes)
	write(t, file, after.pem(t))
	must(t, c.Reload())
	check("with the new one", no, yes)

	if log.String() != "" {
		t.Errorf("a file of public keys is complained of: %s", log)
	}
	write(t, file, string(asJSON(claims{"kty": "oct", "k": encode([]byte(secretKey))})))
	must(t, os.Chmod(file, 0o644))
	must(t, c.Reload())
	if !strings.Contains(log.String(), "everybody on this machine can read this file") {
		t.Errorf("a secret that everybody can read is not complained of: %s", log)
	}
}

func TestSecretFile(t *testing.T) {
	file := write(t, "secret", "first one\r\n\n")
	c, log := opened(t, Config{SecretFile: file})
	is := func(secret string) bool {
		_, err := c.Of(&http.Request{Header: http.Header{"X-Runtime-Secret": {secret}}})
		return err == nil
	}
	if !is("first one") || is("first") || is("first one\n") || is("") {
		t.Error("the file's secret, and no other, has to be taken")
	}
	for content, want := range map[string]string{
		"": "is empty", "\n": "is empty", " ": "is empty", " a": "begins or ends with a space", "a\t\n": "begins or ends with a space",
		"a\nb": "has a control character or several lines", "a\x00": "has a control character",
		strings.Repeat("a", 4097): "is longer than 4096 bytes",
	} {
		write(t, file, content)
		err := c.Reload()
		if err == nil || !strings.HasPrefix(err.Error(), "secret file "+file+": "+want) {
			t.Errorf("%.20q: %v, want %s", content, err, want)
		}
		if !is("first one") || is(content) {
			t.Errorf("after %.20q: the secret from before has to stay", content)
		}
		if _, err := Open(t.Context(), Config{SecretFile: file}); err == nil {
			t.Errorf("%.20q is taken at start", content)
		}
	}
	write(t, file, "second")
	must(t, c.Reload())
	if !is("second") || is("first one") {
		t.Error("the new secret, and no other, has to be taken")
	}
	if log.String() != "" {
		t.Errorf("it logs %s", log)
	}
	must(t, os.Chmod(file, 0o604))
	must(t, c.Reload())
	if got := log.String(); !strings.Contains(got, "everybody on this machine can read this file") || !strings.Contains(got, file) || strings.Contains(got, "second") {
		t.Errorf("it logs %s", got)
	}
	if _, err := Open(t.Context(), Config{SecretFile: file, Secret: "a"}); err == nil || !strings.Contains(err.Error(), "only one of them") {
		t.Errorf("two secrets: %v", err)
	}
	if _, err := Open(t.Context(), Config{Secret: "a "}); err == nil || err.Error() != "the secret begins or ends with a space, which no header keeps" {
		t.Errorf("a secret that no header keeps: %v", err)
	}
}
