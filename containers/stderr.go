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
	stderrTail = 2 << 10  // bytes kept for the error that tells of an agent's end
	stderrLine = 1 << 10  // bytes of one log line
	stderrLog  = 64 << 10 // bytes logged of one container, whatever it says
)

// Stderr takes what an agent says on its standard error: it logs the beginning, a line per write at
// debug level, and keeps the end. Drivers make one per process and may write to it from any goroutine.
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

// End adds the agent's last words, if any, to err.
func (s *Stderr) End(err error) error {
	s.mu.Lock()
	words := strings.TrimSpace(string(s.tail))
	s.mu.Unlock()
	if words == "" {
		return err
	}
	return fmt.Errorf("%w; its last words: %s", err, oneLine(words))
}

// oneLine makes text of an agent fit for one line of a log: nothing in it can look like another line.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(r rune) bool {
		return r < ' ' || r == 0x7f
	}), " | ")
}

var _ io.Writer = (*Stderr)(nil)
