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
	leeway   = 30 * time.Second // that clocks may differ by
)

// tokens judges tokens by the keys there are.
type tokens struct {
	given  keySet // by Config.Key
	file   string // empty: none
	read   atomic.Pointer[keySet]
	remote *remote // nil: none

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

// givenKeys takes for a secret what is neither PEM nor JSON, nor seems to be meant so.
func givenKeys(text string) (keySet, error) {
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "{") || strings.Contains(trimmed, "-----BEGIN") {
		return parseKeys([]byte(strings.ReplaceAll(trimmed, `\n`, "\n"))) // as environments often have it
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

// noSecret refuses what others know and what was meant to be something else: whoever knows the secret of HS256 can
// make any token.
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

// usable says what is wrong with a set that no token could be checked with.
func (t *tokens) usable(set keySet) error {
	for _, k := range set {
		if slices.Contains(t.accepted, k.algorithm.String()) {
			return nil
		}
	}
	return fmt.Errorf("has no key for the algorithms allowed, %s", strings.Join(t.accepted, ", "))
}

// readFile takes the keys that the file holds now. With an error they stay as they were.
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

// judge says whose token this is.
func (t *tokens) judge(ctx context.Context, token string) (Identity, error) {
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

// verify gives what the token says, once somebody is found who may have signed it.
func (t *tokens) verify(ctx context.Context, token string) ([]byte, error) {
	if len(token) > maxToken {
		return nil, refused(fmt.Sprintf("the token is longer than %d bytes", maxToken))
	}
	algorithm, id, err := t.header(token)
	if err != nil {
		return nil, err
	}
	keys := t.find(algorithm, id)
	payload, ok := check(token, keys)
	if !ok && t.mayCome(algorithm, id) && t.remote.ask(ctx) {
		keys = t.find(algorithm, id)
		payload, ok = check(token, keys)
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

// mayCome tells whether the URL might publish such a key by now.
func (t *tokens) mayCome(algorithm jwa.SignatureAlgorithm, id string) bool {
	return t.remote != nil && algorithm != jwa.HS256() && !t.remote.knows(algorithm, id)
}

// header is what a token says of its signature. Nothing it says is believed: it only chooses among what is allowed.
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

func check(token string, keys []key) (payload []byte, ok bool) {
	for _, k := range keys {
		if payload, err := jws.Verify([]byte(token), jws.WithKey(k.algorithm, k.value), jws.WithCompact()); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// identity judges the claims of a token that is genuine.
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

// isFor says no to a token that is for somebody, where nobody said that it is this daemon.
func (t *tokens) isFor(claims jwt.Token) bool {
	audience, _ := claims.Audience()
	if len(t.audiences) == 0 {
		return len(audience) == 0
	}
	return slices.ContainsFunc(audience, func(name string) bool { return slices.Contains(t.audiences, name) })
}
