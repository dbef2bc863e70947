package docker

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/drivertest"
)

// What a container is reached by, and that a call comes through there.
func reachedBy(t *testing.T, d specDriver) (piped bool) {
	t.Helper()
	p := start(t, d).(*process)
	c, err := containers.Open(t.Context(), p, limits, d.config.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	job := call.Call{Script: []byte(`{"code":"6 * 7"}`), Timeout: 20 * time.Second, CPU: 20 * time.Second}
	if result, err := drivertest.Execute(t.Context(), c, job); err != nil || string(result.Value) != "42" {
		t.Errorf("got %s, %v", result.Value, err)
	}
	return p.pipes != nil && p.pipes.used.Load()
}

func TestPipesAreTheLink(t *testing.T) {
	d, _ := needDriver(t)
	folder := *d.pipes.name.Load()
	if !reachedBy(t, d) {
		t.Error("it is not reached by pipes")
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left of a container that has started: %v, %v", left, err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others can look into it: %v, %v", info.Mode(), err)
	}
	if err := d.pipes.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}

// An agent that may not open its pipes answers on its standard output.
func TestPipesThatDoNotOpen(t *testing.T) {
	d, _ := needDriver(t)
	d.pipes.mode = 0o600
	if os.Getuid() == 0 && reachedBy(t, d) {
		t.Error("it is reached by pipes")
	}
}

// An engine in a container of its own, say, sees other files.
func TestPipesThatTheEngineDoesNotSee(t *testing.T) {
	d, _ := needDriver(t)
	folder, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	hidden := fmt.Sprintf("/proc/self/fd/%d/pipes", folder.Fd())
	if err := d.pipes.remove(); err != nil {
		t.Fatal(err)
	}
	d.pipes.name.Store(&hidden)
	for range 2 {
		if reachedBy(t, d) {
			t.Error("it is reached by pipes")
		}
	}
	if d.pipes.name.Load() != nil {
		t.Error("it tries again")
	}
}

func TestSweepRemovesPipes(t *testing.T) {
	d, _ := needDriver(t)
	other := &pipeDirectory{}
	if err := other.open(d.config.Instance); err != nil {
		t.Fatal(err)
	}
	if _, err := other.make("left"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(*other.name.Load()); !os.IsNotExist(err) {
		t.Errorf("pipes are left: %v", err)
	}
	if _, err := os.Stat(*d.pipes.name.Load()); err != nil {
		t.Error(err)
	}
}

// A container whose runtime lets no pipes in would not start with them.
func TestRuntimesThatLetPipesIn(t *testing.T) {
	for runtime, want := range map[string]bool{"runc": true, "crun": true, "io.containerd.runc.v2": true, "runsc": false, "kata": false, "": false} {
		if letsPipesIn(runtime) != want {
			t.Errorf("%q: %v", runtime, !want)
		}
	}
}

// Whoever cleans folders for temporary files may take this one away.
func TestFolderThatWasCleanedAway(t *testing.T) {
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	f := &pipeDirectory{}
	if err := f.open("cleaned"); err != nil {
		t.Fatal(err)
	}
	name := *f.name.Load()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	p, err := f.make("one")
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("made anew: %v, %v", info, err)
	}
	if err := os.Chmod(name, 0o755); err != nil { // as if somebody else had made it meanwhile
		t.Fatal(err)
	}
	if _, err := f.make("two"); !errors.Is(err, errDirectory) {
		t.Errorf("in a folder that others look into: %v", err)
	}
}

// Only agents print there, and an agent that has its pipes does not.
func TestPrintingBesideTheLink(t *testing.T) {
	d, engine := needDriver(t)
	p := start(t, d).(*process)
	c, err := containers.Open(t.Context(), p, limits, d.config.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	inside(t, engine, p.id, `for process in /proc/[0-9]*; do readlink $process/exe | grep -q node && echo noise >$process/fd/1; done`)
	select {
	case <-c.Done():
	case <-time.After(5 * time.Second):
		t.Error("it goes on")
	}
}
