package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/jsd-project/jsd"
	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/drivertest"
)

// asDaemon makes the test binary a daemon that runs an endless script until it is killed.
const asDaemon = "JSD_TEST_AS_DAEMON"

func TestMain(m *testing.M) {
	if node := os.Getenv(asDaemon); node != "" {
		beDaemon(node)
		return
	}
	goleak.VerifyTestMain(m)
}

var limits = containers.Limits{
	Concurrency: 2, Workers: 1, Heap: 64, Memory: 256,
	Result: 1 << 20, ConsoleLines: 100, ConsoleBytes: 1 << 16,
}

// needNode gives a Node that is new enough.
func needNode(t *testing.T) string {
	t.Helper()
	node, _, err := FindNode(os.Getenv("JSD_NODE"))
	if err != nil {
		if os.Getenv("JSD_TEST_REQUIRE") == "all" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return node
}

func realAgent(t testing.TB) fs.FS {
	agent, err := fs.Sub(jsd.Runtime, "node-agent")
	if err != nil {
		t.Fatal(err)
	}
	return agent
}

func newDriver(t *testing.T, agent fs.FS) *Driver {
	t.Helper()
	d, err := New(Config{Node: needNode(t), Agent: agent, Log: zerolog.New(zerolog.NewTestWriter(t))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(d.dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the agent's files are still there: %v", err)
		}
	})
	return d
}

func start(t *testing.T, d *Driver) *process {
	t.Helper()
	p, err := d.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p.(*process)
}

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Driver {
		d, broken := newDriver(t, realAgent(t)), newDriver(t, fstest.MapFS{entry: {Data: []byte("require('./missing.js')")}})
		group := func(p containers.Process) int { return p.(*process).command.Process.Pid }
		send := func(t *testing.T, to int, signal syscall.Signal) {
			if err := syscall.Kill(to, signal); err != nil {
				t.Fatal(err)
			}
		}
		return drivertest.Driver{
			Start:       d.Start,
			StartBroken: broken.Start,
			LastWords:   "Cannot find module './missing.js'",
			Stop:        func(t *testing.T, p containers.Process) { send(t, -group(p), syscall.SIGSTOP) },
			End:         func(t *testing.T, p containers.Process) { send(t, group(p), syscall.SIGKILL) },
			Left: func(_ *testing.T, p containers.Process) string {
				if living(group(p)) {
					return "a process of the group"
				}
				return ""
			},
		}
	})
}

func TestAgentSeesNothingOfTheDaemon(t *testing.T) {
	t.Setenv(certificatesVariable, "") // which it may see
	t.Setenv("SECRET", "do not tell")
	t.Setenv("NODE_OPTIONS", "--no-such-option")
	const spy = `
		const denied = (f) => { try { f(); return false; } catch (error) { return error.code === 'ERR_ACCESS_DENIED'; } };
		process.stderr.write(JSON.stringify({
			env: Object.keys(process.env).sort(),
			read: denied(() => require('fs').readFileSync('/etc/passwd')),
			write: denied(() => require('fs').writeFileSync(__dirname + '/x', '')),
		}));
		process.exit(1);`
	p := start(t, newDriver(t, fstest.MapFS{entry: {Data: []byte(spy)}}))
	_, err := containers.Open(t.Context(), p, limits, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), `{"env":["NODE_ENV","PATH"],"read":true,"write":true}`) {
		t.Errorf("got %v", err)
	}
}

