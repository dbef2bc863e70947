package daemon_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/daemon"
	"github.com/jsd-project/jsd/jsdtest"
)

func TestReload(t *testing.T) {
	t.Parallel()
	file := tenantsFile(t, "tenants: {acme: {maxTimeout: 5s}}")
	d, log := jsdtest.StartQuiet(t, "--tenants", file, "--timeout", "3s")
	c := d.Dial(t, "json-rpc")
	may := func(when string, timeout int, want string) {
		t.Helper()
		if got := c.Execute(script{"code": "1", "tenant": "acme", "timeout": timeout}).String(); got != want {
			t.Errorf("%s: %d ms: %s, want %s", when, timeout, got, want)
		}
	}
	const no = "1007 Forbidden"
	may("at first", 5000, "1")
	may("at first", 5001, no)

	write(t, file, "tenants:\n  acme: {maxTimeout: 9s}\n")
	d.Reload()
	if line := log.Says(t, "read the tenants file again"); !strings.Contains(line, `"level":"info"`) || !strings.Contains(line, `"tenants":1`) {
		t.Errorf("it says %s", line)
	}
	may("after a good file", 9000, "1")
	may("after a good file", 9001, no)

	for content, why := range map[string]string{
		"tenants:\n  acme: {maxTimeout: 1}\n": ":2:10: tenant acme: maxTimeout has to be a time",
		"tenants:\n  acme: {image: other}\n":  ":2:3: tenant acme: image other needs the docker driver",
		"":                                    ": is empty",
	} {
		write(t, file, content)
		d.Reload()
		if line := log.Says(t, "the tenants file is not taken"); !strings.Contains(line, `"level":"error"`) || !strings.Contains(line, file+why) {
			t.Errorf("it says %s", line)
		}
		may("after a bad file", 9000, "1")
		may("after a bad file", 9001, no)
	}

	write(t, file, "defaults: {maxTimeout: 7s}")
	d.Reload()
	log.Says(t, "read the tenants file again")
	may("without an entry", 7000, "1")
	may("without an entry", 7001, no)
}

// Plain processes are of no image that could be new: reading the file starts none.
func TestReloadTriesNoProcesses(t *testing.T) {
	t.Parallel()
	file := tenantsFile(t, "tenants: {}")
	d, log := jsdtest.StartQuiet(t, "--tenants", file)
	write(t, file, "tenants: {acme: {heap: 32}, other: {heap: 33}}")
	d.Reload()
	log.Says(t, "read the tenants file again")
	if started := log.With("container ready"); len(started) > 0 {
		t.Errorf("a container was started: %s", started)
	}
}

// The engine is asked about each kind of container, not for each tenant.
func TestReloadAsksOnceForAKind(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	change := func(d *jsdtest.Daemon) {
		d.ReplaceEngine(func(e daemon.Engine) daemon.Engine {
			check := e.Check
			e.Check = func(ctx context.Context, s docker.Spec) (string, error) {
				asked.Add(1)
				return check(ctx, s)
			}
			return e
		})
	}
	log := &journal{}
	d := jsdtest.StartChanged(t, zerolog.New(log), change, "process", "--spare", "0", "--min-containers", "0",
		"--tenants", tenantsFile(t, "tenants: {one: {}, two: {weight: 2}, three: {}, large: {memory: 512}}"))
	for range 2 {
		asked.Store(0)
		d.Reload()
		if log.Says(t, "read the tenants file again"); asked.Load() != 2 {
			t.Errorf("asked %d times, want once for each of 2 kinds", asked.Load())
		}
	}
}

func TestReloadWithoutAFile(t *testing.T) {
	t.Parallel()
	d, log := jsdtest.StartQuiet(t)
	d.Reload()
	log.Says(t, "there is no --tenants file")
	if got := d.Dial(t, "json-rpc").Execute(script{"code": "6 * 7"}).String(); got != "42" {
		t.Errorf("got %s", got)
	}
}
