package attack

import (
	"os/exec"
	"strings"
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

// docker gives the words that a command of the engine's prints.
func docker(t *testing.T, e *jsdtest.Engine, arguments ...string) []string {
	t.Helper()
	out, err := e.Command(arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %v: %v: %s", arguments, err, out)
	}
	return strings.Fields(string(out))
}
