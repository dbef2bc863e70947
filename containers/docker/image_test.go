package docker

import (
	"archive/tar"
	"bytes"
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
	if base, err := defaultBase(jsd.Runtime); !strings.HasPrefix(base, "node:") || localName(base) != "jsd-base:26" || err != nil {
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

// unreachable is a registry that refuses connections.
const unreachable = "127.0.0.1:1"

func TestBase(t *testing.T) {
	_, engine := needDriver(t)
	find := func(base string, fresh bool) (string, string, error) {
		var progress bytes.Buffer
		files := fstest.MapFS{"Dockerfile.runtime": {Data: []byte("ARG BASE=" + base + "\n")}}
		found, err := Build{Files: files, Fresh: fresh, Progress: &progress}.findBase(t.Context(), engine)
		return found, progress.String(), err
	}
	expect := func(want, progress string, base string, fresh bool) {
		t.Helper()
		if found, said, err := find(base, fresh); found != want || err != nil || (said != "") != (progress != "") || !strings.Contains(said, progress) {
			t.Errorf("%s, fresh %v: got %s, %q, %v", base, fresh, found, said, err)
		}
	}
	expect(DefaultImage, "", DefaultImage, false)

	const base, local = unreachable + "/node:test-of-a-base", "jsd-base:test"
	for _, fresh := range []bool{false, true} {
		_, said, err := find(base, fresh)
		if !errors.Is(err, ErrNoBase) || !strings.Contains(err.Error(), "make "+local) || !strings.Contains(err.Error(), "--base IMAGE") {
			t.Errorf("without a base: got %v", err)
		}
		if said != "pulling "+base+"\n" {
			t.Errorf("without a base: said %q", said)
		}
	}
	if _, err := engine.ImageTag(t.Context(), client.ImageTagOptions{Source: DefaultImage, Target: local}); err != nil {
		t.Fatal(err)
	}
	defer removeImage(t, engine, local)
	expect(local, "", base, false)
	expect(local, "cannot be pulled", base, true)
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
