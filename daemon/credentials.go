package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/credentials"
	"github.com/jsd-project/jsd/rpc"
)

// Credentials are the settings that say who may run scripts, and as which tenant.
type Credentials struct {
	Secret     string `env:"JSD_SECRET,SECRET" placeholder:"SECRET" help:"What trusted backends send in the header x-runtime-secret; they may name any tenant. Better given by the environment."`
	SecretFile string `env:"JSD_SECRET_FILE" placeholder:"FILE" help:"File that holds that secret. SIGHUP reads it again."`

	JWTKey        string   `name:"jwt-key" env:"JSD_JWT_KEY" placeholder:"KEY" help:"What tokens are signed with, each of which says whose its calls are: a secret of at least 32 bytes for HS256, or public keys as PEM or JWK. Better given by the environment."`
	JWTKeyFile    string   `name:"jwt-key-file" env:"JSD_JWT_KEY_FILE" placeholder:"FILE" help:"Public keys of tokens as PEM, or a JWK or JWK set. SIGHUP reads it again."`
	JWKSURL       string   `name:"jwks-url" env:"JSD_JWKS_URL" placeholder:"URL" help:"Where the keys of tokens are published as a JWK set: asked every 5 minutes and for keys that are new; the last good ones hold while it is away."`
	JWTClaim      string   `name:"jwt-claim" default:"tenant" env:"JSD_JWT_CLAIM" placeholder:"NAME" help:"Claim that names the tenant (${default})."`
	JWTIssuer     []string `name:"jwt-issuer" env:"JSD_JWT_ISSUER" placeholder:"NAME" help:"Issuer (iss) that tokens have to be of. May be repeated."`
	JWTAudience   []string `name:"jwt-audience" env:"JSD_JWT_AUDIENCE" placeholder:"NAME" help:"Audience (aud) that tokens have to be for. May be repeated. Without it tokens may not have one."`
	JWTAlgorithms []string `name:"jwt-algorithms" env:"JSD_JWT_ALGORITHMS" placeholder:"NAME" help:"Of HS256, RS256, ES256, EdDSA those that are allowed. Default: what the keys are for."`
}

// HasCredential reports whether there is a credential. Without one, everybody is trusted.
func (f *Credentials) HasCredential() bool { return f.Secret != "" || f.SecretFile != "" || f.tokens() }

func (f *Credentials) tokens() bool {
	return f.JWTKey != "" || f.JWTKeyFile != "" || f.JWKSURL != ""
}

func (f *Credentials) check() error {
	if f.Secret != "" && f.SecretFile != "" {
		return errors.New("there is a secret (--secret, SECRET) and a --secret-file: only one of them may be set")
	}
	for name, given := range map[string]bool{
		"--jwt-issuer": f.JWTIssuer != nil, "--jwt-audience": f.JWTAudience != nil, "--jwt-algorithms": f.JWTAlgorithms != nil,
		"--jwt-claim": f.JWTClaim != "" && f.JWTClaim != credentials.DefaultClaim,
	} {
		if given && !f.tokens() {
			return fmt.Errorf("%s needs a key of tokens: --jwt-key, --jwt-key-file or --jwks-url", name)
		}
	}
	return nil
}

func (f *Credentials) open(ctx context.Context, log zerolog.Logger) (*credentials.Credentials, error) {
	c, err := credentials.Open(ctx, credentials.Config{
		Secret: f.Secret, SecretFile: f.SecretFile,
		Key: f.JWTKey, KeyFile: f.JWTKeyFile, KeysURL: f.JWKSURL,
		Claim: f.JWTClaim, Issuers: f.JWTIssuer, Audiences: f.JWTAudience, Algorithms: f.JWTAlgorithms,
		Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	return c, nil
}

// authenticate returns who sent a request, as package rpc expects it. An error is an *rpc.Denial if the request is refused.
func (d *Daemon) authenticate(r *http.Request) (rpc.Identity, error) {
	who, err := d.credentials.Of(r)
	var refusal *credentials.Refusal
	switch {
	case err == nil:
		return rpc.Identity(who), nil
	case !errors.As(err, &refusal):
		return rpc.Identity{}, err
	case refusal.Later:
		return rpc.Identity{}, &rpc.Denial{Status: http.StatusServiceUnavailable, Reason: refusal.Reason}
	default:
		return rpc.Identity{}, &rpc.Denial{Status: http.StatusUnauthorized, Reason: refusal.Reason, Challenge: d.credentials.Challenge()}
	}
}

// reloadCredentials reads the files of credentials and of the certificate again. Open connections are not affected.
func (d *Daemon) reloadCredentials() {
	if err := d.credentials.Reload(); err != nil {
		d.log.Error().Err(err).Msg("a credential is not taken: it stays as it was")
	} else if d.settings.SecretFile != "" || d.settings.JWTKeyFile != "" {
		d.log.Info().Msg("read the credentials again")
	}
	if d.certificate == nil {
		return
	}
	if err := d.certificate.load(d.log); err != nil {
		d.log.Error().Err(err).Msg("the certificate is not taken: it stays as it was")
		return
	}
	d.log.Info().Msg("read the certificate again")
}
