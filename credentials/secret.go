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

// Files of a secret or of keys are no larger than this.
const maxFile = 1 << 20 // bytes

// maxSecret is more than anybody needs, and fits into a header.
const maxSecret = 4096 // bytes

// A secret is known by its hash alone.
type secret struct {
	file string // empty: it was given
	hash atomic.Pointer[[sha256.Size]byte]
}

// newSecret gives nil where there is none.
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

// read takes what the file holds now. With an error the secret stays as it was.
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

// set refuses what no header can carry, or not as it stands. The error begins with a verb.
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

// is takes the same time for any wrong secret.
func (s *secret) is(sent string) bool {
	hash := sha256.Sum256([]byte(sent))
	return subtle.ConstantTimeCompare(hash[:], s.hash.Load()[:]) == 1
}

// readFile gives the content of a file, and whether everybody on this machine may read it. The error has no path.
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
