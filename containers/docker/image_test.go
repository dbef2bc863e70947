package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/moby/moby/client"

	"github.com/jsd-project/jsd"
)

// packTar packs files, each a name and its content, which all may run.
func packTar(t *testing.T, w io.Writer, files ...string) {
	t.Helper()
	packed := tar.NewWriter(w)
	for file := range slices.Chunk(files, 2) {
		if err := packed.WriteHeader(&tar.Header{Name: file[0], Mode: 0o755, Size: int64(len(file[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(packed, file[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
}

func agent(source string) fstest.MapFS {
	return fstest.MapFS{
		"Dockerfile.runtime":          {Data: []byte("ARG BASE=some:base\nFROM ${BASE}\n")},
		"node-agent/agent/agent.js":   {Data: []byte(source), Mode: 0o600},
		"node-agent/worker/worker.js": {Data: []byte("worker")},
		"node-agent/package.json":     {Data: []byte("{}")},
		"node-agent/test/x.js":        {Data: []byte("test")},
	}
}

func TestAgentDigest(t *testing.T) {
	digest := func(files fs.FS) string {
		d, err := AgentDigest(files)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	same := agent("1")
	same["node-agent/test/x.js"].Data = []byte("another test")
	if digest(agent("1")) != digest(same) {
		t.Error("tests count")
	}
	if digest(agent("1")) == digest(agent("2")) {
		t.Error("sources do not count")
	}
	renamed := agent("1")
	renamed["node-agent/agent/other.js"] = renamed["node-agent/agent/agent.js"]
	delete(renamed, "node-agent/agent/agent.js")
	if digest(agent("1")) == digest(renamed) {
		t.Error("names do not count")
	}
	if _, err := AgentDigest(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without an agent: %v", err)
	}
}

func TestBuildContext(t *testing.T) {
	packed, err := Build{Files: agent("1")}.context()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(packed); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o644 || h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s has mode %o and owner %d:%d", h.Name, h.Mode, h.Uid, h.Gid)
		}
		names = append(names, h.Name)
	}
	if got, want := strings.Join(names, " "), "node-agent/agent/agent.js node-agent/package.json node-agent/worker/worker.js Dockerfile.runtime"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDefaultBase(t *testing.T) {
	if base, err := defaultBase(agent("1")); base != "some:base" || err != nil {
		t.Errorf("got %s, %v", base, err)
	}
	if base, err := defaultBase(jsd.Runtime); !strings.HasPrefix(base, "node:") || err != nil {
		t.Errorf("of the real one got %s, %v", base, err)
	}
	if _, err := defaultBase(fstest.MapFS{"Dockerfile.runtime": {}}); !errors.Is(err, errNoDefaultBase) {
		t.Errorf("got %v", err)
	}
}

func TestImageIsBuiltOnlyWhenTheAgentChanged(t *testing.T) {
	_, engine := needDriver(t)
	const tag = "jsd-test-ensure:latest"
	b := Build{Tag: tag, Base: DefaultImage, Files: agent("1"), Progress: t.Output()}
	ensure := func(want bool) {
		t.Helper()
		if built, err := EnsureImage(t.Context(), b); built != want || err != nil {
			t.Fatalf("got %v, %v", built, err)
		}
	}
	b.Files.(fstest.MapFS)["Dockerfile.runtime"].Data = []byte("ARG BASE=x\nFROM ${BASE}\nARG AGENT\nLABEL jsd.agent=${AGENT}\n")
	ensure(true)
	t.Cleanup(func() { removeImage(t, engine, tag) })
	ensure(false)
	b.Files.(fstest.MapFS)["node-agent/agent/agent.js"].Data = []byte("2")
	first := id(t, engine, tag)
	ensure(true)
	ensure(false)
	if there, err := hasImage(t.Context(), engine, first); there || err != nil {
		t.Errorf("the image before is still there: %v, %v", there, err)
	}
}

func id(t *testing.T, engine *client.Client, name string) string {
	t.Helper()
	image, err := engine.ImageInspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return image.ID
}

func TestBuildThatFailsSaysWhy(t *testing.T) {
	needDriver(t)
	b := Build{Tag: "jsd-test-fails:latest", Base: DefaultImage, Files: agent("1")}
	b.Files.(fstest.MapFS)["Dockerfile.runtime"].Data = []byte("ARG BASE=x\nFROM ${BASE}\nRUN exit 3\n")
	if err := BuildImage(t.Context(), b); err == nil || !strings.Contains(err.Error(), "exit 3") {
		t.Errorf("got %v", err)
	}
}

// The script is replaced by one that takes a moment; all around it is real.
func TestBaseIsImportedWholeOrNotAtAll(t *testing.T) {
	engine := needEngine(t)
	files := func(script string) fs.FS {
		return fstest.MapFS{"scripts/base-image": {Data: []byte(script)}}
	}
	const name = "jsd-test-base:1"
	t.Run("whole", func(t *testing.T) {
		b := Build{Files: files("echo $1 >version; tar -c version")}.withDefaults()
		if err := b.makeBase(t.Context(), engine, name); err != nil {
			t.Fatal(err)
		}
		defer removeImage(t, engine, name)
		image, err := engine.ImageInspect(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if env := image.Config.Env; len(env) != 1 || env[0] != basePath {
			t.Errorf("got environment %v", env)
		}
	})
	t.Run("the script fails", func(t *testing.T) {
		var progress bytes.Buffer
		b := Build{Files: files("tar -c \"$0\" 2>/dev/null; echo first >&2; echo the reason >&2; exit 1"), Progress: &progress}
		err := b.makeBase(t.Context(), engine, name)
		if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(progress.String(), "first") {
			t.Errorf("got %v, progress %q", err, progress.String())
		}
		if there, err := hasImage(t.Context(), engine, name); there || err != nil {
			t.Errorf("an image is there: %v, %v", there, err)
		}
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := Build{Files: files("echo begun >&2; sleep 1000"), Progress: writerFunc(func([]byte) { cancel() })}
		begun := time.Now()
		if err := b.makeBase(ctx, engine, name); err == nil {
			t.Error("an image was made")
		}
		if took := time.Since(begun); took > scriptEnd {
			t.Errorf("took %v", took)
		}
	})
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

func TestBaseThatIsThereIsNotPulled(t *testing.T) {
	_, engine := needDriver(t)
	files := fstest.MapFS{"Dockerfile.runtime": {Data: []byte("ARG BASE=" + DefaultImage + "\n")}}
	if base, err := (Build{Files: files}).withDefaults().findBase(t.Context(), engine); base != DefaultImage || err != nil {
		t.Errorf("got %s, %v", base, err)
	}
}

// A registry that takes connections and says nothing, as behind a firewall that swallows.
func TestPullFromASilentRegistryIsGivenUp(t *testing.T) {
	engine := needEngine(t)
	registry, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	begun := time.Now()
	err = pull(t.Context(), engine, registry.Addr().String()+"/nothing:here", 500*time.Millisecond)
	if !errors.Is(err, errStalled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestEngineReportsAreFollowed(t *testing.T) {
	var progress bytes.Buffer
	if err := follow(strings.NewReader(`{"stream":"a\n"}{"status":"x"}{"stream":"b"}`), &progress); err != nil || progress.String() != "a\nb" {
		t.Errorf("got %q, %v", progress.String(), err)
	}
	for _, report := range []string{`{"errorDetail":{"message":"no\n"}}`, `{"stream":`, `nonsense`} {
		if err := follow(strings.NewReader(report), io.Discard); err == nil {
			t.Errorf("%s is no error", report)
		}
	}
}
