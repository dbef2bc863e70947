package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A jsdProcess is `jsd serve` as a process of its own, on an engine that a test may break.
type jsdProcess struct {
	t       *testing.T
	engine  *ownEngine
	cmd     *exec.Cmd
	address string
	said    string        // file of its standard error: its log, and its end
	ended   chan struct{} // closed when it has
}

var servesAt = regexp.MustCompile(`serves wss?://(\S+) `)

// serveOn starts jsd and returns when it listens.
func serveOn(t *testing.T, engine *ownEngine, arguments ...string) *jsdProcess {
	t.Helper()
	j, line := launchOn(t, engine, arguments...)
	found := servesAt.FindStringSubmatch(line)
	if found == nil {
		t.Fatalf("jsd does not serve: %s", j.log())
	}
	j.address = found[1]
	return j
}

// launchOn starts jsd and gives the first line it prints, if it prints one.
func launchOn(t *testing.T, engine *ownEngine, arguments ...string) (j *jsdProcess, line string) {
	t.Helper()
	said, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	j = &jsdProcess{t: t, engine: engine, said: said.Name(), ended: make(chan struct{})}
	j.cmd = exec.Command(os.Args[0], append([]string{"serve", "--driver", "docker", "--log-level", "debug"}, arguments...)...)
	j.cmd.Env = append(os.Environ(), asCommand+"=1", "DOCKER_HOST="+engine.host, "GOTRACEBACK=all", "JSD_INSTANCE=", "SECRET=", "PORT=")
	j.cmd.Stderr = said
	out, err := j.cmd.StdoutPipe()
	if err == nil {
		err = j.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	rest, err := os.Create(j.said + "-out")
	if err != nil {
		t.Fatal(err)
	}
	printed := bufio.NewReader(out)
	line, _ = printed.ReadString('\n')
	go func() {
		defer close(j.ended)
		_, _ = io.Copy(rest, printed)
		_ = rest.Close()
		_ = j.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = j.cmd.Process.Kill()
		<-j.ended
		if log := j.log(); t.Failed() {
			t.Logf("jsd's log ends with\n%s", log[max(0, len(log)-6000):])
		}
	})
	return j, line
}

// printed is what it printed after the first line.
func (j *jsdProcess) printed() string {
	text, err := os.ReadFile(j.said + "-out")
	if err != nil {
		j.t.Error(err)
	}
	return string(text)
}

func (j *jsdProcess) log() string {
	log, err := os.ReadFile(j.said)
	if err != nil {
		j.t.Error(err)
	}
	return string(log)
}

// end sends a signal and gives how long the process took to end.
func (j *jsdProcess) end(signal syscall.Signal) time.Duration {
	j.t.Helper()
	began := time.Now()
	if err := j.cmd.Process.Signal(signal); err != nil {
		j.t.Fatal(err)
	}
	select {
	case <-j.ended:
	case <-time.After(2 * time.Minute):
		j.t.Fatalf("jsd goes on after %v", signal)
	}
	return time.Since(began)
}

// readiness is the status of /readyz.
func (j *jsdProcess) readiness() int {
	j.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Get("http://" + j.address + "/readyz")
	if err != nil {
		j.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func (j *jsdProcess) becomes(status int) {
	j.t.Helper()
	eventually(j.t, fmt.Sprintf("/readyz gives %d", status), func() bool { return j.readiness() == status })
}

// hasOneSpare waits until one container is ready, and no other there, on its way, or about to go.
func (j *jsdProcess) hasOneSpare() {
	j.t.Helper()
	eventually(j.t, "one spare container", func() bool {
		closed := len(j.lines("container closed"))
		return len(j.lines("container ready")) == closed+1 && len(j.lines("container ended")) == closed && len(j.engine.containers()) == 1
	})
}

// files counts the process's open files, sockets and pipes among them.
func (j *jsdProcess) files() int {
	j.t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", j.cmd.Process.Pid))
	if err != nil {
		j.t.Fatal(err)
	}
	return len(open)
}

// A logLine is what the tests look for in jsd's log.
type logLine struct {
	Time      time.Time
	Message   string
	Container string
	Tenant    string
	Why       string
}

// lines are those of the log with a message.
func (j *jsdProcess) lines(message string) []logLine {
	j.t.Helper()
	var found []logLine
	for line := range bytes.Lines([]byte(j.log())) {
		var l logLine
		if json.Unmarshal(line, &l) == nil && l.Message == message {
			found = append(found, l)
		}
	}
	return found
}

var (
	goroutineHead = regexp.MustCompile(`(?m)^goroutine \d+ `)
	ownFunction   = regexp.MustCompile(`(?m)^github\.com/jsd-project/jsd\S*\(`)
)

// goroutines ends the process by having it tell what each of its goroutines is at, and counts those of
// jsd's own by their outermost function.
func (j *jsdProcess) goroutines() map[string]int {
	j.t.Helper()
	j.end(syscall.SIGQUIT)
	counts := map[string]int{}
	_, stacks, _ := strings.Cut(j.log(), "SIGQUIT: quit")
	for _, stack := range goroutineHead.Split(stacks, -1) {
		if own := ownFunction.FindAllString(stack, -1); len(own) > 0 {
			counts[own[len(own)-1]]++
		}
	}
	if len(counts) == 0 {
		j.t.Error("jsd did not tell what its goroutines are at")
	}
	return counts
}
