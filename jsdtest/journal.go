package jsdtest

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Journal is the lines of a log, each of which comes by one Write.
type Journal struct {
	mu    sync.Mutex // guards all below
	lines []string
	heard int // of them, that Says is through with
}

func (j *Journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(line))
	return len(line), nil
}

// With gives those that have all the texts.
func (j *Journal) With(texts ...string) (found []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			found = append(found, line)
		}
	}
	return found
}

// Says waits for the next line with a text in it, behind the one that it gave before.
func (j *Journal) Says(t testing.TB, text string) (line string) {
	t.Helper()
	Eventually(t, "it says "+text, func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		for j.heard < len(j.lines) {
			line = j.lines[j.heard]
			j.heard++
			if strings.Contains(line, text) {
				return true
			}
		}
		return false
	})
	return line
}

func (j *Journal) String() string { return strings.Join(j.With(), "") }
