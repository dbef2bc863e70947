package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

// Config is read once, by Open. Without a secret and without keys, everybody is trusted.
type Config struct {
	Secret     string // of trusted backends; empty: none
	SecretFile string // a file with the secret, instead; Reload reads it again

	Key     string // checks the signatures of tokens: a secret for HS256, public keys as PEM, or JWKs
	KeyFile string // a file with public keys as PEM, or JWKs; Reload reads it again
	KeysURL string // of a JWK set: https, or http on this machine

	Claim      string   // that names the tenant; default DefaultClaim
	Issuers    []string // of which a token must have one; empty: any
	Audiences  []string // of which a token must have one; empty: a token must have none
	Algorithms []string // that a token may be signed with, from Algorithms(); default all that the keys are for

	Log zerolog.Logger
}

// DefaultClaim is the claim of a token that names its tenant.
const DefaultClaim = "tenant"

// An Identity is who a request comes from.
type Identity struct {
	Tenant  string    // of the sender; empty: the request may name any tenant
	Expires time.Time // end of the token; zero: never
}

// A Refusal says why a request is refused.
type Refusal struct {
	Reason string // for the sender
	Later  bool   // it may be accepted later: the keys have not been fetched yet
}

func (r *Refusal) Error() string { return r.Reason }

func refused(reason string) error { return &Refusal{Reason: reason} }

// Credentials check requests. Their methods may be called from any goroutine.
type Credentials struct {
	secret *secret // nil: there is no secret
	tokens *tokens // nil: no token is accepted
	log    zerolog.Logger
}

// Open reads the files and fetches the keys from the URL for the first time, which takes a few seconds at most. If that
// fails, tokens are refused until a later fetch succeeds. The caller calls Close.
func Open(ctx context.Context, cfg Config) (_ *Credentials, err error) {
	c := &Credentials{log: cfg.Log}
	if c.secret, err = newSecret(&cfg); err != nil {
		return nil, err
	}
	if cfg.Key != "" || cfg.KeyFile != "" || cfg.KeysURL != "" {
		if c.tokens, err = newTokens(ctx, &cfg); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Close stops the fetching of keys, and waits until it has stopped.
func (c *Credentials) Close() {
	if c.tokens != nil && c.tokens.remote != nil {
		c.tokens.remote.close()
	}
}

// Reload reads the files again, and starts a fetch from the URL. A secret or a set of keys that has an error stays as
// it was.
func (c *Credentials) Reload() error {
	var errs []error
	if c.secret != nil && c.secret.file != "" {
		errs = append(errs, c.secret.read(c.log))
	}
	if c.tokens != nil {
		errs = append(errs, c.tokens.reload())
	}
	return errors.Join(errs...)
}

// Of returns who sent a request. An error is a *Refusal. Of may wait, for a few seconds at most, for a key that is not
// known yet.
func (c *Credentials) Of(r *http.Request) (Identity, error) {
	if c.secret == nil && c.tokens == nil {
		return Identity{}, nil
	}
	trusted := false
	if sent := r.Header.Values(SecretHeader); c.secret != nil && len(sent) > 0 {
		if len(sent) > 1 || !c.secret.is(sent[0]) {
			return Identity{}, refused(wantsSecret)
		}
		trusted = true
	}
	sent, err := tokenOf(r)
	switch {
	case c.tokens == nil && (err != nil || sent != nil):
		return Identity{}, refused("this daemon takes no tokens: it was started without a key for them")
	case err != nil:
		return Identity{}, err
	case sent != nil:
		return c.tokens.check(r.Context(), *sent)
	case trusted:
		return Identity{}, nil
	default:
		return Identity{}, refused(c.wants())
	}
}

// SecretHeader is the header in which a trusted backend sends the secret.
const SecretHeader = "x-runtime-secret"

const (
	wantsSecret = "the header " + SecretHeader + " must hold the secret of this daemon"
	wantsToken  = "a token is missing: send it as Authorization: Bearer TOKEN, or from a browser as the subprotocol bearer.TOKEN beside jsd"
)

func (c *Credentials) wants() string {
	switch {
	case c.tokens == nil:
		return wantsSecret
	case c.secret == nil:
		return wantsToken
	default:
		return wantsToken + "; or the header " + SecretHeader
	}
}

// Challenge returns the value of the header WWW-Authenticate for a refused request.
func (c *Credentials) Challenge() string {
	if c.tokens == nil {
		return SecretHeader
	}
	return `Bearer realm="jsd"`
}

// inFile returns an error with the name of the file that it is about. what is the kind of file.
func inFile(what, file string, err error) error { return fmt.Errorf("%s %s: %w", what, file, err) }
