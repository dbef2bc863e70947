package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

// Config is read once, by Open. Without any secret and any keys everybody is trusted.
type Config struct {
	Secret     string // of trusted backends; empty: none
	SecretFile string // that holds it instead, read again by Reload

	Key     string // what tokens are signed with: a secret for HS256, public keys as PEM, or JWKs
	KeyFile string // public keys as PEM, or JWKs; read again by Reload
	KeysURL string // of a JWK set: https, or http on this machine

	Claim      string   // names the tenant; default DefaultClaim
	Issuers    []string // tokens are of one of them; none: of anybody that has a key
	Audiences  []string // tokens are for one of them; none: for nobody in particular
	Algorithms []string // that tokens may have, of Algorithms; default all that the keys are for

	Log zerolog.Logger
}

// DefaultClaim is where a token names its tenant.
const DefaultClaim = "tenant"

// An Identity is who a request comes from.
type Identity struct {
	Tenant  string    // whose it is; empty: it may name any
	Expires time.Time // when the token ends; zero: never
}

// A Refusal says why somebody is not let in, in words for them.
type Refusal struct {
	Reason string
	Later  bool // it is not their fault: there are no keys yet
}

func (r *Refusal) Error() string { return r.Reason }

func refused(reason string) error { return &Refusal{Reason: reason} }

// Credentials are what the daemon lets in. Methods may be called from any goroutine.
type Credentials struct {
	secret *secret // nil: there is none
	tokens *tokens // nil: none are taken
	log    zerolog.Logger
}

// Open reads the files and asks the URL for the first time, for a few seconds at most: tokens are refused as
// long as it does not answer. Who opens closes.
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

// Close ends the asking for keys, and waits for it.
func (c *Credentials) Close() {
	if c.tokens != nil && c.tokens.remote != nil {
		c.tokens.remote.close()
	}
}

// Reload reads the files again and has the URL asked again. What is wrong stays as it was.
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

// Of says who a request comes from. An error is a *Refusal. It may wait, for seconds at most, for keys that
// nobody knew before.
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
		return c.tokens.judge(r.Context(), *sent)
	case trusted:
		return Identity{}, nil
	default:
		return Identity{}, refused(c.wants())
	}
}

// SecretHeader is where a trusted backend sends the secret.
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

// Challenge is what WWW-Authenticate says to those who are refused.
func (c *Credentials) Challenge() string {
	if c.tokens == nil {
		return SecretHeader
	}
	return `Bearer realm="jsd"`
}

// inFile is an error about a file.
func inFile(what, file string, err error) error { return fmt.Errorf("%s %s: %w", what, file, err) }
