package credentials

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A signer makes tokens as an issuer does, with nothing but the standard library, so that it can make wrong ones, too.
type signer struct {
	algorithm, id string
	public        any // nil for HS256
	sign          func(input []byte) []byte
}

var secretKey = strings.Repeat("0123456789abcdef", 2)

func newHMAC(secret []byte) *signer {
	return &signer{"HS256", "", nil, func(input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}}
}

func newRSA(t testing.TB, bits int) *signer {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	must(t, err)
	return &signer{"RS256", "", &private.PublicKey, func(input []byte) []byte {
		hash := sha256.Sum256(input)
		signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, hash[:])
		must(t, err)
		return signature
	}}
}

func newECDSA(t testing.TB, curve elliptic.Curve) *signer {
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(t, err)
	return &signer{"ES256", "", &private.PublicKey, func(input []byte) []byte {
		hash := sha256.Sum256(input)
		r, s, err := ecdsa.Sign(rand.Reader, private, hash[:])
		must(t, err)
		size := (curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}}
}

func newEdDSA(t testing.TB) *signer {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return &signer{"EdDSA", "", public, func(input []byte) []byte { return ed25519.Sign(private, input) }}
}

// named is the same signer, whose key has a name.
func (s *signer) named(id string) *signer {
	n := *s
	n.id = id
	return &n
}

// pem is the public key.
func (s *signer) pem(t testing.TB) string {
	der, err := x509.MarshalPKIXPublicKey(s.public)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// jwk is the public key, with more fields or others.
func (s *signer) jwk(t testing.TB, more ...map[string]any) map[string]any {
	fields := map[string]any{"use": "sig", "alg": s.algorithm}
	if s.id != "" {
		fields["kid"] = s.id
	}
	switch public := s.public.(type) {
	case *rsa.PublicKey:
		fields["kty"], fields["n"], fields["e"] = "RSA", encode(public.N.Bytes()), "AQAB"
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		must(t, err)
		half := len(point) / 2
		fields["kty"], fields["crv"], fields["x"], fields["y"] = "EC", public.Params().Name, encode(point[1:1+half]), encode(point[1+half:])
	case ed25519.PublicKey:
		fields["kty"], fields["crv"], fields["x"] = "OKP", "Ed25519", encode(public)
	default:
		t.Fatal("there is no public key")
	}
	for _, m := range more {
		maps.Copy(fields, m)
	}
	return fields
}

func jwks(keys ...map[string]any) string {
	if keys == nil {
		keys = []map[string]any{}
	}
	return string(asJSON(map[string]any{"keys": keys}))
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func asJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

type claims = map[string]any

// good is claims of a token of today.
func good(tenant string, more ...claims) claims {
	c := claims{"tenant": tenant, "exp": time.Now().Add(time.Hour).Unix()}
	for _, m := range more {
		maps.Copy(c, m)
	}
	return c
}

func without(c claims, name string) claims {
	delete(c, name)
	return c
}

// token has the header that belongs to the key, with more fields or others.
func (s *signer) token(c claims, header ...claims) string {
	h := claims{"alg": s.algorithm, "typ": "JWT"}
	if s.id != "" {
		h["kid"] = s.id
	}
	for _, m := range header {
		maps.Copy(h, m)
	}
	return s.raw(string(asJSON(h)), string(asJSON(c)))
}

// raw signs what is no JSON, too.
func (s *signer) raw(header, payload string) string {
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	return input + "." + encode(s.sign([]byte(input)))
}

// A logBuffer is all that was logged, at any level.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// opened is credentials until the test ends, and their log.
func opened(t testing.TB, cfg Config) (*Credentials, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	cfg.Log = zerolog.New(log).Level(zerolog.DebugLevel)
	c, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, log
}

// bearing is a request with a token.
func bearing(token string) *http.Request {
	r, _ := http.NewRequest("GET", "http://localhost/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// whose is the tenant of a token, or why it is refused.
func (c *Credentials) whose(t testing.TB, r *http.Request) string {
	t.Helper()
	who, err := c.Of(r)
	if err != nil {
		return err.Error()
	}
	return "tenant " + who.Tenant
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.TempDir(), name)
	}
	must(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func withCancel(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	return r.WithContext(ctx), cancel
}
