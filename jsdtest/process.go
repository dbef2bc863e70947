package jsdtest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// underRace is set where the race detector is built in, here and in Binary.
var underRace bool

// Main is TestMain of a package whose tests start daemons, so many at once: most of it is waiting. No goroutine may
// be left at its end.
func Main(m *testing.M, parallel int) {
	_ = os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // where an engine's commands are
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true
	flag.Parse()
	_ = flag.Set("test.parallel", strconv.Itoa(parallel))
	// Before a test has a folder of its own for temporary files.
	binaries.dir, binaries.err = os.MkdirTemp("", "jsd-test-")
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		_ = os.RemoveAll(binaries.dir)
		for _, end := range atEnd.all {
			if err := end(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				status = max(status, 1)
			}
		}
		os.Exit(status)
	}))
}

var atEnd struct {
	mu  sync.Mutex // guards all
	all []func() error
}

// AtEnd has Main remove something that tests share. An error fails the package.
func AtEnd(remove func() error) {
	atEnd.mu.Lock()
	defer atEnd.mu.Unlock()
	atEnd.all = append(atEnd.all, remove)
}

// binaries are jsd with the race detector, where this process has it, and without.
var binaries struct {
	dir          string
	err          error
	raced, plain sync.Once
}

// Binary is jsd, built from these sources once for all tests of a package, which has to have Main. It has the race
// detector where this process does.
func Binary(t testing.TB) string {
	t.Helper()
	if !underRace {
		return PlainBinary(t)
	}
	return binary(t, &binaries.raced, "jsd", "-race")
}

// PlainBinary is Binary without the race detector, for tests that judge how much of the machine it takes.
func PlainBinary(t testing.TB) string {
	t.Helper()
	return binary(t, &binaries.plain, "plain/jsd")
}

func binary(t testing.TB, once *sync.Once, name string, flags ...string) string {
	t.Helper()
	path := filepath.Join(binaries.dir, name)
	once.Do(func() {
		if binaries.err == nil {
			binaries.err = goBuild(path, "github.com/jsd-project/jsd/cmd/jsd", flags...)
		}
	})
	if binaries.err != nil {
		t.Fatal(binaries.err)
	}
	return path
}

func goBuild(to, of string, flags ...string) error {
	build := exec.Command("go", slices.Concat([]string{"build", "-buildvcs=false", "-o", to}, flags, []string{of})...)
	if len(flags) == 0 {
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", build, err, out)
	}
	return nil
}

// Build builds a program of these sources that needs no libraries.
func Build(t testing.TB, to, of string) {
	t.Helper()
	if err := goBuild(to, of); err != nil {
		t.Fatal(err)
	}
}

// Command is jsd, not started yet, with this process's environment but for the settings of jsd's own in it.
func Command(t testing.TB, arguments ...string) *exec.Cmd {
	t.Helper()
	return command(Binary(t), arguments...)
}

func command(binary string, arguments ...string) *exec.Cmd {
	jsd := exec.Command(binary, arguments...)
	jsd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also where the test's end is a panic
	jsd.Env = append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "JSD_NODE", "JSD_TEST_REQUIRE":
			return false
		case "SECRET", "PORT", "TIMEOUT", "NOLOGS":
			return true
		default:
			return strings.HasPrefix(name, "JSD_")
		}
	}), "GOTRACEBACK=all")
	return jsd
}

// A Process is jsd as a process of its own. It is killed at the end of the test that started it, if it has not
// ended by then.
type Process struct {
	T       testing.TB // of the test that asks, which may be another than the one that started it
	Cmd     *exec.Cmd
	Address string        // of jsd serve: for clients
	Admin   string        // likewise: of --admin-listen, if there is one
	Ended   chan struct{} // closed when it has ended
	dir     string        // of files with what it prints
	heard   int           // bytes of the log that Says is through with
}

// Launch starts a command, whose log it keeps.
func Launch(t testing.TB, jsd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{T: t, Cmd: jsd, Ended: make(chan struct{}), dir: t.TempDir()}
	for name, to := range map[string]*io.Writer{"out": &jsd.Stdout, "log": &jsd.Stderr} {
		file, err := os.Create(filepath.Join(p.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		*to = file
	}
	if err := jsd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.Ended)
		_ = jsd.Wait()
	}()
	t.Cleanup(func() {
		_ = jsd.Process.Kill()
		<-p.Ended
		log := p.Log()
		if t.Failed() {
			t.Logf("jsd's log ends with\n%s", log[max(0, len(log)-6000):])
		}
		if strings.Contains(log, "DATA RACE") {
			t.Error("a data race in jsd")
		}
	})
	return p
}

// Serve starts jsd serve on a free port, on the engine of the environment or a given one, and returns when it
// listens. It ends with the test, by SIGTERM.
func Serve(t testing.TB, on *Engine, flags ...string) *Process {
	t.Helper()
	return serve(t, Binary(t), on, flags...)
}

// ServePlain is Serve without the race detector.
func ServePlain(t testing.TB, flags ...string) *Process {
	t.Helper()
	return serve(t, PlainBinary(t), nil, flags...)
}

