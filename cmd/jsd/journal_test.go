package main

import (
	"slices"
	"strings"
	"sync"
)

// A journal is the lines of a log, each of which comes by one Write.
type journal struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(line))
	return len(line), nil
}

// with gives those that have all the texts.
func (j *journal) with(texts ...string) (found []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			found = append(found, line)
		}
	}
	return found
}

func (j *journal) String() string { return strings.Join(j.with(), "") }
