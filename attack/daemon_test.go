package attack

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/jsd-project/jsd/jsdtest"
)

// credential is the daemon's secret, which nobody may find in its log or in a container.
const credential = "the-credential-of-the-daemon"

// A daemon is the real jsd, as a process of its own.
type daemon struct {
	*jsdtest.Process
	dir string // where it works, and its home, and for temporary files: empty at the end
}

// serve starts jsd on the engine and returns when a script could run.
func serve(t *testing.T, e *jsdtest.Engine, arguments ...string) *daemon {
	t.Helper()
	dir := t.TempDir()
	jsd := jsdtest.Command(t, append([]string{"serve", "--driver", "docker", "--log-level", "debug", "--listen", "127.0.0.1:0",
		"--admin-listen", "127.0.0.1:0"}, arguments...)...)
	jsd.Dir = dir
	jsd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "DOCKER_HOST=" + e.Host, "SECRET=" + credential}
	d := &daemon{jsdtest.Launch(t, jsd), dir}
	d.Listens()
	d.Becomes(200)
	return d
}

// terminate ends it by SIGTERM and gives its exit status.
func (d *daemon) terminate() int {
	d.End(syscall.SIGTERM)
	return d.Status()
}

var (
	peakLine       = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB`)
	heapLine       = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)`)
	goroutinesLine = regexp.MustCompile(`(?m)^goroutine profile: total (\d+)`)
)

// figures are of the daemon's process.
type figures struct {
	peak       int // MiB that it ever had
	heap       int // MiB that it needs, garbage left out
	goroutines int
	files      int
}

func (d *daemon) figures(t *testing.T) figures {
	t.Helper()
	number := func(pattern *regexp.Regexp, text string) int {
		found := pattern.FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("no %s in %.300s", pattern, text)
		}
		n, _ := strconv.Atoi(found[1])
		return n
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	profile := func(name string) string {
		t.Helper()
		text, err := d.Profile(name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	return figures{
		peak:       number(peakLine, string(status)) >> 10,
		heap:       number(heapLine, profile("heap?gc=1&debug=1")) >> 20,
		goroutines: number(goroutinesLine, profile("goroutine?debug=1")),
		files:      d.Files(),
	}
}
