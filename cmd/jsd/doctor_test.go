package main

import (
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/system"
	moby "github.com/moby/moby/client"

	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/daemon"
	"github.com/jsd-project/jsd/jsdtest"
	"github.com/jsd-project/jsd/tenants"
)

// line is what the report says of one thing, as state and text.
func line(t *testing.T, out, name string) (state, text string) {
	t.Helper()
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[1] == name {
			return fields[0], strings.Join(fields[2:], " ")
		}
	}
	t.Errorf("no line %s in\n%s", name, out)
	return "", ""
}

func wantLine(t *testing.T, out, name, state, text string) {
	t.Helper()
	if gotState, gotText := line(t, out, name); gotState != state || !strings.Contains(gotText, text) {
		t.Errorf("%s: got %s %s, want %s %s", name, gotState, gotText, state, text)
	}
}

func withoutEngine(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none"))
}

func TestDoctorWithoutAnEngine(t *testing.T) {
	withoutEngine(t)
	t.Setenv("JSD_NODE", jsdtest.FakeNode(t))
	got := command(t, "", "doctor")
	if got.status != statusProcessOnly || !strings.Contains(got.out, "plain processes only") || got.err != "" {
		t.Errorf("got %+v", got)
	}
	wantLine(t, got.out, "docker", stateMissing, "start one")
	wantLine(t, got.out, "node", stateOK, "v26.0.0")
	wantLine(t, got.out, "memory", stateOK, "containers of 256 MiB")
}

func TestDoctorWithNothing(t *testing.T) {
	withoutEngine(t)
	for _, arguments := range [][]string{
		{"--node", filepath.Join(t.TempDir(), "node")},
		{"--node", jsdtest.FakeNode(t), "--packages", filepath.Join(t.TempDir(), "none")},
	} {
		got := command(t, "", append([]string{"doctor"}, arguments...)...)
		if got.status != statusNothing || !strings.Contains(got.out, "No script can be run here.") {
			t.Errorf("%v: got %+v", arguments, got)
		}
	}
}

// With an engine, doctor and serve have to be of one opinion.
func TestDoctorWithAnEngine(t *testing.T) {
	d := start(t, "docker") // and the image is there
	got := command(t, "", "doctor", "--listen", d.Address())
	if got.status != 0 || !strings.Contains(got.out, "Scripts can be run in containers.") {
		t.Errorf("got %+v", got)
	}
	wantLine(t, got.out, "docker", stateOK, "seccomp")
	wantLine(t, got.out, "runtimes", stateOK, "runc")
	wantLine(t, got.out, "image", stateOK, "its agent is current")
	wantLine(t, got.out, "container", stateOK, "with jsd's seccomp profile")
	wantLine(t, got.out, "port", stateOK, "is served by jsd")

	got = command(t, "", "doctor", "--node", jsdtest.FakeNode(t), "--runtime", "no-such-runtime")
	if got.status != statusProcessOnly {
		t.Errorf("got %+v", got)
	}
	wantLine(t, got.out, "runtimes", stateMissing, "no-such-runtime is not among")

	got = command(t, "", "doctor", "--node", jsdtest.FakeNode(t), "--image", "jsd-test:no-such-image")
	if got.status != statusProcessOnly {
		t.Errorf("got %+v", got)
	}
	wantLine(t, got.out, "image", stateMissing, "pull or build it")

	// What keeps a container from starting shows in no list of what the engine has.
	got = command(t, "", "doctor", "--node", jsdtest.FakeNode(t), "--pids", "1")
	if got.status != statusProcessOnly {
		t.Errorf("got %+v", got)
	}
	wantLine(t, got.out, "container", stateMissing, "; see the engine's log")
}

func TestDoctorAndThePort(t *testing.T) {
	withoutEngine(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := taken.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	got := command(t, "", "doctor", "--listen", taken.Addr().String())
	wantLine(t, got.out, "port", stateWarn, "address already in use; end what listens there, or choose another with --listen")
	taken.Close()
	got = command(t, "", "doctor", "--listen", taken.Addr().String())
	wantLine(t, got.out, "port", stateOK, "is free")
	got = command(t, "", "doctor", "--listen", "localhost")
	wantLine(t, got.out, "port", stateWarn, "missing port")
}

func TestDoctorSaysTheSameAsJSON(t *testing.T) {
	withoutEngine(t)
	arguments := []string{"doctor", "--node", jsdtest.FakeNode(t), "--packages", folder(t, "a/package.json", "{}")}
	plain := command(t, "", arguments...)
	got := command(t, "", append(arguments, "--json")...)
	var r report
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v in %s", err, got.out)
	}
	if got.status != plain.status || r.Status != plain.status || r.Runs != "processes" || r.Version == "" {
		t.Errorf("got %+v", r)
	}
	if lines := strings.Count(plain.out, "\n"); len(r.Findings) != lines-1 {
		t.Errorf("%d findings, %d lines", len(r.Findings), lines)
	}
	for _, f := range r.Findings {
		wantLine(t, plain.out, f.Name, f.State, strings.Join(strings.Fields(f.Found), " "))
	}
}

func TestDoctorMemory(t *testing.T) {
	for memory, state := range map[int]string{1: stateOK, daemon.MachineMemory(): stateWarn, 0: stateMissing} {
		c := doctorCommand{Container: tenants.Container{Memory: memory}}
		if got := c.examineMemory(); got.State != state {
			t.Errorf("%d MiB: %+v", memory, got)
		}
	}
}

func TestDoctorDescribesEngines(t *testing.T) {
	engine, err := moby.New(moby.WithHost("tcp://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	able := system.Info{MemoryLimit: true, SwapLimit: true, CPUCfsQuota: true, PidsLimit: true}
	noSwap := able
	noSwap.SwapLimit, noSwap.PidsLimit = false, false
	for _, c := range []struct {
		name   string
		info   system.Info
		judged error
		state  string
		text   string
	}{
		{"able", able, nil, stateOK, "seccomp"},
		{"lacks limits", noSwap, nil, stateWarn, "cannot limit processes, swap"},
		{"unconfined", able, docker.ErrUnconfined, stateMissing, "without seccomp"},
	} {
		if got := describeEngine(c.info, engine, c.judged); got.State != c.state || !strings.Contains(got.Found+got.Remedy, c.text) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	with := system.Info{Runtimes: map[string]system.RuntimeWithStatus{"runc": {}, "runsc": {}}, DefaultRuntime: "runc"}
	if got := describeRuntimes(with, "", nil); got.State != stateOK || got.Remedy != "" {
		t.Errorf("with runsc: %+v", got)
	}
}
