package jsdtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// An Issuer signs tokens, and publishes the key.
type Issuer struct {
	key jwk.Key
	id  string
}

// NewIssuer gives one whose key has a name.
func NewIssuer(t testing.TB, id string) *Issuer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.Import(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Set(jwk.KeyIDKey, id); err != nil {
		t.Fatal(err)
	}
	return &Issuer{key, id}
}

// Published is its key as a JWK set.
func (i *Issuer) Published(t testing.TB) string {
	t.Helper()
	public, err := i.key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(map[string]any{"keys": []jwk.Key{public}})
	if err != nil {
		t.Fatal(err)
	}
	return string(set)
}

// Token is for a tenant, and ends after a time.
func (i *Issuer) Token(t testing.TB, tenant string, lasts time.Duration) string {
	t.Helper()
	token, err := jwt.NewBuilder().Claim("tenant", tenant).Expiration(time.Now().Add(lasts)).Audience([]string{"jsd"}).Build()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.ES256(), i.key))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}
