package attack

import (
	"os"
	"testing"
)

// end checks that nothing is left of all that was tried.
func (s *siege) end(t *testing.T) {
	t.Helper()
	if n := s.outside.reached.Load(); n > 0 {
		t.Errorf("%d connections reached a server that no policy allows", n)
	}
	t.Logf("at rest: %+v, now %+v", s.rest, s.daemon.figures(t))
	if status := s.daemon.terminate(t); status != 0 {
		t.Errorf("jsd ends with status %d", status)
	}
	_ = os.Getpid
}
