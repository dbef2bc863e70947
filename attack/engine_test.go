package attack

import (
	"os/exec"
	"testing"

	"github.com/jsd-project/jsd/jsdtest"
)

var eventually = jsdtest.Eventually

// needEngine starts an engine that has the runtime image, one with a breached worker, and gVisor.
func needEngine(t *testing.T) *jsdtest.Engine {
	t.Helper()
	if _, err := exec.LookPath(gVisor); err != nil {
		jsdtest.Missing(t, err)
	}
	e := jsdtest.NeedEngine(t)
	breach(t, e)
	return e
}
