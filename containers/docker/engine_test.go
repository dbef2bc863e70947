package docker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/jsd-project/jsd"
	"github.com/jsd-project/jsd/containers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needEngine gives a client of the real engine that these tests work on.
func needEngine(t *testing.T) *client.Client {
	t.Helper()
	engine, err := connect(t.Context())
	if err != nil {
		if os.Getenv("JSD_TEST_REQUIRE") == "all" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

var limits = containers.Limits{
	Concurrency: 2, Workers: 1, Heap: 64, Memory: 256,
	Result: 1 << 20, ConsoleLines: 100, ConsoleBytes: 1 << 16,
}

// needDriver gives a driver with an instance of its own and the real runtime image. At the test's
// end nothing may be left of it.
func needDriver(t *testing.T) (specDriver, *client.Client) {
	t.Helper()
	engine := needEngine(t)
	if _, err := EnsureImage(t.Context(), Build{Files: jsd.Runtime, Progress: t.Output()}); err != nil {
		t.Fatal(err)
	}
	return newDriver(t, engine, DefaultImage), engine
}

// A specDriver starts containers of one spec.
type specDriver struct {
	*Driver
	spec Spec
}

func (d specDriver) Start(ctx context.Context) (containers.Process, error) {
	return d.Driver.Start(ctx, d.spec)
}

func config(t *testing.T) Config {
	return Config{
		Instance: fmt.Sprintf("test-%d-%s", os.Getpid(), t.Name()),
		Log:      zerolog.New(zerolog.NewTestWriter(t)),
	}
}

func specOf(image string) Spec { return Spec{Image: image, Memory: 256, CPUs: 1, PIDs: 128, Tmp: 16} }

func newDriver(t *testing.T, engine *client.Client, image string) specDriver {
	t.Helper()
	driver, err := New(t.Context(), config(t))
	if err != nil {
		t.Fatal(err)
	}
	d := specDriver{driver, specOf(image)}
	if d.spec.ImageID, err = d.Check(t.Context(), d.spec); err != nil {
		_ = d.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left := list(t, engine, d); len(left) > 0 {
			t.Errorf("left behind: %v", left)
			_, _ = d.Sweep(context.Background())
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// list names what the engine has of the driver's instance.
func list(t *testing.T, engine *client.Client, d specDriver) []string {
	t.Helper()
	found, err := engine.ContainerList(context.Background(), client.ContainerListOptions{
		All:     true,
		Filters: client.Filters{}.Add("label", InstanceLabel+"="+d.config.Instance),
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, item := range found.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

func start(t *testing.T, d specDriver) containers.Process {
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
	return p
}

// inside runs a shell command in a container and gives what it wrote to both outputs.
func inside(t *testing.T, engine *client.Client, id, command string) string {
	t.Helper()
	created, err := engine.ExecCreate(t.Context(), id, client.ExecCreateOptions{
		Cmd: []string{"sh", "-c", command}, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	attached, err := engine.ExecAttach(t.Context(), created.ID, client.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer attached.Close()
	var said bytes.Buffer
	if _, err := stdcopy.StdCopy(&said, &said, attached.Reader); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(said.String())
}

// buildFrom makes an image of the runtime image with more lines, which may copy the files, and removes it
// after the test.
func buildFrom(t *testing.T, engine *client.Client, lines string, files ...string) string {
	t.Helper()
	return buildAs(t, engine, fmt.Sprintf("jsd-test-%d-%s", os.Getpid(), strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))), lines, files...)
}

func buildAs(t *testing.T, engine *client.Client, tag, lines string, files ...string) string {
	t.Helper()
	file := &bytes.Buffer{}
	packTar(t, file, append([]string{"Dockerfile", "FROM " + DefaultImage + "\n" + lines}, files...)...)
	built, err := engine.ImageBuild(t.Context(), file, client.ImageBuildOptions{Tags: []string{tag}, Remove: true})
	if err != nil {
		t.Fatal(err)
	}
	defer built.Body.Close()
	if err := follow(built.Body, t.Output()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeImage(t, engine, tag) })
	return tag
}

func removeImage(t *testing.T, engine *client.Client, name string) {
	if _, err := engine.ImageRemove(context.Background(), name, client.ImageRemoveOptions{PruneChildren: true}); err != nil {
		t.Error(err)
	}
}