func TestAgentReadsPackages(t *testing.T) {
	packages := t.TempDir()
	if err := os.WriteFile(filepath.Join(packages, "x"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(packages, link); err != nil {
		t.Fatal(err)
	}
	const reader = `
		const fs = require('fs');
		const at = process.env.JSD_PACKAGES;
		const denied = (f) => { try { f(); return false; } catch (error) { return error.code === 'ERR_ACCESS_DENIED'; } };
		process.stderr.write([
			at, fs.readFileSync(at + '/x'), fs.readFileSync(fs.realpathSync(at) + '/x'),
			denied(() => fs.writeFileSync(at + '/y', '')), denied(() => fs.readdirSync(at + '/..')),
		].join());
		process.exit(1);`
	for _, at := range []string{packages, link} {
		d, err := New(Config{Node: needNode(t), Agent: fstest.MapFS{entry: {Data: []byte(reader)}}, Packages: at, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		_, err = containers.Open(t.Context(), start(t, d), limits, zerolog.Nop())
		if err == nil || !strings.Contains(err.Error(), at+",content,content,true,true") {
			t.Errorf("%s: got %v", at, err)
		}
	}
}

func TestPackagesThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{file, file + "/x", filepath.Join(t.TempDir(), "none")} {
		_, err := New(Config{Node: needNode(t), Agent: realAgent(t), Packages: at})
		if !errors.Is(err, ErrNoPackages) || !strings.Contains(err.Error(), "--packages") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", at, err)
		}
	}
}

func TestAgentFilesArePrivate(t *testing.T) {
	d := newDriver(t, realAgent(t))
	info, err := os.Stat(d.dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}

func TestNewSaysTheWayOut(t *testing.T) {
	script := func(body string) string {
		file := filepath.Join(t.TempDir(), "node")
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tests := []struct {
		name, node string
		err        error
	}{
		{"none", filepath.Join(t.TempDir(), "node"), ErrNoNode},
		{"too old", script("echo v22.1.0"), ErrOldNode},
		{"something else", script("echo hello"), ErrNoNode},
		{"broken", script("exit 1"), ErrNoNode},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(Config{Node: test.node, Agent: realAgent(t)})
			if !errors.Is(err, test.err) || !strings.Contains(err.Error(), "--node") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestNewLeavesNothingWhenItFails(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if _, err := New(Config{Node: needNode(t), Agent: fstest.MapFS{"other.js": {}}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}

// A daemon that is killed cannot clean up; its agents do.
func TestDaemonThatIsKilledLeavesNoProcess(t *testing.T) {
	node := needNode(t)
	daemon := exec.Command(os.Args[0])
	daemon.Env = []string{asDaemon + "=" + node, "TMPDIR=" + t.TempDir()} // whose clean-up removes the agent's files
	daemon.Stderr = os.Stderr
	stdout, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	group, convErr := strconv.Atoi(strings.TrimSpace(line))
	if err == nil && convErr == nil {
		waitBusy(t, group)
	}
	killErr := daemon.Process.Kill()
	_ = daemon.Wait()
	if err := errors.Join(err, convErr, killErr); err != nil {
		t.Fatal(err)
	}
	if err := waitGone("the agent of a killed daemon", group); err != nil {
		t.Error(err)
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
}

func beDaemon(node string) {
	agent, err := fs.Sub(jsd.Runtime, "node-agent")
	exitOn(err)
	d, err := New(Config{Node: node, Agent: agent, Log: zerolog.Nop()})
	exitOn(err)
	ctx := context.Background()
	p, err := d.Start(ctx)
	exitOn(err)
	c, err := containers.Open(ctx, p, limits, zerolog.Nop())
	exitOn(err)
	fmt.Println(p.(*process).command.Process.Pid)
	_, err = drivertest.Execute(ctx, c, call.Call{Script: []byte(`{"code":"while (true) {}"}`), Timeout: time.Hour, CPU: time.Hour})
	exitOn(fmt.Errorf("the endless script ended: %w", err))
}

// waitBusy returns when a worker of the agent's group has used more processor time than its start
// takes, so is at an endless script.
func waitBusy(t *testing.T, group int) {
	t.Helper()
	const busy = 50 // ticks of 10 ms
	for begun := time.Now(); time.Since(begun) < 20*time.Second; time.Sleep(10 * time.Millisecond) {
		for _, fields := range members(group) {
			if ticks, _ := strconv.Atoi(fields[11]); ticks > busy {
				return
			}
		}
	}
	t.Fatal("no worker got busy")
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
