package credentials

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/rs/zerolog"
)

const (
	maxFile   = 1 << 20 // bytes of a file with a secret or with keys
	maxSecret = 4096    // bytes, so that it fits into a header
)

// A secret is kept as its hash.
type secret struct {
	file string // empty: the secret comes from Config.Secret
	hash atomic.Pointer[[sha256.Size]byte]
}

// newSecret returns nil if there is no secret.
func newSecret(cfg *Config) (*secret, error) {
	switch {
	case cfg.Secret != "" && cfg.SecretFile != "":
		return nil, errors.New("there is a secret and a file of one: only one of them may be set")
	case cfg.SecretFile != "":
		s := &secret{file: cfg.SecretFile}
		return s, s.read(cfg.Log)
	case cfg.Secret != "":
		s := &secret{}
		if err := s.set(cfg.Secret); err != nil {
			return nil, fmt.Errorf("the secret %w", err)
		}
		return s, nil
	default:
		return nil, nil
	}
}

// read sets the secret to the content of the file. On an error the secret stays as it was.
func (s *secret) read(log zerolog.Logger) error {
	content, open, err := readFile(s.file)
	if err != nil {
		return inFile("secret file", s.file, err)
	}
	if err := s.set(strings.TrimRight(string(content), "\r\n")); err != nil {
		return inFile("secret file", s.file, err)
	}
	if open {
		warnOpen(log, s.file)
	}
	return nil
}

// set sets the secret. It refuses a value that a header cannot carry unchanged. The text of the error begins with a
// verb.
func (s *secret) set(value string) error {
	switch {
	case strings.TrimSpace(value) == "":
		return errors.New("is empty")
	case len(value) > maxSecret:
		return fmt.Errorf("is longer than %d bytes", maxSecret)
	case strings.Trim(value, " \t") != value:
		return errors.New("begins or ends with a space, which no header keeps")
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return errors.New("has a control character or several lines, which no header can carry")
	}
	hash := sha256.Sum256([]byte(value))
	s.hash.Store(&hash)
	return nil
}

// is reports whether sent is the secret. It takes the same time for each wrong value.
func (s *secret) is(sent string) bool {
	hash := sha256.Sum256([]byte(sent))
	return subtle.ConstantTimeCompare(hash[:], s.hash.Load()[:]) == 1
}

// readFile returns the content of a file, and whether every user of this machine may read it. The error has no path.
func readFile(name string) (content []byte, open bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, false, pathless(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, false, pathless(err)
	case info.IsDir():
		return nil, false, errors.New("is a directory")
	}
	content, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, false, pathless(err)
	case len(content) > maxFile:
		return nil, false, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return content, info.Mode().Perm()&0o004 != 0, nil
}

func pathless(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func warnOpen(log zerolog.Logger, file string) {
	log.Warn().Str("file", file).Msg("everybody on this machine can read this file, which holds a secret: chmod o-r")
}
