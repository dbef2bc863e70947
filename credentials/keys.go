package credentials

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Algorithms returns the algorithms that tokens may be signed with. Each kind of key is for exactly one of them. So a
// public key is never used as the secret of HS256.
func Algorithms() []string { return []string{"HS256", "RS256", "ES256", "EdDSA"} }

const (
	minHMAC = 32   // bytes, as many as a signature of HS256 has
	minRSA  = 2048 // bits
	maxKeys = 64   // from one source: a token that names no key is tried with all of them
)

// A key checks signatures.
type key struct {
	id        string // may be empty
	algorithm jwa.SignatureAlgorithm
	value     any // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

type keySet []key

// find returns the keys that a token may be signed with: the keys that have the id that the token names, and the keys
// without an id. If the token names no key, these are all keys for its algorithm.
func (s keySet) find(algorithm jwa.SignatureAlgorithm, id string) (found []key) {
	for _, k := range s {
		if k.algorithm == algorithm && (id == "" || k.id == "" || k.id == id) {
			found = append(found, k)
		}
	}
	return found
}

// symmetric reports whether one of the keys is a secret.
func (s keySet) symmetric() bool {
	return slices.ContainsFunc(s, func(k key) bool { return k.algorithm == jwa.HS256() })
}

// newKey returns a key with the algorithm that it is for. The error says why it cannot be used.
func newKey(id string, value any) (key, error) {
	k := key{id: id, value: value}
	switch v := value.(type) {
	case []byte:
		if k.algorithm = jwa.HS256(); len(v) < minHMAC {
			return k, fmt.Errorf("a secret for HS256 has at least %d bytes, this one has %d", minHMAC, len(v))
		}
	case *rsa.PublicKey:
		if k.algorithm = jwa.RS256(); v.N.BitLen() < minRSA {
			return k, fmt.Errorf("an RSA key has at least %d bits, this one has %d", minRSA, v.N.BitLen())
		}
	case *ecdsa.PublicKey:
		if k.algorithm = jwa.ES256(); v.Curve != elliptic.P256() {
			return k, fmt.Errorf("a key for ES256 is on the curve P-256, this one is on %s", v.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		k.algorithm = jwa.EdDSA()
	default:
		return k, errors.New("this is no public key of RSA, P-256 or Ed25519, and no secret")
	}
	return k, nil
}

// parseKeys reads keys as PEM or JWKs. One bad key is an error.
func parseKeys(content []byte) (keySet, error) {
	content = bytes.TrimSpace(content)
	switch {
	case len(content) == 0:
		return nil, errors.New("is empty")
	case content[0] == '{':
		return parseJWKs(content)
	case bytes.Contains(content, []byte("-----BEGIN ")):
		return parsePEM(content)
	default:
		return nil, errors.New("holds neither PEM nor a JWK or JWK set")
	}
}

func parsePEM(content []byte) (set keySet, err error) {
	for {
		block, rest := pem.Decode(content)
		if block == nil {
			break
		}
		value, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		k, err := newKey("", value)
		if err != nil {
			return nil, err
		}
		set, content = append(set, k), rest
	}
	if len(set) == 0 || bytes.Contains(content, []byte("-----BEGIN ")) {
		return nil, errors.New("holds PEM that cannot be read")
	}
	if len(set) > maxKeys {
		return nil, fmt.Errorf("holds more than %d keys", maxKeys)
	}
	return set, nil
}

func parseBlock(block *pem.Block) (value any, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		value, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		value, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			value = certificate.PublicKey
		}
	default:
		return nil, fmt.Errorf("holds a %q: give the public key alone", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("holds a %s that cannot be read", block.Type)
	}
	return value, nil
}

// isPublic reports whether these are the bytes of a public key or of a certificate.
func isPublic(der []byte) bool {
	for _, kind := range []string{"PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"} {
		if _, err := parseBlock(&pem.Block{Type: kind, Bytes: der}); err == nil {
			return true
		}
	}
	return false
}

func parseJWKs(content []byte) (set keySet, err error) {
	parsed, err := jwk.Parse(content, jwk.WithMaxKeys(maxKeys))
	if err != nil {
		return nil, fmt.Errorf("holds no JWK or JWK set that can be read, of at most %d keys", maxKeys)
	}
	for i := range parsed.Len() {
		one, _ := parsed.Key(i)
		k, err := keyOf(one)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		set = append(set, k)
	}
	if len(set) == 0 {
		return nil, errors.New("holds no key")
	}
	return set, nil
}

// parsePublished reads a JWK set that an issuer publishes. It leaves out keys that cannot be used here, and returns
// their number. It leaves out secrets, too, because a published secret is not secret.
func parsePublished(content []byte) (set keySet, leftOut int, err error) {
	parsed, err := jwk.Parse(content, jwk.WithMaxKeys(maxKeys), jwk.WithStrictKeySetParsing(false))
	if err != nil {
		return nil, 0, fmt.Errorf("what came is no JWK set of at most %d keys", maxKeys)
	}
	for i := range parsed.Len() {
		one, _ := parsed.Key(i)
		if k, err := keyOf(one); err != nil || k.algorithm == jwa.HS256() {
			leftOut++
		} else {
			set = append(set, k)
		}
	}
	return set, leftOut, nil
}

// keyOf converts a JWK. It refuses keys that are for another purpose.
func keyOf(from jwk.Key) (key, error) {
	if jwk.IsUnsupportedKey(from) {
		return key{}, errors.New("cannot be read")
	}
	if private, err := jwk.IsPrivateKey(from); err == nil && private {
		return key{}, errors.New("is a private key: give the public one")
	}
	if use, ok := from.KeyUsage(); ok && use != "" && use != string(jwk.ForSignature) {
		return key{}, fmt.Errorf("is not for signatures, its use is %.20q", use)
	}
	if ops, ok := from.KeyOps(); ok && !slices.Contains(ops, jwk.KeyOpVerify) {
		return key{}, errors.New("is not for checking signatures, says its key_ops")
	}
	if err := from.Validate(); err != nil {
		return key{}, errors.New("is not whole")
	}
	value, err := valueOf(from)
	if err != nil {
		return key{}, err
	}
	id, _ := from.KeyID()
	k, err := newKey(id, value)
	if err != nil {
		return key{}, err
	}
	if algorithm, ok := from.Algorithm(); ok && algorithm.String() != k.algorithm.String() {
		return key{}, fmt.Errorf("is for %.20q, and such a key is taken for %s only", algorithm, k.algorithm)
	}
	return k, nil
}

// valueOf returns the value for newKey. The standard library has checked it.
func valueOf(from jwk.Key) (any, error) {
	var value any
	if err := jwk.Export(from, &value); err != nil {
		return nil, errors.New("cannot be read")
	}
	if curve, ok := value.(*ecdsa.PublicKey); ok {
		if _, err := curve.ECDH(); err != nil {
			return nil, errors.New("is no point of its curve")
		}
	}
	return value, nil
}
