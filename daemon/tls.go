package daemon

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// TLS are the settings of TLS. With a certificate, the daemon serves https and wss only.
type TLS struct {
	TLSCert string `name:"tls-cert" env:"JSD_TLS_CERT" placeholder:"FILE" help:"Serve by TLS (https, wss) with this certificate, as PEM, with those in between behind it. SIGHUP reads it again."`
	TLSKey  string `name:"tls-key" env:"JSD_TLS_KEY" placeholder:"FILE" help:"The certificate's private key, as PEM."`
}

func (f *TLS) check() error {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key have to come together")
	}
	return nil
}

// A certificate is the daemon's certificate, which load may replace while the daemon runs.
type certificate struct {
	files   TLS
	current atomic.Pointer[tls.Certificate]
}

// openCertificate loads the certificate. It returns nil without a certificate file.
func openCertificate(files TLS, log zerolog.Logger) (*certificate, error) {
	if files.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{files: files}
	return c, c.load(log)
}

// load reads the files. On an error the certificate stays as it was.
func (c *certificate) load(log zerolog.Logger) error {
	pair, err := tls.LoadX509KeyPair(c.files.TLSCert, c.files.TLSKey)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			return fmt.Errorf("--tls-cert, --tls-key: %s: %w", path.Path, path.Err)
		}
		return fmt.Errorf("--tls-cert %s, --tls-key %s: %s", c.files.TLSCert, c.files.TLSKey, strings.TrimPrefix(err.Error(), "tls: "))
	}
	c.current.Store(&pair)
	if info, err := os.Stat(c.files.TLSKey); err == nil && info.Mode().Perm()&0o004 != 0 {
		log.Warn().Str("file", c.files.TLSKey).Msg("everybody on this machine can read this private key: chmod o-r")
	}
	if end := pair.Leaf.NotAfter; time.Now().After(end) {
		log.Warn().Str("file", c.files.TLSCert).Time("end", end).Msg("the certificate has expired: clients will not take it")
	}
	return nil
}

// listener returns a listener that adds TLS to inner. It offers HTTP/1.1 only, which WebSockets need.
func (c *certificate) listener(inner net.Listener) net.Listener {
	return tls.NewListener(inner, &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	})
}

// serverLog returns a log for the HTTP server's messages about connections that fail. They are at debug level, because any
// peer can cause them. Only a panic is an error.
func serverLog(to zerolog.Logger) *log.Logger { return log.New(serverWriter{to}, "", 0) }

type serverWriter struct{ log zerolog.Logger }

func (w serverWriter) Write(line []byte) (int, error) {
	level := zerolog.DebugLevel
	if bytes.HasPrefix(line, []byte("http: panic")) {
		level = zerolog.ErrorLevel
	}
	w.log.WithLevel(level).Msg(strings.TrimSpace(string(line)))
	return len(line), nil
}
