package rpc

import (
	"context"
	"maps"
	"net/http"
	"slices"
)

// enter counts a connection in, or says why not. Who enters leaves.
func (s *Server) enter(w http.ResponseWriter) bool {
	s.mu.Lock()
	closing, full := s.closing, s.open >= s.cfg.MaxConnections
	if !closing && !full {
		s.open++
	}
	s.mu.Unlock()
	switch {
	case closing:
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
	case full:
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
	}
	return !closing && !full
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.closeIfEmptyLocked()
}

// Connections is how many there are, POSTs among them.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *Server) closeIfEmptyLocked() {
	if s.closing && s.open == 0 && s.working == 0 {
		close(s.empty)
	}
}

// goBackground runs what no connection waits for, but Shutdown does. It is called where a connection
// is open, or from another such function.
func (s *Server) goBackground(work func()) {
	s.mu.Lock()
	s.working++
	s.mu.Unlock()
	go func() {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.working--
			s.closeIfEmptyLocked()
		}()
		work()
	}()
}

// add makes a client known to Shutdown, or tells that it has already begun.
func (s *Server) add(c *client) (closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c] = struct{}{}
	return s.closing
}

func (s *Server) remove(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	s.partLocked(c)
}

func (s *Server) connected() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.clients))
}

// Shutdown takes no more connections or calls, lets the calls in flight end, closes each connection
// with 1001 behind its last reply, and returns when nothing of them is left, nor of detached calls.
// When ctx ends first, the calls end with 1003, and it returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.executions.stop()
	defer s.abandon()
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		s.closeIfEmptyLocked()
	}
	s.mu.Unlock()
	for _, c := range s.connected() {
		c.drain()
	}
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
	}
	for _, c := range s.connected() {
		c.cancelAll()
	}
	s.abandon()
	<-s.empty
	return ctx.Err()
}
