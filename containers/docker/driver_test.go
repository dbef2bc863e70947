package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/drivertest"
)

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Driver {
		d, engine := needDriver(t)
		return drivertest.Driver{
			Start: d.Start,
			StartBroken: func(ctx context.Context) (containers.Process, error) {
				return newDriver(t, engine, buildFrom(t, engine, `ENTRYPOINT ["node", "/nothing-here.js"]`)).Start(ctx)
			},
			LastWords: "Cannot find module '/nothing-here.js'",
			Stop:      func(t *testing.T, p containers.Process) { freeze(t, engine, p.ID()) },
			End: func(t *testing.T, p containers.Process) {
				inside(t, engine, p.ID(), `kill -9 $(cat /proc/1/task/1/children)`)
			},
			Left: func(t *testing.T, p containers.Process) string {
				if cpu, err := p.(containers.Meter).CPU(context.Background()); err == nil {
					return fmt.Sprintf("processor time of %v", cpu)
				}
				_, err := engine.ContainerInspect(context.Background(), p.ID(), client.ContainerInspectOptions{})
				if errdefs.IsNotFound(err) {
					return ""
				}
				return fmt.Sprintf("the container, of which the engine says %v", err)
			},
			Throttle: func(t *testing.T, p containers.Process, cpus float64) {
				resources := &container.Resources{NanoCPUs: int64(cpus * 1e9)}
				if _, err := engine.ContainerUpdate(t.Context(), p.ID(), client.ContainerUpdateOptions{Resources: resources}); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func TestSweepTakesOnlyItsOwn(t *testing.T) {
	d, engine := needDriver(t)
	other := newDriver(t, engine, DefaultImage)
	other.config.Instance = "not-" + d.config.Instance
	var mine []containers.Process
	for range 2 {
		mine = append(mine, start(t, d))
	}
	others := start(t, other)
	if n, err := d.Sweep(t.Context()); n != 2 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	for _, p := range mine {
		if _, err := engine.ContainerInspect(t.Context(), p.ID(), client.ContainerInspectOptions{}); !errdefs.IsNotFound(err) {
			t.Errorf("left %s: %v", p.ID(), err)
		}
	}
	if _, err := engine.ContainerInspect(t.Context(), others.ID(), client.ContainerInspectOptions{}); err != nil {
		t.Errorf("the other instance's: %v", err)
	}
	if n, err := d.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d again, %v", n, err)
	}
}

func TestImageThatCannotStart(t *testing.T) {
	_, engine := needDriver(t)
	d := newDriver(t, engine, buildFrom(t, engine, `ENTRYPOINT ["/nothing-here"]`))
	p, err := d.Start(t.Context())
	if err == nil {
		// With an init of the engine's own, it is the init that finds nothing to run.
		var c *containers.Container
		if c, err = containers.Open(t.Context(), p, limits, zerolog.Nop()); err == nil {
			_ = c.Close()
		}
	}
	if err == nil || !strings.Contains(err.Error(), "/nothing-here") {
		t.Errorf("got %v", err)
	}
}

func TestImageWithVolumesIsRefused(t *testing.T) {
	_, engine := needDriver(t)
	d := newDriver(t, engine, DefaultImage)
	if id, err := d.Check(t.Context(), specOf(buildFrom(t, engine, "VOLUME /data"))); !errors.Is(err, ErrBadImage) || id != "" {
		t.Errorf("got %s, %v", id, err)
	}
}

func TestNewSaysTheWayOut(t *testing.T) {
	for name, host := range map[string]string{"no engine": "unix://" + t.TempDir() + "/none.sock", "no host": "no such thing"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", host)
			_, err := New(t.Context(), config(t))
			if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "DOCKER_HOST") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := New(t.Context(), Config{}); !errors.Is(err, ErrNoLimit) {
		t.Errorf("without an instance got %v", err)
	}
}

func TestCheckSaysTheWayOut(t *testing.T) {
	d := newDriver(t, needEngine(t), DefaultImage)
	for name, c := range map[string]struct {
		change func(*Spec)
		err    error
		way    string
	}{
		"no image":       {func(s *Spec) { s.Image = "jsd-no-such-image:x" }, ErrNoImage, "jsd image build"},
		"no runtime":     {func(s *Spec) { s.Runtime = "no-such-runtime" }, ErrNoRuntime, "runc"},
		"little memory":  {func(s *Spec) { s.Memory = 5 }, ErrBadLimit, "less than 6"},
		"few CPUs":       {func(s *Spec) { s.CPUs = 0.009 }, ErrBadLimit, "less than 0.01"},
		"many CPUs":      {func(s *Spec) { s.CPUs = 1e4 }, ErrBadLimit, "more than the"},
		"without memory": {func(s *Spec) { s.Memory = 0 }, ErrNoLimit, ""},
		"without CPUs":   {func(s *Spec) { s.CPUs = 0 }, ErrNoLimit, ""},
		"without pids":   {func(s *Spec) { s.PIDs = 0 }, ErrNoLimit, ""},
		"without tmp":    {func(s *Spec) { s.Tmp = 0 }, ErrNoLimit, ""},
	} {
		t.Run(name, func(t *testing.T) {
			spec := specOf("")
			c.change(&spec)
			id, err := d.Check(t.Context(), spec)
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.way) || strings.Contains(err.Error(), "\n") || id != "" {
				t.Errorf("got %s, %v", id, err)
			}
			if c.err != ErrNoLimit {
				return
			}
			// The engine would take it for unlimited.
			if p, err := d.Driver.Start(t.Context(), spec); !errors.Is(err, ErrNoLimit) {
				t.Errorf("started %v, %v", p, err)
			}
		})
	}
}

func TestConfines(t *testing.T) {
	for option, want := range map[string]bool{
		"name=seccomp,profile=default":    true,
		"name=seccomp,profile=builtin":    true,
		"name=seccomp,profile=unconfined": true,
		"name=seccomp":                    true,
		"name=seccompless":                false,
		"name=apparmor":                   false,
	} {
		if got := confines(option); got != want {
			t.Errorf("%s: %v", option, got)
		}
	}
}

func TestDemultiplexer(t *testing.T) {
	piece := func(stream byte, s string) string {
		return string([]byte{stream, 0, 0, 0, 0, 0, byte(len(s) >> 8), byte(len(s))}) + s
	}
	tests := []struct {
		name, stream, stdout, stderr string
		err                          error
	}{
		{name: "nothing"},
		{name: "both", stream: piece(1, "ab") + piece(2, "!") + piece(1, "") + piece(1, "c") + piece(2, "?"), stdout: "abc", stderr: "!?"},
		{name: "cut in a head", stream: piece(1, "a") + "\x01\x00", stdout: "a", err: io.ErrUnexpectedEOF},
		{name: "another stream", stream: piece(1, "a") + piece(7, "b"), stdout: "a", err: errStream},
	}
	for _, test := range tests {
		for name, slow := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "early error": iotest.DataErrReader,
		} {
			t.Run(fmt.Sprint(test.name, " ", name), func(t *testing.T) {
				var stderr bytes.Buffer
				got, err := io.ReadAll(&demultiplexer{from: slow(strings.NewReader(test.stream)), stderr: &stderr})
				if string(got) != test.stdout || stderr.String() != test.stderr || !errors.Is(err, test.err) {
					t.Errorf("got %q, %q, %v", got, stderr.String(), err)
				}
			})
		}
	}
}
