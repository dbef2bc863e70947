package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

const (
	maxToken = 8 << 10          // bytes
	leeway   = 30 * time.Second // by which clocks may differ
)

// tokens checks tokens.
type tokens struct {
	given  keySet                 // of Config.Key
	file   string                 // empty: there is none
	read   atomic.Pointer[keySet] // of the file
	remote *remote                // nil: there is none

	claim                        string
	issuers, audiences, accepted []string
	log                          zerolog.Logger
	now                          func() time.Time
}

func newTokens(ctx context.Context, cfg *Config) (*tokens, error) {
	t := &tokens{
		file: cfg.KeyFile, claim: cfg.Claim, issuers: cfg.Issuers, audiences: cfg.Audiences,
		accepted: cfg.Algorithms, log: cfg.Log, now: time.Now,
	}
	if t.claim == "" {
		t.claim = DefaultClaim
	}
	if len(t.accepted) == 0 {
		t.accepted = Algorithms()
	}
	for _, name := range t.accepted {
		if !slices.Contains(Algorithms(), name) {
			return nil, fmt.Errorf("the algorithm %.20q is none of %s", name, strings.Join(Algorithms(), ", "))
		}
	}
	if cfg.Key != "" {
		given, err := givenKeys(cfg.Key)
		if err == nil {
			err = t.usable(given)
		}
		if err != nil {
			return nil, fmt.Errorf("the key %w", err)
		}
		t.given = given
	}
	if err := t.readFile(); err != nil {
		return nil, err
	}
	if cfg.KeysURL != "" {
		remote, err := newRemote(cfg.KeysURL, cfg.Log)
		if err != nil {
			return nil, err
		}
		t.remote = remote
		remote.open(ctx)
	}
	return t, nil
}

// givenKeys returns the keys of Config.Key. A text that is neither PEM nor JSON is a secret, unless noSecret refuses
// it.
func givenKeys(text string) (keySet, error) {
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "{") || strings.Contains(trimmed, "-----BEGIN") {
		return parseKeys([]byte(strings.ReplaceAll(trimmed, `\n`, "\n"))) // environment variables often have \n for a new line
	}
	if err := noSecret(trimmed); err != nil {
		return nil, err
	}
	k, err := newKey("", []byte(text))
	if err != nil {
		return nil, fmt.Errorf("is too short: %w", err)
	}
	return keySet{k}, nil
}

// noSecret refuses texts that are not secret, or that seem to be given by mistake: anybody who knows the secret of
// HS256 can make any token.
func noSecret(text string) error {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err == nil && isPublic(der) {
		return errors.New("is a public key or certificate without the lines around it, -----BEGIN PUBLIC KEY----- and so on")
	}
	for _, begin := range []string{"https://", "http://"} {
		if strings.HasPrefix(text, begin) {
			return errors.New("is an address: give the URL of keys as --jwks-url")
		}
	}
	if _, err := os.Stat(text); err == nil {
		return errors.New("is the name of a file: give that as --jwt-key-file")
	}
	return nil
}

// usable returns an error if no token can be checked with a set.
func (t *tokens) usable(set keySet) error {
	for _, k := range set {
		if slices.Contains(t.accepted, k.algorithm.String()) {
			return nil
		}
	}
	return fmt.Errorf("has no key for the algorithms allowed, %s", strings.Join(t.accepted, ", "))
}

// readFile replaces the keys of the file by its content. On an error they stay as they were.
func (t *tokens) readFile() error {
	if t.file == "" {
		return nil
	}
	content, open, err := readFile(t.file)
	if err != nil {
		return inFile("key file", t.file, err)
	}
	set, err := parseKeys(content)
	if err == nil {
		err = t.usable(set)
	}
	if err != nil {
		return inFile("key file", t.file, err)
	}
	if open && set.symmetric() {
		warnOpen(t.log, t.file)
	}
	t.read.Store(&set)
	return nil
}

func (t *tokens) reload() error {
	if t.remote != nil {
		t.remote.poke()
	}
	return t.readFile()
}

// check returns whose token this is.
func (t *tokens) check(ctx context.Context, token string) (Identity, error) {
	payload, err := t.verify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	claims := jwt.New()
	if err := json.Unmarshal(payload, claims); err != nil {
		return Identity{}, refused("the token is malformed")
	}
	return t.identity(claims)
}

