package attack

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// credential is the daemon's secret, which nobody may find in its log or in a container.
const credential = "the-credential-of-the-daemon"

// A daemon is the real jsd, as a process of its own.
type daemon struct {
	cmd     *exec.Cmd
	dir     string // where it works, and its home, and for temporary files: empty at the end
	said    string // file of its log
	address string
	admin   string
	ended   chan struct{} // closed when it has
}

var (
	servesAt = regexp.MustCompile(`serves ws://(\S+) `)
	adminAt  = regexp.MustCompile(`profiles on http://(\S+)`)
)

// serve starts jsd on the engine and returns when a script could run.
func serve(t *testing.T, e *engine, arguments ...string) *daemon {
	t.Helper()
	d := &daemon{dir: t.TempDir(), said: filepath.Join(t.TempDir(), "log"), ended: make(chan struct{})}
	said, err := os.Create(d.said)
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	d.cmd = exec.Command(e.binary(t), append([]string{"serve", "--driver", "docker", "--log-level", "debug", "--listen", "127.0.0.1:0",
		"--admin-listen", "127.0.0.1:0"}, arguments...)...)
	d.cmd.Dir, d.cmd.Stderr = d.dir, said
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "TMPDIR=" + d.dir, "DOCKER_HOST=" + e.host, "SECRET=" + credential}
	out, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		if log := d.log(t); t.Failed() {
			t.Logf("jsd's log ends with\n%s", log[max(0, len(log)-6000):])
		}
	})
	d.listen(t, bufio.NewReader(out))
	eventually(t, "jsd is ready", func() bool {
		res, err := http.Get("http://" + d.address + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return d
}

// listen reads the addresses that jsd prints, and has what else it prints and its end watched.
func (d *daemon) listen(t *testing.T, printed *bufio.Reader) {
	t.Helper()
	line := ""
	for _, want := range []struct {
		pattern *regexp.Regexp
		into    *string
	}{{servesAt, &d.address}, {adminAt, &d.admin}} {
		for *want.into == "" {
			var err error
			if found := want.pattern.FindStringSubmatch(line); found != nil {
				*want.into = found[1]
			} else if line, err = printed.ReadString('\n'); err != nil {
				close(d.ended)
				_ = d.cmd.Wait()
				t.Fatalf("jsd does not serve: %s", d.log(t))
			}
		}
	}
	go func() {
		defer close(d.ended)
		_, _ = io.Copy(io.Discard, printed)
		_ = d.cmd.Wait()
	}()
}

func (d *daemon) log(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(d.said)
	if err != nil {
		t.Error(err)
	}
	return string(log)
}

// terminate ends it by SIGTERM and gives its exit status.
func (d *daemon) terminate(t *testing.T) int {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.ended:
		return d.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatal("jsd goes on after SIGTERM")
		return -1
	}
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
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return figures{
		peak:       number(peakLine, string(status)) >> 10,
		heap:       number(heapLine, d.profile(t, "heap?gc=1&debug=1")) >> 20,
		goroutines: number(goroutinesLine, d.profile(t, "goroutine?debug=1")),
		files:      len(files),
	}
}

func (d *daemon) profile(t *testing.T, name string) string {
	t.Helper()
	res, err := http.Get("http://" + d.admin + "/debug/pprof/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text := &strings.Builder{}
	if _, err := io.Copy(text, res.Body); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
