package attack

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const runtimeImage = "jsd-runtime:latest"

// An engine is a Docker engine of the tests' own that knows gVisor. It lives in namespaces of its own, whose first
// process ends with this one: so do then the engine, its containers and their mounts.
type engine struct {
	dir     string // all it keeps
	host    string // for DOCKER_HOST
	within  []string
	dockerd *exec.Cmd
}

// needEngine starts one that has the runtime image.
func needEngine(t *testing.T) *engine {
	t.Helper()
	if missing := missing(); missing != "" {
		if os.Getenv("JSD_TEST_REQUIRE") == "all" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	dir, err := os.MkdirTemp("", "jsd-attack-") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{dir: dir, host: "unix://" + filepath.Join(dir, "socket")}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	e.openSpace(t)
	e.start(t)
	e.load(t)
	e.breach(t)
	return e
}

func missing() string {
	if os.Geteuid() != 0 {
		return "a Docker engine of the tests' own needs root"
	}
	for _, command := range []string{"dockerd", "docker", "unshare", "nsenter", "runsc", "go"} {
		if _, err := exec.LookPath(command); err != nil {
			return "a Docker engine of the tests' own, and gVisor, need " + command
		}
	}
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		return fmt.Sprintf("no Docker engine to take an image from: %s", out)
	}
	return ""
}

// openSpace makes the namespaces. Their first process, a shell, lives as long as its input does, which is this process's.
func (e *engine) openSpace(t *testing.T) {
	t.Helper()
	space := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", "echo up; read")
	hold, err := space.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := space.StdoutPipe()
	if err == nil {
		err = space.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = hold.Close()
		_ = space.Wait()
		if e.dockerd != nil {
			_ = e.dockerd.Wait()
		}
		e.removeGroups()
	})
	if _, err := io.ReadFull(out, make([]byte, 3)); err != nil {
		t.Fatalf("unshare: %v", err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", space.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	e.within = []string{"--target", string(bytes.TrimSpace(children)), "--net", "--mount", "--pid"}
}

// start returns when the engine answers.
func (e *engine) start(t *testing.T) {
	t.Helper()
	in := func(name string) string { return filepath.Join(e.dir, name) }
	runsc, err := exec.LookPath("runsc")
	if err != nil {
		t.Fatal(err)
	}
	settings := fmt.Appendf(nil, `{"runtimes": {"runsc": {"path": %q, "runtimeArgs": ["--platform=ptrace", "--network=none"]}}}`, runsc)
	if err := os.WriteFile(in("daemon.json"), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(in("log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	e.dockerd = exec.Command("nsenter", append(e.within, "dockerd", "--config-file", in("daemon.json"), "--host", e.host,
		"--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"), "--cgroup-parent", "/"+filepath.Base(e.dir),
		"--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")...)
	e.dockerd.Stdout, e.dockerd.Stderr = log, log
	if err := e.dockerd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log, _ := os.ReadFile(in("log")); t.Failed() {
			t.Logf("the engine's log ends with\n%s", log[max(0, len(log)-3000):])
		}
	})
	eventually(t, "the engine answers", func() bool { return e.command("version").Run() == nil })
}

// load copies the runtime image from the engine that all tests share, which makes it first where it has none,
// and puts the agent of these sources on top.
func (e *engine) load(t *testing.T) {
	t.Helper()
	if exec.Command("docker", "image", "inspect", runtimeImage).Run() != nil {
		if out, err := exec.Command(e.binary(t), "image", "build").CombinedOutput(); err != nil {
			t.Fatalf("jsd image build: %v: %s", err, out)
		}
	}
	save, load := exec.Command("docker", "save", runtimeImage), e.command("load", "--quiet")
	var err error
	if load.Stdin, err = save.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := save.Start(); err != nil {
		t.Fatal(err)
	}
	out, err := load.CombinedOutput()
	if saveErr := save.Wait(); err != nil || saveErr != nil {
		t.Fatalf("copy the image: %v, %v, %s", saveErr, err, out)
	}
	e.docker(t, "tag", runtimeImage, "jsd-base:attack")
	build := exec.Command(e.binary(t), "image", "build", "--base", "jsd-base:attack")
	build.Env = append(os.Environ(), "DOCKER_HOST="+e.host)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("jsd image build: %v: %s", err, out)
	}
}

// binary is jsd, built from these sources.
func (e *engine) binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(e.dir, "jsd")
	if _, err := os.Stat(path); err != nil {
		goBuild(t, path, "../cmd/jsd")
	}
	return path
}

func goBuild(t *testing.T, path, of string) {
	t.Helper()
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, of)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v: %s", of, err, out)
	}
}

func (e *engine) command(arguments ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"--host", e.host}, arguments...)...)
}

// docker gives the words that a command of the engine's prints.
func (e *engine) docker(t *testing.T, arguments ...string) []string {
	t.Helper()
	out, err := e.command(arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %v: %v: %s", arguments, err, out)
	}
	return strings.Fields(string(out))
}

// removeGroups removes the control groups of containers that ended with the namespaces.
func (e *engine) removeGroups() {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} { // of version 2, of each controller
		for _, below := range []string{"/*/*", "/*", ""} {
			groups, _ := filepath.Glob(root + "/" + filepath.Base(e.dir) + below)
			for _, group := range groups {
				_ = os.Remove(group) // a group goes as a folder; files in there fail, and go with it
			}
		}
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
