package main

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

// An ownEngine is a Docker engine that a test may break. It lives in namespaces of its own: an engine
// without a bridge takes away that of another one beside it, and when the first process in there ends,
// so do the engine, its containers and their mounts. That one, space, ends with this process, too.
type ownEngine struct {
	t       *testing.T
	dir     string
	host    string // for DOCKER_HOST
	space   *exec.Cmd
	inside  string        // pid of the first process in the namespaces
	dockerd *exec.Cmd     // nsenter, which ends as the engine does
	ended   chan struct{} // closed when that has happened
	engine  int           // pid
}

// needOwnEngine starts one that has the runtime image and nothing else.
func needOwnEngine(t *testing.T) *ownEngine {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if missing := missingForOwnEngine(); missing != "" {
		if os.Getenv("JSD_TEST_REQUIRE") == "all" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	needImage(t)
	dir, err := os.MkdirTemp("", "jsd-engine-") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	e := &ownEngine{t: t, dir: dir, host: "unix://" + filepath.Join(dir, "socket")}
	t.Cleanup(e.remove)
	e.openSpace()
	e.start()
	e.load()
	return e
}

func missingForOwnEngine() string {
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
func (e *ownEngine) openSpace() {
	e.t.Helper()
	e.space = exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", "echo up; read")
	said := &strings.Builder{}
	e.space.Stderr = said
	hold, err := e.space.StdinPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	out, err := e.space.StdoutPipe()
	if err == nil {
		err = e.space.Start()
	}
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		_ = hold.Close()
		_ = e.space.Wait()
	})
	up := make([]byte, 3)
	if _, err := io.ReadFull(out, up); err != nil {
		_ = hold.Close()
		_ = e.space.Wait()
		e.t.Fatalf("unshare: %s", said)
	}
	e.inside = childOf(e.t, e.space.Process.Pid)
}

func childOf(t *testing.T, pid int) string {
	t.Helper()
	var children []byte
	eventually(t, fmt.Sprintf("a child of %d", pid), func() bool {
		children, _ = os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
		return len(bytes.Fields(children)) == 1
	})
	return string(bytes.TrimSpace(children))
}

// within is a command that runs in the namespaces.
func (e *ownEngine) within(arguments ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", e.inside, "--net", "--mount", "--pid"}, arguments...)...)
}

// start returns when the engine answers.
func (e *ownEngine) start(more ...string) {
	e.t.Helper()
	in := func(name string) string { return filepath.Join(e.dir, name) }
	// What an engine that was killed left would have the next one wait for a process that is gone.
	_ = os.Remove(in("pid"))
	_ = os.Remove(in("exec/containerd/containerd.pid"))
	if err := os.WriteFile(in("daemon.json"), ownEngineSettings(), 0o600); err != nil {
		e.t.Fatal(err)
	}
	log, err := os.OpenFile(in("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	e.dockerd = e.within(append([]string{"dockerd", "--config-file", in("daemon.json"), "--host", e.host,
		"--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"), "--cgroup-parent", e.cgroup(),
		"--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"}, more...)...)
	e.dockerd.Stdout, e.dockerd.Stderr = log, log
	if err := e.dockerd.Start(); err != nil {
		e.t.Fatal(err)
	}
	ended, dockerd := make(chan struct{}), e.dockerd
	e.ended = ended
	go func() {
		defer close(ended)
		_ = dockerd.Wait()
	}()
	if _, err := fmt.Sscan(childOf(e.t, dockerd.Process.Pid), &e.engine); err != nil {
		e.t.Fatal(err)
	}
	eventually(e.t, "the engine answers", func() bool {
		return e.command("version").Run() == nil
	})
}

// ownEngineSettings has gVisor as a second runtime where it is installed. Its platform ptrace runs on any machine.
func ownEngineSettings() []byte {
	path, err := exec.LookPath(gVisor)
	if err != nil {
		return []byte("{}")
	}
	return fmt.Appendf(nil, `{"runtimes": {%q: {"path": %q, "runtimeArgs": ["--platform=ptrace", "--network=none"]}}}`, gVisor, path)
}

func (e *ownEngine) cgroup() string { return "/" + filepath.Base(e.dir) }

// load copies the runtime image from the engine that all tests share.
func (e *ownEngine) load() {
	e.t.Helper()
	save, load := exec.Command("docker", "save", docker.DefaultImage), e.command("load", "--quiet")
	var err error
	if load.Stdin, err = save.StdoutPipe(); err != nil {
		e.t.Fatal(err)
	}
	if err := save.Start(); err != nil {
		e.t.Fatal(err)
	}
	out, err := load.CombinedOutput()
	if saveErr := save.Wait(); err != nil || saveErr != nil {
		e.t.Fatalf("copy the image: %v, %v, %s", saveErr, err, out)
	}
}

func (e *ownEngine) command(arguments ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"--host", e.host}, arguments...)...)
}

// docker gives the lines that a command of the engine's prints.
func (e *ownEngine) docker(arguments ...string) []string {
	e.t.Helper()
	out, err := e.command(arguments...).CombinedOutput()
	if err != nil {
		e.t.Fatalf("docker %v: %v: %s", arguments, err, out)
	}
	return strings.Fields(string(out))
}

// pause freezes a container. On a busy machine the kernel does not always manage it in the time that runc gives it.
func (e *ownEngine) pause(id string) {
	e.t.Helper()
	eventually(e.t, "the container is paused", func() bool {
		out, err := e.command("pause", id).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "unable to freeze") {
			e.t.Fatalf("docker pause: %v: %s", err, out)
		}
		return err == nil
	})
}

// containers are the names of all there are, running or not, the newest first.
func (e *ownEngine) containers() []string {
	e.t.Helper()
	return e.docker("ps", "--all", "--format", "{{.Names}}")
}

// signal is for the engine alone: its containers live on unless it ends them itself.
func (e *ownEngine) signal(signal syscall.Signal) {
	e.t.Helper()
	if err := syscall.Kill(e.engine, signal); err != nil {
		e.t.Fatal(err)
	}
	if signal == syscall.SIGCONT { // nsenter stopped when its child did
		_ = e.dockerd.Process.Signal(signal)
	}
}

// stop ends the engine by a signal and returns when it has ended.
func (e *ownEngine) stop(signal syscall.Signal) {
	e.t.Helper()
	e.signal(signal)
	<-e.ended
}

// killAll ends everything in the namespaces at once, as a loss of power would.
func (e *ownEngine) killAll() {
	e.t.Helper()
	_ = e.within("bash", "-c", "kill -KILL -1").Run() // which ends this one as well
	<-e.ended
}

// remove follows the end of the namespaces, in which all is that could hold a file.
func (e *ownEngine) remove() {
	if e.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(e.dir, "log"))
		e.t.Logf("the engine's log ends with\n%s", log[max(0, len(log)-4000):])
	}
	if e.ended != nil {
		<-e.ended
	}
	e.removeGroups()
	if err := os.RemoveAll(e.dir); err != nil {
		e.t.Error(err)
	}
}

// removeGroups removes the control groups of containers that ended with the namespaces.
func (e *ownEngine) removeGroups() {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} { // of version 2, of each controller
		for _, below := range []string{"/*/*", "/*", ""} {
			groups, _ := filepath.Glob(root + e.cgroup() + below)
			for _, group := range groups {
				_ = syscall.Rmdir(group) // files in there fail, and go with the folder
			}
		}
	}
}