// verify returns the payload of a token whose signature is that of a known key. It may fetch new keys for that.
func (t *tokens) verify(ctx context.Context, token string) ([]byte, error) {
	if len(token) > maxToken {
		return nil, refused(fmt.Sprintf("the token is longer than %d bytes", maxToken))
	}
	algorithm, id, err := t.header(token)
	if err != nil {
		return nil, err
	}
	keys := t.find(algorithm, id)
	payload, ok := verifyWith(keys, token)
	if !ok && t.mayCome(algorithm, id) && t.remote.ask(ctx) {
		keys = t.find(algorithm, id)
		payload, ok = verifyWith(keys, token)
	}
	switch {
	case ok:
		return payload, nil
	case len(keys) > 0:
		return nil, refused("the signature of the token does not hold")
	case t.remote != nil && t.remote.set() == nil:
		return nil, &Refusal{Reason: "the keys that tokens are checked with are not there yet", Later: true}
	default:
		return nil, refused("the token is signed with a key that is not known")
	}
}

// mayCome reports whether the URL may have published this key since the last fetch.
func (t *tokens) mayCome(algorithm jwa.SignatureAlgorithm, id string) bool {
	return t.remote != nil && algorithm != jwa.HS256() && !t.remote.knows(algorithm, id)
}

// header returns what a token says about its signature. The daemon does not trust it: it only selects among the
// allowed algorithms and the known keys.
func (t *tokens) header(token string) (algorithm jwa.SignatureAlgorithm, id string, err error) {
	malformed := refused("the token is malformed")
	if strings.Count(token, ".") != 2 {
		return algorithm, "", malformed
	}
	message, err := jws.ParseString(token, jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 {
		return algorithm, "", malformed
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if header.Has(jws.CriticalKey) || header.Has("b64") {
		return algorithm, "", refused("the token asks for extensions that are not known here")
	}
	algorithm, ok := header.Algorithm()
	if !ok || !slices.Contains(t.accepted, algorithm.String()) {
		return algorithm, "", refused("the algorithm of the token is not allowed")
	}
	id, _ = header.KeyID()
	return algorithm, id, nil
}

func (t *tokens) find(algorithm jwa.SignatureAlgorithm, id string) []key {
	found := t.given.find(algorithm, id)
	if set := t.read.Load(); set != nil {
		found = append(found, set.find(algorithm, id)...)
	}
	if t.remote != nil {
		if set := t.remote.set(); set != nil {
			found = append(found, set.find(algorithm, id)...)
		}
	}
	return found
}

func verifyWith(keys []key, token string) (payload []byte, ok bool) {
	for _, k := range keys {
		if payload, err := jws.Verify([]byte(token), jws.WithKey(k.algorithm, k.value), jws.WithCompact()); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// identity checks the claims of a token with a valid signature.
func (t *tokens) identity(claims jwt.Token) (Identity, error) {
	expires, ok := claims.Expiration()
	if !ok {
		return Identity{}, refused("the token never expires: it needs the claim exp")
	}
	err := jwt.Validate(claims, jwt.WithClock(jwt.ClockFunc(t.now)), jwt.WithAcceptableSkew(leeway))
	switch {
	case errors.Is(err, jwt.TokenExpiredError()):
		return Identity{}, refused("the token has expired")
	case errors.Is(err, jwt.TokenNotYetValidError()), errors.Is(err, jwt.InvalidIssuedAtError()):
		return Identity{}, refused("the token is not valid yet")
	case err != nil:
		return Identity{}, refused("the token is malformed")
	}
	if issuer, _ := claims.Issuer(); len(t.issuers) > 0 && !slices.Contains(t.issuers, issuer) {
		return Identity{}, refused("the token is of another issuer")
	}
	if !t.isFor(claims) {
		return Identity{}, refused("the token is for another audience")
	}
	var tenant string
	if err := claims.Get(t.claim, &tenant); err != nil || !call.IsName(tenant) {
		return Identity{}, refused(fmt.Sprintf("the claim %.100q of the token has to name a tenant: %s", t.claim, call.NameForm))
	}
	return Identity{Tenant: tenant, Expires: expires.Add(leeway)}, nil
}

// isFor reports whether a token is for this daemon. Without Config.Audiences, a token with an audience is for
// somebody else.
func (t *tokens) isFor(claims jwt.Token) bool {
	audience, _ := claims.Audience()
	if len(t.audiences) == 0 {
		return len(audience) == 0
	}
	return slices.ContainsFunc(audience, func(name string) bool { return slices.Contains(t.audiences, name) })
}
