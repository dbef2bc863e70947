package containers

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestStderrIsBounded(t *testing.T) {
	var log bytes.Buffer
	s := NewStderr(zerolog.New(&log))
	for range 1000 {
		_, _ = s.Write(bytes.Repeat([]byte("x"), 10_000))
	}
	_, _ = s.Write([]byte("the\nend\x1b[31m\n"))
	if log.Len() > 2*stderrLog {
		t.Errorf("logged %d bytes", log.Len())
	}
	err := s.End(io.EOF)
	if !errors.Is(err, io.EOF) || !strings.HasSuffix(err.Error(), "the | end | [31m") || len(err.Error()) > 2*stderrTail {
		t.Errorf("got %d bytes: %v", len(err.Error()), err)
	}
}

func TestStderrWithoutWords(t *testing.T) {
	if err := NewStderr(zerolog.Nop()).End(io.EOF); err != io.EOF {
		t.Errorf("got %v", err)
	}
}
