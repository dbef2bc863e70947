package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/jsd-project/jsd/containers/docker"
)

// served is a jsd of a process of its own, with the lines it says.
type served struct {
	process *os.Process
	lines   <-chan string
	address string
}

func serve(t *testing.T, arguments ...string) *served {
	t.Helper()
	jsd := exec.Command(os.Args[0], append([]string{"serve", "--listen", "127.0.0.1:0", "--driver", "process", "--spare", "0", "--min-containers", "0"}, arguments...)...)
	jsd.Env = append(os.Environ(), asCommand+"=1")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	jsd.Stdout, jsd.Stderr = writer, writer
	if err := jsd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	lines, read := make(chan string, 1000), make(chan struct{})
	go func() {
		defer close(read)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			lines <- scanner.Text()
		}
		close(lines)
	}()
	t.Cleanup(func() {
		_ = jsd.Process.Signal(syscall.SIGTERM)
		if err := jsd.Wait(); err != nil {
			t.Error(err)
		}
		<-read
		reader.Close()
	})
	s := &served{process: jsd.Process, lines: lines}
	_, address, _ := strings.Cut(s.says(t, "serves ws://"), "serves ws://")
	s.address, _, _ = strings.Cut(address, " ")
	return s
}

// says gives the next line with text in it.
func (s *served) says(t *testing.T, text string) string {
	t.Helper()
	for line := range s.lines {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Fatalf("it never said %s", text)
	return ""
}

func (s *served) hangUp(t *testing.T) {
	t.Helper()
	if err := s.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func TestReloadBySignal(t *testing.T) {
	file := tenantsFile(t, "tenants: {acme: {maxTimeout: 5s}}")
	s := serve(t, "--tenants", file)
	c := dial(t, s.address, "json-rpc", nil)
	may := func(when string, timeout int, want string) {
		t.Helper()
		if got := c.execute(script{"code": "1", "tenant": "acme", "timeout": timeout}).String(); got != want {
			t.Errorf("%s: %d ms: %s, want %s", when, timeout, got, want)
		}
	}
	const no = "1007 Forbidden"
	may("at first", 5000, "1")
	may("at first", 5001, no)

	write(t, file, "tenants:\n  acme: {maxTimeout: 9s}\n")
	s.hangUp(t)
	if line := s.says(t, "read the tenants file again"); !strings.Contains(line, `"level":"info"`) || !strings.Contains(line, `"tenants":1`) {
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
		s.hangUp(t)
		if line := s.says(t, "the tenants file is not taken"); !strings.Contains(line, `"level":"error"`) || !strings.Contains(line, file+why) {
			t.Errorf("it says %s", line)
		}
		may("after a bad file", 9000, "1")
		may("after a bad file", 9001, no)
	}

	write(t, file, "defaults: {maxTimeout: 7s}")
	s.hangUp(t)
	s.says(t, "read the tenants file again")
	may("without an entry", 7000, "1")
	may("without an entry", 7001, no)
}

// Plain processes are of no image that could be new: reading the file starts none.
func TestReloadTriesNoProcesses(t *testing.T) {
	file := tenantsFile(t, "tenants: {}")
	s := serve(t, "--tenants", file, "--log-level", "debug")
	write(t, file, "tenants: {acme: {heap: 32}, other: {heap: 33}}")
	s.hangUp(t)
	for line := range s.lines {
		if strings.Contains(line, "container ready") {
			t.Fatalf("a container was started: %s", line)
		}
		if strings.Contains(line, "read the tenants file again") {
			return
		}
	}
	t.Error("it never read the file again")
}

// The engine is asked about each kind of container, not for each tenant.
func TestReloadAsksOnceForAKind(t *testing.T) {
	d := start(t, "process", "--spare", "0", "--min-containers", "0",
		"--tenants", tenantsFile(t, "tenants: {one: {}, two: {weight: 2}, three: {}, large: {memory: 512}}"))
	asked, check := 0, d.driver.check
	d.driver.check = func(ctx context.Context, s docker.Spec) (string, error) {
		asked++
		return check(ctx, s)
	}
	for range 2 {
		asked = 0
		if d.reload(t.Context()); asked != 2 {
			t.Errorf("asked %d times, want once for each of 2 kinds", asked)
		}
	}
}

// Some send a signal to the process and to its group: that is one end, which drains.
func TestSignalThatComesTwice(t *testing.T) {
	s := serve(t)
	c := dial(t, s.address, "json-rpc", nil)
	begun := make(chan callback, 1)
	c.answers(func(b callback) { begun <- b })
	_, answer := c.start("runtime.execute", script{"code": "host.f()", "callbacks": []string{"f"}})
	asked := c.begins(answer, begun)
	end := func() {
		if err := s.process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	end()
	s.says(t, "ending: calls in flight may finish")
	end()
	asked.resolve(1)
	if got := c.wait(answer).String(); got != "1" {
		t.Errorf("got %s", got)
	}
}

func TestHangUpWithoutAFile(t *testing.T) {
	s := serve(t)
	s.hangUp(t)
	s.says(t, "there is no --tenants file")
	if got := dial(t, s.address, "json-rpc", nil).execute(script{"code": "6 * 7"}).String(); got != "42" {
		t.Errorf("got %s", got)
	}
}