func serve(t testing.TB, binary string, on *Engine, flags ...string) *Process {
	t.Helper()
	jsd := command(binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--log-level", "debug"}, flags...)...)
	if on != nil {
		jsd.Env = append(jsd.Env, "DOCKER_HOST="+on.Host)
	}
	p := Launch(t, jsd)
	t.Cleanup(func() {
		if p.HasEnded() {
			return
		}
		p.T = t
		if p.End(syscall.SIGTERM); p.Status() != 0 {
			t.Errorf("jsd ended with status %d", p.Status())
		}
	})
	p.Listens()
	return p
}

var (
	servesAt = regexp.MustCompile(`serves wss?://(\S+) `)
	adminAt  = regexp.MustCompile(`profiles on http://(\S+)`)
)

// Listens waits until jsd serve has told its addresses.
func (p *Process) Listens() {
	p.T.Helper()
	Eventually(p.T, "jsd serves", func() bool {
		if p.HasEnded() {
			if log := p.Log(); strings.Contains(log, "no Docker engine") || strings.Contains(log, "no Node") {
				Missing(p.T, log)
			} else {
				p.T.Fatalf("jsd does not serve: %s", log)
			}
		}
		printed := p.Printed()
		if found := servesAt.FindStringSubmatch(printed); found != nil {
			p.Address = found[1]
		}
		if found := adminAt.FindStringSubmatch(printed); found != nil {
			p.Admin = found[1]
		}
		return strings.Contains(printed, "\ntry: ")
	})
}

// Profile is what /debug/pprof/ of the admin address says.
func (p *Process) Profile(name string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Get("http://" + p.Admin + "/debug/pprof/" + name)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// HasEnded says whether the process is no more.
func (p *Process) HasEnded() bool {
	select {
	case <-p.Ended:
		return true
	default:
		return false
	}
}

// Dial connects a client that speaks one of the dialects, json-rpc and duplex.
func (p *Process) Dial(t testing.TB, dialect string) *Client {
	t.Helper()
	return Dial(t, p.Address, dialect, nil)
}

// Printed is its standard output.
func (p *Process) Printed() string { return p.file("out") }

// Log is its standard error.
func (p *Process) Log() string { return p.file("log") }

func (p *Process) file(name string) string {
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.T.Error(err)
	}
	return string(text)
}

// Says waits for the next line of the log with a text in it, behind the one that it gave before.
func (p *Process) Says(text string) (line string) {
	p.T.Helper()
	Eventually(p.T, "it says "+text, func() bool {
		for l := range strings.Lines(p.Log()[p.heard:]) {
			if !strings.HasSuffix(l, "\n") {
				break
			}
			p.heard += len(l)
			if strings.Contains(l, text) {
				line = l
				return true
			}
		}
		return false
	})
	return line
}

// Signal sends one.
func (p *Process) Signal(signal os.Signal) {
	p.T.Helper()
	if err := p.Cmd.Process.Signal(signal); err != nil {
		p.T.Fatal(err)
	}
}

// End sends a signal and gives how long the process took to end.
func (p *Process) End(signal syscall.Signal) time.Duration {
	p.T.Helper()
	began := time.Now()
	p.Signal(signal)
	select {
	case <-p.Ended:
	case <-time.After(2 * time.Minute):
		p.T.Fatalf("jsd goes on after %v", signal)
	}
	return time.Since(began)
}

// Status is its exit status, behind End.
func (p *Process) Status() int { return p.Cmd.ProcessState.ExitCode() }

// Readiness is the status of /readyz.
func (p *Process) Readiness() int {
	p.T.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Get("http://" + p.Address + "/readyz")
	if err != nil {
		p.T.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// Becomes waits until /readyz gives a status.
func (p *Process) Becomes(status int) {
	p.T.Helper()
	Eventually(p.T, fmt.Sprintf("/readyz gives %d", status), func() bool { return p.Readiness() == status })
}

// Files counts the process's open files, sockets and pipes among them.
func (p *Process) Files() int {
	p.T.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Cmd.Process.Pid))
	if err != nil {
		p.T.Fatal(err)
	}
	return len(open)
}

// A LogLine is what tests look for in jsd's log.
type LogLine struct {
	Time      time.Time
	Message   string
	Container string
	Tenant    string
	Why       string
}

// Lines are those of the log with a message.
func (p *Process) Lines(message string) []LogLine {
	p.T.Helper()
	var found []LogLine
	for line := range bytes.Lines([]byte(p.Log())) {
		var l LogLine
		if json.Unmarshal(line, &l) == nil && l.Message == message {
			found = append(found, l)
		}
	}
	return found
}

var (
	goroutineHead = regexp.MustCompile(`(?m)^goroutine \d+ `)
	ownFunction   = regexp.MustCompile(`(?m)^(?:github\.com/jsd-project/jsd|main)\S*\(`)
)

// Goroutines ends the process by having it tell what each of its goroutines is at, and counts those of
// jsd's own by their outermost function.
func (p *Process) Goroutines() map[string]int {
	p.T.Helper()
	p.End(syscall.SIGQUIT)
	counts := map[string]int{}
	_, stacks, _ := strings.Cut(p.Log(), "SIGQUIT: quit")
	for _, stack := range goroutineHead.Split(stacks, -1) {
		if own := ownFunction.FindAllString(stack, -1); len(own) > 0 {
			counts[own[len(own)-1]]++
		}
	}
	if len(counts) == 0 {
		p.T.Error("jsd did not tell what its goroutines are at")
	}
	return counts
}
