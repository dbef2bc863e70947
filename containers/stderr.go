package containers

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

const (
	stderrTail = 2 << 10  // bytes kept for the error at an agent's end
	stderrLine = 1 << 10  // bytes of one log line
	stderrLog  = 64 << 10 // bytes logged of one container in all
)

// Stderr takes the standard error of an agent. It logs the beginning at debug level, a line for each write, and keeps the
// end. A driver makes one for each process. Any goroutine may write to it.
type Stderr struct {
	log zerolog.Logger

	mu     sync.Mutex // guards what follows
	tail   []byte
	logged int
}

// NewStderr returns a Stderr that logs to log.
func NewStderr(log zerolog.Logger) *Stderr { return &Stderr{log: log} }

// Write takes all of p and never fails.
func (s *Stderr) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.tail = append(s.tail, p[max(0, len(p)-stderrTail):]...)
	s.tail = s.tail[max(0, len(s.tail)-stderrTail):]
	loggable := s.logged < stderrLog
	s.logged += min(len(p), stderrLine)
	s.mu.Unlock()

	if line := bytes.TrimSpace(p[:min(len(p), stderrLine)]); loggable && len(line) > 0 {
		s.log.Debug().Bytes("stderr", line).Msg("agent speaks")
	}
	return len(p), nil
}

// End adds the last text on standard error to err, if there is any.
func (s *Stderr) End(err error) error {
	s.mu.Lock()
	words := strings.TrimSpace(string(s.tail))
	s.mu.Unlock()
	if words == "" {
		return err
	}
	return fmt.Errorf("%w; its last words: %s", err, oneLine(words))
}

// oneLine returns text of an agent as one line, so that no part of it can look like another line of the log.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return r < ' ' || r == 0x7f
	}), " | ")
}

var _ io.Writer = (*Stderr)(nil)
