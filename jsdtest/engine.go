package jsdtest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jsd-project/jsd/containers/docker"
)

// GVisor is the name by which an Engine knows gVisor.
const GVisor = "runsc"

// An Engine is a Docker engine that a test may break. It lives in namespaces of its own: an engine
// without a bridge takes away that of another one beside it, and when the first process in there ends,
// so do the engine, its containers and their mounts. That one, space, ends with this process, too.
type Engine struct {
	T       testing.TB
	Dir     string // of everything it keeps
	Host    string // for DOCKER_HOST
	space   *exec.Cmd
	inside  string        // pid of the first process in the namespaces
	dockerd *exec.Cmd     // nsenter, which ends as the engine does
	ended   chan struct{} // closed when that has happened
	engine  int           // pid
}

// NeedEngine starts one that has the runtime image and nothing else.
func NeedEngine(t testing.TB) *Engine {
	t.Helper()
	if missing := missingForEngine(); missing != "" {
		Missing(t, missing)
	}
	NeedImage(t)
	dir, err := os.MkdirTemp("", "jsd-engine-") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{T: t, Dir: dir, Host: "unix://" + filepath.Join(dir, "socket")}
	t.Cleanup(e.remove)
	e.openSpace()
	e.Start()
	e.load()
	return e
}

func missingForEngine() string {
	if os.Geteuid() != 0 {
		return "a Docker engine of the test's own needs root"
	}
	for _, command := range []string{"dockerd", "docker", "unshare", "nsenter"} {
		if _, err := exec.LookPath(command); err != nil {
			return "a Docker engine of the test's own needs " + command
		}
	}
	return ""
}

// openSpace makes the namespaces. Their first process waits for the end of its input, which is this
// process's, and is a shell, since that takes care of processes whose parents have ended.
func (e *Engine) openSpace() {
	e.T.Helper()
	e.space = exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", "echo up; read")
	said := &strings.Builder{}
	e.space.Stderr = said
	hold, err := e.space.StdinPipe()
	if err != nil {
		e.T.Fatal(err)
	}
	out, err := e.space.StdoutPipe()
	if err == nil {
		err = e.space.Start()
	}
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() {
		_ = hold.Close()
		_ = e.space.Wait()
	})
	up := make([]byte, 3)
	if _, err := io.ReadFull(out, up); err != nil {
		_ = hold.Close()
		_ = e.space.Wait()
		e.T.Fatalf("unshare: %s", said)
	}
	e.inside = childOf(e.T, e.space.Process.Pid)
}

func childOf(t testing.TB, pid int) string {
	t.Helper()
	var children []byte
	Eventually(t, fmt.Sprintf("a child of %d", pid), func() bool {
		children, _ = os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
		return len(bytes.Fields(children)) == 1
	})
	return string(bytes.TrimSpace(children))
}

// within is a command that runs in the namespaces.
func (e *Engine) within(arguments ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", e.inside, "--net", "--mount", "--pid"}, arguments...)...)
}

// Start returns when the engine answers.
func (e *Engine) Start(more ...string) {
	e.T.Helper()
	in := func(name string) string { return filepath.Join(e.Dir, name) }
	// What an engine that was killed left would have the next one wait for a process that is gone.
	_ = os.Remove(in("pid"))
	_ = os.Remove(in("exec/containerd/containerd.pid"))
	if err := os.WriteFile(in("daemon.json"), engineSettings(), 0o600); err != nil {
		e.T.Fatal(err)
	}
	log, err := os.OpenFile(in("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.T.Fatal(err)
	}
	defer log.Close()
	e.dockerd = e.within(append([]string{"dockerd", "--config-file", in("daemon.json"), "--host", e.Host,
		"--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"), "--cgroup-parent", e.cgroup(),
		"--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"}, more...)...)
	e.dockerd.Stdout, e.dockerd.Stderr = log, log
	if err := e.dockerd.Start(); err != nil {
		e.T.Fatal(err)
	}
	ended, dockerd := make(chan struct{}), e.dockerd
	e.ended = ended
	go func() {
		defer close(ended)
		_ = dockerd.Wait()
	}()
	if _, err := fmt.Sscan(childOf(e.T, dockerd.Process.Pid), &e.engine); err != nil {
		e.T.Fatal(err)
	}
	Eventually(e.T, "the engine answers", func() bool {
		return e.Command("version").Run() == nil
	})
}

// engineSettings has GVisor as a second runtime where it is installed. Its platform ptrace runs on any machine.
func engineSettings() []byte {
	path, err := exec.LookPath(GVisor)
	if err != nil {
		return []byte("{}")
	}
	return fmt.Appendf(nil, `{"runtimes": {%q: {"path": %q, "runtimeArgs": ["--platform=ptrace", "--network=none"]}}}`, GVisor, path)
}

func (e *Engine) cgroup() string { return "/" + filepath.Base(e.Dir) }

// load copies the runtime image from the engine that all tests share.
func (e *Engine) load() {
	e.T.Helper()
	save, load := exec.Command("docker", "save", docker.DefaultImage), e.Command("load", "--quiet")
	var err error
	if load.Stdin, err = save.StdoutPipe(); err != nil {
		e.T.Fatal(err)
	}
	if err := save.Start(); err != nil {
		e.T.Fatal(err)
	}
	out, err := load.CombinedOutput()
	if saveErr := save.Wait(); err != nil || saveErr != nil {
		e.T.Fatalf("copy the image: %v, %v, %s", saveErr, err, out)
	}
}

func (e *Engine) Command(arguments ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"--host", e.Host}, arguments...)...)
}

// Docker gives the lines that a command of the engine's prints.
func (e *Engine) Docker(arguments ...string) []string {
	e.T.Helper()
	out, err := e.Command(arguments...).CombinedOutput()
	if err != nil {
		e.T.Fatalf("docker %v: %v: %s", arguments, err, out)
	}
	return strings.Fields(string(out))
}

// Pause freezes a container. On a busy machine the kernel does not always manage it in the time that runc gives it.
func (e *Engine) Pause(id string) {
	e.T.Helper()
	Eventually(e.T, "the container is paused", func() bool {
		out, err := e.Command("pause", id).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "unable to freeze") {
			e.T.Fatalf("docker pause: %v: %s", err, out)
		}
		return err == nil
	})
}

// Containers are the names of all there are, running or not, the newest first.
func (e *Engine) Containers() []string {
	e.T.Helper()
	return e.Docker("ps", "--all", "--format", "{{.Names}}")
}

// Signal is for the engine alone: its containers live on unless it ends them itself.
func (e *Engine) Signal(signal syscall.Signal) {
	e.T.Helper()
	if err := syscall.Kill(e.engine, signal); err != nil {
		e.T.Fatal(err)
	}
	if signal == syscall.SIGCONT { // nsenter stopped when its child did
		_ = e.dockerd.Process.Signal(signal)
	}
}

// Stop ends the engine by a signal and returns when it has ended.
func (e *Engine) Stop(signal syscall.Signal) {
	e.T.Helper()
	e.Signal(signal)
	<-e.ended
}

// KillAll ends everything in the namespaces at once, as a loss of power would.
func (e *Engine) KillAll() {
	e.T.Helper()
	_ = e.within("bash", "-c", "kill -KILL -1").Run() // which ends this one as well
	<-e.ended
}

// remove follows the end of the namespaces, in which all is that could hold a file.
func (e *Engine) remove() {
	if e.T.Failed() {
		log, _ := os.ReadFile(filepath.Join(e.Dir, "log"))
		e.T.Logf("the engine's log ends with\n%s", log[max(0, len(log)-4000):])
	}
	if e.ended != nil {
		<-e.ended
	}
	e.removeGroups()
	if err := os.RemoveAll(e.Dir); err != nil {
		e.T.Error(err)
	}
}

// removeGroups removes the control groups of containers that ended with the namespaces.
func (e *Engine) removeGroups() {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} { // of version 2, of each controller
		for _, below := range []string{"/*/*", "/*", ""} {
			groups, _ := filepath.Glob(root + e.cgroup() + below)
			for _, group := range groups {
				_ = syscall.Rmdir(group) // files in there fail, and go with the folder
			}
		}
	}
}
